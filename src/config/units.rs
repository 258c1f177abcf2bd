//! Sizes, CPUs and durations: exact in, canonical out. What prints here parses back to the same
//! value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::value_error::ValueError;

/// A size in bytes. Parses as Docker's (go-units `RAMInBytes`), except fractions: `512m`, `512MiB`,
/// `536870912`; every unit is a power of 1024, and upper and lower case are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// CPU time in billionths of a CPU, Docker's `NanoCpus`. Parses from a decimal number of CPUs with
/// at most 9 decimals: `1.5`. Read as digits: a float has no 0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NanoCpus(pub u64);

/// The type of a bounded setting.
pub trait Quantity: Copy + PartialOrd {
    /// From text.
    ///
    /// # Errors
    ///
    /// The text has another form.
    fn read(text: &str) -> Result<Self, ValueError>;

    /// As text that [`Quantity::read`] takes.
    fn show(self) -> String;
}

impl Quantity for Bytes {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }

    fn show(self) -> String {
        self.to_string()
    }
}

impl Quantity for NanoCpus {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }

    fn show(self) -> String {
        self.to_string()
    }
}

/// A whole number without a sign; one above `u32` becomes the largest.
impl Quantity for u32 {
    fn read(text: &str) -> Result<Self, ValueError> {
        let number = saturating(text).ok_or(NUMBER)?;
        Ok(Self::try_from(number).unwrap_or(Self::MAX))
    }

    fn show(self) -> String {
        self.to_string()
    }
}

/// A duration with its unit: `90s`, `15m`, `1h 30m` (humantime).
impl Quantity for Duration {
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(humantime::parse_duration(text)?)
    }

    fn show(self) -> String {
        humantime::format_duration(self).to_string()
    }
}

const SIZE: ValueError =
    ValueError::Form("a size is a whole number of b, k, m, g or t (powers of 1024), such as 512m");
const CPUS: ValueError = ValueError::Form("a number of CPUs has at most 9 decimals, such as 1.5");
const NUMBER: ValueError = ValueError::Form("a whole number is needed");

const NANOS: u64 = 1_000_000_000;

/// Largest first, for printing.
const UNITS: [(&str, u64); 5] = [
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
];

impl FromStr for Bytes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let text = text.to_ascii_lowercase();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, unit) = text.split_at(digits);
        let size: u64 = match unit.trim_start() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(SIZE),
        };
        let count = saturating(count).ok_or(SIZE)?;
        Ok(Self(count.saturating_mul(size)))
    }
}

impl FromStr for NanoCpus {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (whole, decimals) = match text.split_once('.') {
            // Docker takes `.5` too.
            Some(("", decimals)) => ("0", decimals),
            Some(parts) => parts,
            None => (text, "0"),
        };
        if decimals.is_empty() || decimals.len() > 9 {
            return Err(CPUS);
        }
        let whole = saturating(whole);
        let nanos = saturating(&format!("{decimals:0<9}"));
        match (whole, nanos) {
            (Some(whole), Some(nanos)) => {
                Ok(Self(whole.saturating_mul(NANOS).saturating_add(nanos)))
            }
            _ => Err(CPUS),
        }
    }
}

/// Digits as a number; one above `u64` becomes the largest, so that the error is about the bound.
/// `None` for anything except digits.
fn saturating(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The largest unit that leaves no remainder: `512m`, `1g`, `1000b`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, size): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*size);
        match UNITS.iter().find(exact) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => f.write_str("0b"),
        }
    }
}

/// As few decimals as are exact: `1`, `0.5`.
impl fmt::Display for NanoCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / NANOS, self.0 % NANOS);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_dockers_powers_of_1024() {
        for (text, size) in [
            ("512m", 512 << 20),
            ("512M", 512 << 20),
            ("512mb", 512 << 20),
            ("512MiB", 512 << 20),
            ("512 MiB", 512 << 20),
            ("536870912", 512 << 20),
            ("1536m", 1536 << 20),
            ("2g", 2 << 30),
            ("1t", 1 << 40),
            ("7k", 7 << 10),
            ("7b", 7),
            ("0", 0),
            ("99999999999999999999", u64::MAX),
            ("99999999999999t", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(size)), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "m",
            "-1m",
            "+1m",
            "1.5g",
            "1m1",
            "1ib",
            "1bb",
            "1mm",
            "1mbb",
            "1e9",
            " 1m",
            "1m ",
            "1\u{a0}é",
            "٣m",
            "1p",
        ] {
            assert_eq!(text.parse::<Bytes>(), Err(SIZE), "{text:?}");
        }
    }

    #[test]
    fn cpus_are_exact_to_the_billionth() {
        for (text, nanos) in [
            ("1", 1_000_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("1.000000001", 1_000_000_001),
            ("007.5", 7_500_000_000),
            ("99999999999999999999", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(NanoCpus(nanos)), "{text:?}");
        }
        for text in [
            "",
            ".",
            "1.",
            "-1",
            "1e3",
            "nan",
            "inf",
            "1,5",
            "1.0000000001",
            "1.-5",
            " 1",
        ] {
            assert_eq!(text.parse::<NanoCpus>(), Err(CPUS), "{text:?}");
        }
    }

    #[test]
    fn values_print_in_one_way() {
        for (size, text) in [
            (0, "0b"),
            (1000, "1000b"),
            (1536 << 20, "1536m"),
            (1 << 50, "1024t"),
        ] {
            assert_eq!(Bytes(size).to_string(), text);
        }
        for (nanos, text) in [
            (0, "0"),
            (10_000_000_000, "10"),
            (1_500_000_000, "1.5"),
            (1, "0.000000001"),
        ] {
            assert_eq!(NanoCpus(nanos).to_string(), text);
        }
    }

    #[test]
    fn a_number_is_digits_alone() {
        assert_eq!(u32::read("256"), Ok(256));
        assert_eq!(u32::read("99999999999"), Ok(u32::MAX));
        for text in ["", "-1", "+1", "1.0", "0x10", "1_000"] {
            assert_eq!(u32::read(text), Err(NUMBER), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_prints_parses_back(value: u64, shift in 0..64_u32) {
            let value = value >> shift << (shift / 2);
            prop_assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
            prop_assert_eq!(NanoCpus(value).to_string().parse(), Ok(NanoCpus(value)));
            let time = Duration::from_nanos(value);
            prop_assert_eq!(Duration::read(&time.show()), Ok(time));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (Bytes::read(&text), NanoCpus::read(&text), u32::read(&text), Duration::read(&text));
        }
    }
}
