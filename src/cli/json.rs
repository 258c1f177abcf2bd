//! JSON on standard output. Names and texts in it come from users, so a character that a terminal
//! would obey is written as an escape. A reader of JSON gets the same text.

use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;

/// Writes `value` over several lines.
///
/// # Errors
/// The output's.
pub(super) fn write(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> anyhow::Result<()> {
    Ok(writeln!(
        out,
        "{}",
        escaped(&serde_json::to_string_pretty(value)?)
    )?)
}

/// Writes `value` on one line, and sends it on at once.
///
/// # Errors
/// The output's.
pub(super) fn write_line(
    out: &mut impl Write,
    value: &(impl Serialize + ?Sized),
) -> anyhow::Result<()> {
    writeln!(out, "{}", escaped(&serde_json::to_string(value)?))?;
    Ok(out.flush()?)
}

/// Outside of strings JSON has no such character, except the line feeds between its parts.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if !is_obeyed(character) {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// Whether it is a control character or a mark of direction, or is not visible alone.
fn is_obeyed(character: char) -> bool {
    match character.is_ascii() {
        // serde_json has escaped the others.
        true => character == '\u{7f}',
        false => character.escape_debug().count() > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_reaches_the_terminal_as_a_command_and_each_stays_the_same() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2066}\u{feff}\u{e0001}\r\n\t\"\\";
        let names = [
            "日本語 O'Brien",
            "שלום",
            "🦀",
            hostile,
            &hostile.repeat(700),
        ];
        for text in [
            serde_json::to_string_pretty(&names).expect("JSON"),
            serde_json::to_string(&names).expect("JSON"),
        ] {
            let escaped = escaped(&text);
            let is_plain = |c: char| c == '\n' || (!c.is_control() && !is_obeyed(c));
            assert!(escaped.chars().all(is_plain), "{escaped}");
            let read: Vec<String> = serde_json::from_str(&escaped).expect("JSON");
            assert_eq!(read, names);
        }
        let plain = serde_json::to_string(&names[..3]).expect("JSON");
        assert_eq!(escaped(&plain), plain);
    }
}
