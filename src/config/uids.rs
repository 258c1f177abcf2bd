//! The uids that users' code runs as.

use super::error::ConfigError;
use super::layer::Layer;
use super::limits;
use super::setting::Setting as S;
use super::units::Quantity as _;
use super::value_error::ValueError;

/// Which uids users have, one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uids {
    /// The first; `None`: the default for the Engine.
    base: Option<u32>,
    /// How many; 0: all users share one.
    pub count: u32,
}

impl Uids {
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let count = given.bounded(S::UidCount)?;
        let base = given.value(S::UidBase, None, |text| base(text, count).map(Some))?;
        Ok(Self { base, count })
    }

    /// The first of them on an Engine. `mapped`: the Engine maps containers' uids to others on its
    /// host, and has no more than 65,536 of them.
    pub fn first(&self, mapped: bool) -> u32 {
        self.base.unwrap_or(match mapped {
            true => limits::UID_BASE_MAPPED,
            false => limits::UID_BASE,
        })
    }
}

/// The first of `count` uids, none of which may be forbidden.
fn base(text: &str, count: u32) -> Result<u32, ValueError> {
    let base = u32::read(text)?;
    let last = base.saturating_add(count.saturating_sub(1));
    let is_between = |uid: &u32| (base..=last).contains(uid);
    let (least, most) = (limits::UID_MIN, limits::UID_MAX);
    if base < least || last > most || limits::FORBIDDEN_UIDS.iter().any(is_between) {
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
    fn the_defaults_leave_room_for_the_largest_number_of_uids() {
        let most = limits::UID_COUNT.most;
        for first in [limits::UID_BASE, limits::UID_BASE_MAPPED] {
            assert_eq!(base(&first.to_string(), most), Ok(first));
        }
        // All of them exist in a map of 65,536.
        assert!(limits::UID_BASE_MAPPED + most <= 65_536);
    }
}
