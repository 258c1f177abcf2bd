//! Names in tables and lines for people. `--json` has the whole names.

/// Characters of a name that are shown, enough for most issuers. A subject may have 1,024 bytes,
/// and a control character is six characters when it is shown.
const SHOWN_CHARS_LIMIT: usize = 80;

/// The name on one line: characters that move the cursor are escaped, and the middle of a long name
/// is left out, because issuers number their users at the end and name their kind at the beginning.
pub fn shown(name: &str) -> String {
    // In double quotes a single one needs no escape.
    let escaped = name.escape_debug().to_string().replace("\\'", "'");
    let escaped: Vec<char> = escaped.chars().collect();
    if escaped.len() <= SHOWN_CHARS_LIMIT {
        return escaped.into_iter().collect();
    }
    let tail = SHOWN_CHARS_LIMIT / 2 - 1;
    let (head, end) = (
        &escaped[..SHOWN_CHARS_LIMIT - tail - 1],
        &escaped[escaped.len() - tail..],
    );
    head.iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_whole_up_to_a_width_and_never_wider() {
        assert_eq!(shown("O'Brien\n"), "O'Brien\\n");
        let fits = "a".repeat(SHOWN_CHARS_LIMIT);
        assert_eq!(shown(&fits), fits);
        for name in [
            format!("{fits}b"),
            "auth0|".to_owned() + &"5".repeat(1_000) + "end",
            "\u{1b}".repeat(1_024),
            "日".repeat(341),
        ] {
            let shown = shown(&name);
            assert_eq!(shown.chars().count(), SHOWN_CHARS_LIMIT, "{shown}");
            assert!(!shown.contains(char::is_control), "{shown}");
        }
        let long = "auth0|".to_owned() + &"5".repeat(1_000) + "end";
        let shown = shown(&long);
        assert!(
            shown.starts_with("auth0|5") && shown.ends_with("5end"),
            "{shown}"
        );
    }
}
