//! The uids of the users of an instance.

use casemate_protocol::BRIDGE_UID;

/// The user that the processes of a sandbox run as. Never root, except [`Self::SHARED_DATA`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    uid: u32,
    gid: u32,
}

impl RunAs {
    /// The user of a sandbox whose volume has no uid in its labels: [`super::labels::UID`].
    pub const DEFAULT: Self = Self {
        uid: 1000,
        gid: 1000,
    };

    /// Root, for the helper container that fills a version of shared data: no code of a user's ever
    /// runs in it, and the files must be root's.
    pub const SHARED_DATA: Self = Self { uid: 0, gid: 0 };

    /// In the form of the Engine's API.
    pub(super) fn as_user(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }

    /// The user of a volume whose label has this uid. A uid that no sandbox may have gives the
    /// default: PID 1 then refuses the volume as another owner's.
    pub fn of(uid: Option<u32>) -> Self {
        uid.and_then(Self::with_uid).unwrap_or(Self::DEFAULT)
    }

    /// The user with this uid and a group of the same number. `None` as in [`Self::new`].
    pub fn with_uid(uid: u32) -> Option<Self> {
        Self::new(uid, uid)
    }

    /// `None` for root, for root's group, and for the user that PID 1 treats as the bridge.
    pub fn new(uid: u32, gid: u32) -> Option<Self> {
        (uid != 0 && gid != 0 && uid != BRIDGE_UID).then_some(Self { uid, gid })
    }

    pub fn uid(self) -> u32 {
        self.uid
    }

    pub fn gid(self) -> u32 {
        self.gid
    }
}

/// Uids for users: a block of consecutive numbers. Without any, every user is
/// [`RunAs::DEFAULT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    first: u32,
    count: u32,
}

impl UidRange {
    /// No uids: all users share one.
    pub const NONE: Self = Self { first: 0, count: 0 };

    /// `count` uids from `first` on. The settings allow only uids that a sandbox may run as.
    pub const fn new(first: u32, count: u32) -> Self {
        Self { first, count }
    }

    /// The lowest uid.
    pub fn first(self) -> u32 {
        self.first
    }

    pub fn count(self) -> u32 {
        self.count
    }

    /// All uids, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.first..self.first.saturating_add(self.count)
    }

    pub fn contains(self, uid: u32) -> bool {
        uid.checked_sub(self.first)
            .is_some_and(|index| index < self.count)
    }

    /// The uids that a prepared image has accounts for: the default, and all of the range.
    pub(super) fn accounts(self) -> impl Iterator<Item = u32> {
        std::iter::once(RunAs::DEFAULT.uid()).chain(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_first_and_not_the_one_after_its_last() {
        let range = UidRange::new(65_536, 3);
        assert_eq!(range.iter().collect::<Vec<_>>(), [65_536, 65_537, 65_538]);
        for (uid, is_in) in [
            (65_535, false),
            (65_536, true),
            (65_538, true),
            (65_539, false),
        ] {
            assert_eq!(range.contains(uid), is_in, "{uid}");
        }
        assert!(!UidRange::NONE.contains(0) && UidRange::NONE.iter().next().is_none());
    }
}
