//! Numbers as Kubernetes writes them: `512Mi`, `250m`, `1e3`.

/// In thousandths. `None` if the text is not a quantity, or larger than any that is asked for.
pub fn parse(text: &str) -> Option<u128> {
    const BINARY: [(&str, u32); 6] = [
        ("Ki", 10),
        ("Mi", 20),
        ("Gi", 30),
        ("Ti", 40),
        ("Pi", 50),
        ("Ei", 60),
    ];
    const DECIMAL: [(&str, u32); 7] = [
        ("m", 0),
        ("k", 6),
        ("M", 9),
        ("G", 12),
        ("T", 15),
        ("P", 18),
        ("E", 21),
    ];
    for (suffix, bits) in BINARY {
        if let Some(number) = text.strip_suffix(suffix) {
            return thousandths(number)?.checked_mul(1_u128 << bits);
        }
    }
    for (suffix, zeros) in DECIMAL {
        if let Some(number) = text.strip_suffix(suffix) {
            let factor = 10_u128.pow(zeros);
            return Some(thousandths(number)?.checked_mul(factor)? / 1000);
        }
    }
    match text.split_once(['e', 'E']) {
        Some((number, zeros)) => {
            let factor = 10_u128.checked_pow(zeros.parse().ok()?)?;
            thousandths(number)?.checked_mul(factor)
        }
        None => thousandths(text),
    }
}

fn thousandths(number: &str) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_is_read_in_all_its_forms() {
        for same in [
            &["536870912", "512Mi", "524288Ki", "0.5Gi"][..],
            &["1", "1000m", "1.0", "1e0"],
            &["250m", "0.25"],
            &["1500", "1.5k", "15e2"],
            &["2G", "2e9", "2000000000"],
        ] {
            let read: Vec<_> = same.iter().map(|text| parse(text)).collect();
            assert!(
                read[0].is_some() && read.iter().all(|one| *one == read[0]),
                "{same:?}"
            );
        }
        assert_ne!(parse("1k"), parse("1Ki"));
        for wrong in ["", "Mi", "-1", "1.2345", "x", "1e99", "１"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
