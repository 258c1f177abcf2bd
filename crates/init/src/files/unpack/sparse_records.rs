//! The pax records of a sparse file.

use casemate_protocol::Failure;
use casemate_protocol::backup::EXTENTS;

use super::bad_archive::bad;

/// The records `GNU.sparse.*`. A wrong one is reported when the file is made: the error then names
/// the file.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    pub(super) version: [Option<u64>; 2],
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Where an extent begins and how long it is, in turn.
    pub(super) map: Vec<u64>,
    pub(super) is_wrong: bool,
}

impl SparseRecords {
    pub(super) fn add(&mut self, key: &str, value: &[u8]) {
        let parsed = number(value);
        let known = match key {
            "name" => {
                self.name = Some(value.to_vec());
                !value.is_empty()
            }
            "major" | "minor" => {
                self.version[usize::from(key == "minor")] = parsed;
                parsed.is_some()
            }
            "size" | "realsize" => {
                self.size = parsed;
                parsed.is_some()
            }
            // Not compared: the map itself has all of them.
            "numblocks" => parsed.is_some(),
            "offset" => self.map.len().is_multiple_of(2) && self.push(parsed),
            "numbytes" => !self.map.len().is_multiple_of(2) && self.push(parsed),
            "map" => {
                let mut numbers = value.split(|byte| *byte == b',');
                value.is_empty() || numbers.all(|text| self.push(number(text)))
            }
            _ => false,
        };
        self.is_wrong |= !known;
    }

    fn push(&mut self, number: Option<u64>) -> bool {
        let fits = self.map.len() < 2 * EXTENTS;
        self.map.extend(number.filter(|_| fits));
        number.is_some() && fits
    }

    pub(super) fn is_in_front(&self) -> Result<bool, Failure> {
        match self.version {
            [Some(1), Some(0)] => Ok(true),
            [None, None] | [Some(0), Some(0 | 1)] => Ok(false),
            _ => Err(bad("a sparse file of a format that is not understood here")),
        }
    }
}

/// Decimal digits, and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok()?;
    digits.then(|| text.parse().ok())?
}
