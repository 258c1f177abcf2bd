//! Versions of Engine, containerd and runc, as they and the distributions write them.

use std::fmt;

/// A version that can be compared: `1.0-rc7` < `1.0.0-rc95` < `1.0.0` < `1.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u64; 3],
    /// A release candidate comes before its release, which has the largest number here.
    candidate: u64,
}

impl Version {
    /// Reads the version at the start of `text`, without a distribution's suffix (`+dfsg1`,
    /// `-0ubuntu2`, `~ds1`). `None` if it does not start with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (numbers, rest) = text.split_at(end.unwrap_or(text.len()));
        let mut read = [0; 3];
        let parts = numbers.split('.').filter(|part| !part.is_empty());
        for (place, part) in read.iter_mut().zip(parts) {
            *place = part.parse().ok()?;
        }
        if !numbers.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            numbers: read,
            candidate: candidate(rest).unwrap_or(u64::MAX),
        })
    }

    /// Whether both are of one line of releases: `1.2.3` and `1.2.8`.
    pub fn is_of_one_line_with(self, other: Self) -> bool {
        self.numbers[..2] == other.numbers[..2]
    }
}

/// `-rc95`, `~rc93+ds1`, `-rc.3`.
fn candidate(rest: &str) -> Option<u64> {
    let rest = rest.strip_prefix(['-', '~'])?.strip_prefix("rc")?;
    let digits = rest.strip_prefix('.').unwrap_or(rest);
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        match self.candidate {
            u64::MAX => Ok(()),
            candidate => write!(f, "-rc{candidate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_they_came_out() {
        let all = [
            "1.0-rc6",
            "1.0-rc7",
            "1.0.0-rc95",
            "1.0.0",
            "1.1.5",
            "1.1.12",
            "1.2.0-rc.3",
            "1.2.0",
            "1.3.3",
            "1.4.0-rc.3",
            "20.10.24",
            "29.5.1",
        ];
        let read = all.map(|text| Version::parse(text).expect(text));
        assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
    }

    #[test]
    fn what_a_distribution_adds_is_no_part_of_it() {
        for (text, version) in [
            ("1.1.5+ds1", "1.1.5"),
            ("1.1.5+ds1-1+deb12u1", "1.1.5"),
            ("1.1.12-0ubuntu2~22.04.1", "1.1.12"),
            ("1.6.20~ds1", "1.6.20"),
            ("1.0.0~rc93+ds1-5", "1.0.0-rc93"),
            ("v2.0.0-rc.1-12-gabcdef", "2.0.0-rc1"),
            ("20.10.24+dfsg1", "20.10.24"),
            ("27.1", "27.1.0"),
        ] {
            assert_eq!(
                Version::parse(text).expect(text).to_string(),
                version,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "v", "dev", "master", ".1", "99999999999999999999.0"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
