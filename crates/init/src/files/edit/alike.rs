//! How unlike two lines are: the least number of bytes to put in, take out or
//! exchange between them (Levenshtein's distance), within bounded work.

/// Bytes of a line that are compared: lines that begin the same are alike.
const COMPARED_BYTES_LIMIT: usize = 200;

/// Pairs of bytes compared in all, 0.2 s: then the most alike until there counts.
const COMPARISON_LIMIT: usize = 100_000_000;

/// A line is like another when at most two of five of its bytes differ.
const ALIKE: (usize, usize) = (2, 5);

/// The line that is looked for, and the work that may still be done for it.
pub(super) struct Line {
    bytes: Vec<u8>,
    /// How often each byte is in it.
    counts: [usize; 256],
    work: usize,
}

impl Line {
    pub(super) fn new(line: &[u8]) -> Self {
        let bytes = compared(line).to_vec();
        let mut counts = [0; 256];
        for byte in &bytes {
            counts[usize::from(*byte)] += 1;
        }
        Self {
            bytes,
            counts,
            work: COMPARISON_LIMIT,
        }
    }

    /// The distance above which nothing is alike.
    pub(super) fn limit(&self) -> usize {
        self.bytes.len() * ALIKE.0 / ALIKE.1
    }

    /// Bytes to change between the two, if that are not more than `limit`.
    pub(super) fn distance(&mut self, line: &[u8], limit: usize) -> Option<usize> {
        let line = compared(line);
        if self.at_least(line) > limit {
            return None;
        }
        self.work = self.work.checked_sub(self.bytes.len() * line.len())?;
        let distance = strsim::generic_levenshtein(&self.bytes, &line.to_vec());
        (distance <= limit).then_some(distance)
    }

    /// Each byte that is in only one of the two has to be changed.
    fn at_least(&self, line: &[u8]) -> usize {
        let mut left = self.counts;
        let mut common = 0;
        for byte in line {
            let count = &mut left[usize::from(*byte)];
            common += usize::from(*count > 0);
            *count = count.saturating_sub(1);
        }
        self.bytes.len().max(line.len()) - common
    }
}

fn compared(line: &[u8]) -> &[u8] {
    &line[..line.len().min(COMPARED_BYTES_LIMIT)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::common::lines_of;
    use super::*;

    #[test]
    fn a_large_file_of_lines_that_are_all_alike_takes_bounded_work() {
        let content = "abcdefgh ".repeat(20) + "\n";
        let content = content.repeat(20_000);
        let mut line = Line::new(&[b"hgfedcba ".repeat(20), b"x".to_vec()].concat());
        line.work = 1_000_000;
        let measured = lines_of(content.as_bytes())
            .filter(|candidate| line.distance(candidate, usize::MAX).is_some())
            .count();
        assert_eq!(measured, 1_000_000 / (181 * 181));
    }

    proptest! {
        #[test]
        fn no_line_is_further_away_than_the_estimate(a in "[a-d]{0,12}", b in "[a-d]{0,12}") {
            let mut line = Line::new(a.as_bytes());
            let distance = line.distance(b.as_bytes(), usize::MAX).expect("little work");
            prop_assert_eq!(distance, strsim::levenshtein(&a, &b));
            prop_assert!(line.at_least(b.as_bytes()) <= distance);
        }
    }
}
