//! Why nothing was edited: the text is missing, or occurs too often.

use casemate_protocol::no_match::Difference;
use casemate_protocol::{NoMatch, SeveralMatches};

use crate::api::{Code, ToolError};
use crate::workspace::WorkspacePath;

/// Characters of a similar text that are shown. PID 1 sends fewer.
const TEXT_CHARS: usize = 4_000;

/// Line numbers that are listed. PID 1 sends fewer.
const LINES: usize = 50;

/// The text is missing; shows the text that may be meant.
pub(super) fn none(none: &NoMatch, path: &WorkspacePath) -> ToolError {
    let line = none.line;
    let (what, next) = match none.difference() {
        Difference::NothingLikeIt => (
            "and nothing similar is".to_owned(),
            "Read the file, then give the text exactly as it is there.",
        ),
        Difference::WhiteSpace => (
            format!("but with different white space it is at line {line}"),
            "Give it exactly as it is there:",
        ),
        Difference::LineEnds => (
            format!("but with different line endings (CRLF or LF) it is at line {line}"),
            "Give one line without its end, or change the line endings with shell_exec:",
        ),
        Difference::Closest => (
            format!("the most similar text is at line {line}"),
            "If you meant that, give it exactly as it is there:",
        ),
    };
    let mut sentence = format!("`old_text` is not in \"{path}\", {what}. {next}");
    if !none.text.is_empty() {
        let text: String = none.text.chars().take(TEXT_CHARS).collect();
        sentence = format!("{sentence}\n{text}");
    }
    ToolError::new(Code::NoMatch, sentence)
}

/// The text is there more than once.
pub(super) fn several(several: &SeveralMatches, path: &WorkspacePath) -> ToolError {
    let numbers: Vec<String> = several
        .lines
        .iter()
        .take(LINES)
        .map(u64::to_string)
        .collect();
    let count = several.count;
    let more = if (numbers.len() as u64) < count {
        " and more"
    } else {
        ""
    };
    let sentence = format!(
        "`old_text` is in \"{path}\" {count} times, at lines {}{more}. Add text around the one \
         you mean, or set replace_all.",
        numbers.join(", ")
    );
    ToolError::new(Code::SeveralMatches, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> WorkspacePath {
        "a.txt".parse().expect("a path")
    }

    #[test]
    fn every_difference_is_said_in_words_with_the_line() {
        for (difference, word) in [
            (Difference::WhiteSpace, "white space"),
            (Difference::LineEnds, "line endings"),
            (Difference::Closest, "most similar text"),
        ] {
            let meant = NoMatch {
                difference: difference.into(),
                line: 7,
                text: "as it is".to_owned(),
            };
            let error = none(&meant, &path());
            assert_eq!(error.code, Code::NoMatch);
            assert!(error.sentence.contains(word), "{error}");
            assert!(error.sentence.contains("line 7"), "{error}");
            assert!(error.sentence.ends_with(":\nas it is"), "{error}");
        }
        let nothing = none(&NoMatch::default(), &path());
        assert!(nothing.sentence.ends_with("as it is there."), "{nothing}");
    }

    #[test]
    fn several_matches_name_their_lines() {
        let several = |count, lines: &[u64]| {
            let lines = lines.to_vec();
            super::several(&SeveralMatches { count, lines }, &path()).sentence
        };
        assert!(several(2, &[3, 9]).contains("2 times, at lines 3, 9. "));
        assert!(several(5, &[3, 9]).contains("5 times, at lines 3, 9 and more. "));
    }
}
