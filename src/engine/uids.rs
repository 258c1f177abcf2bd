//! Which uids the users of an instance have.

use super::spec::RunAs;

/// Uids for users: a block of consecutive numbers. Without any, every user is
/// [`RunAs::DEFAULT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    first: u32,
    count: u32,
}

impl UidRange {
    /// No uid for a user alone.
    pub const NONE: Self = Self { first: 0, count: 0 };

    /// `count` uids from `first` on. The settings see to it that no sandbox may not run as one
    /// of them.
    pub const fn new(first: u32, count: u32) -> Self {
        Self { first, count }
    }

    /// The lowest.
    pub fn first(self) -> u32 {
        self.first
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// All of them, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.first..self.first.saturating_add(self.count)
    }

    /// Whether it is one of them.
    pub fn contains(self, uid: u32) -> bool {
        uid.checked_sub(self.first)
            .is_some_and(|index| index < self.count)
    }

    /// Those that a prepared image has an account of: also the one of volumes without a uid of
    /// their own.
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
