//! The uids that users' code runs as.

use super::error::{ConfigError, ValueError};
use super::limits;
use super::raw::Layer;
use super::setting::Setting as S;
use super::units::Quantity as _;

/// No sandbox runs as these: the bridge's uid, which is also what the kernel shows for one that it
/// cannot map, and what is -1 to a call with 16 bits.
const NEVER: [u32; 2] = [casemate_protocol::BRIDGE_UID, 65_535];

/// Which uids users have, one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uids {
    /// The first; `None`: what suits the Engine.
    base: Option<u32>,
    /// How many; 0: all users share one.
    pub count: u32,
}

impl Uids {
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let count = given.bounded(S::UidCount, limits::UID_COUNT)?;
        let base = given.value(S::UidBase, None, |text| base(text, count).map(Some))?;
        Ok(Self { base, count })
    }

    /// The first of them on an Engine. `mapped`: containers' uids are others on its host, and no
    /// more than 65,536 of them.
    pub fn first(&self, mapped: bool) -> u32 {
        self.base.unwrap_or(match mapped {
            true => limits::UID_BASE_MAPPED,
            false => limits::UID_BASE,
        })
    }
}

/// Neither this uid nor those after it may be one that no sandbox runs as.
fn base(text: &str, count: u32) -> Result<u32, ValueError> {
    let base = u32::read(text)?;
    let last = base.saturating_add(count.saturating_sub(1));
    let is_between = |uid: &u32| (base..=last).contains(uid);
    let (least, most) = (limits::UID_MIN, limits::UID_MAX);
    if base < least || last > most || NEVER.iter().any(is_between) {
        return Err(ValueError::UidBase { count, least, most });
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_can_be_root_the_bridge_or_the_user_whom_old_volumes_share() {
        for (first, count, holds) in [
            ("1001", 4096, true),
            ("1000", 1, false),
            ("0", 0, false),
            ("61438", 4096, true),
            ("61439", 4096, false),
            ("65534", 1, false),
            ("65535", 1, false),
            ("65536", 4096, true),
            ("2147479552", 4096, true),
            ("2147479553", 4096, false),
            ("4294967295", 1, false),
        ] {
            assert_eq!(base(first, count).is_ok(), holds, "{count} from {first}");
        }
        for given in ["", "-1", "0x10000", "65536.0", "4294967296"] {
            assert!(base(given, 1).is_err(), "{given:?}");
        }
    }

    #[test]
    fn what_suits_the_engine_has_room_for_as_many_as_may_be() {
        let most = limits::UID_COUNT.most;
        for first in [limits::UID_BASE, limits::UID_BASE_MAPPED] {
            assert_eq!(base(&first.to_string(), most), Ok(first));
        }
        // Behind a map of 65,536 all of them exist.
        assert!(limits::UID_BASE_MAPPED + most <= 65_536);
    }
}
