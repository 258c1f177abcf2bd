//! Records of an archive, and times in them: seconds since 1970 with a decimal fraction
//! (pax(1), "pax Extended Header").

const NANOS: u32 = 1_000_000_000;

/// The time as a record of an archive has it. `nanos` count forward from `seconds`, also
/// before 1970.
pub fn pax_time(seconds: i64, nanos: u32) -> String {
    if seconds >= 0 || nanos == 0 {
        return format!("{seconds}.{nanos:09}");
    }
    format!("-{}.{:09}", -(seconds + 1), NANOS - nanos)
}

/// Parses a text of [`pax_time`]; digits after the nanosecond are cut off. `None` for any other
/// text.
pub fn parse_pax_time(text: &str) -> Option<(i64, u32)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let seconds: i128 = whole.parse().ok()?;
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    let (seconds, nanos) = match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, NANOS - nanos),
    };
    Some((seconds.try_into().ok()?, nanos))
}

/// A key and its value.
pub type PaxRecord<'a> = (&'a [u8], &'a [u8]);

/// The key and the value of the first record of a pax header, and what follows it: a record is
/// its own length, a space, the key, `=`, any bytes and a line break (pax(1), "pax Extended
/// Header"). `None` for what is no record.
pub fn split_pax_record(text: &[u8]) -> Option<(PaxRecord<'_>, &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    let length = &text[..space];
    if !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    let (record, rest) = text.split_at_checked(length)?;
    let (_, record) = record.split_at_checked(space + 1)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_were_written_also_before_1970() {
        for (seconds, nanos, text) in [
            (0, 0, "0.000000000"),
            (1_700_000_000, 5, "1700000000.000000005"),
            (-1, 500_000_000, "-0.500000000"),
            (-5, 0, "-5.000000000"),
            (-5, 999_999_999, "-4.000000001"),
            (i64::MAX, 1, "9223372036854775807.000000001"),
            (i64::MIN, 0, "-9223372036854775808.000000000"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ] {
            assert_eq!(pax_time(seconds, nanos), text);
            assert_eq!(parse_pax_time(text), Some((seconds, nanos)), "{text}");
        }
        assert_eq!(parse_pax_time("7"), Some((7, 0)));
        assert_eq!(parse_pax_time("7.1234567891"), Some((7, 123_456_789)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "--1",
            "1.-5",
            "٣",
            "99999999999999999999",
        ] {
            assert_eq!(parse_pax_time(text), None, "{text:?}");
        }
    }
}
