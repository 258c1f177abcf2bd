//! A missing name, and an existing one that looks the same: `é` is one character or two
//! (Unicode, UAX #15), macOS writes the second, and Linux compares bytes.

use casemate_protocol::ListFilesRequest;
use casemate_protocol::failure::Code as Failed;
use unicode_normalization::UnicodeNormalization as _;

use crate::api::ToolError;
use crate::config::limits::{LIST_CHARS, LIST_LIMIT};
use crate::sandbox::{Sandbox, SandboxError};

/// The error about a file; if the file is missing, with the name in its directory that looks the
/// same.
pub(super) async fn named(
    sandbox: &Sandbox,
    path: &[u8],
    error: &SandboxError,
    told: ToolError,
) -> ToolError {
    let is_missing =
        matches!(error, SandboxError::Failed(failure) if failure.code() == Failed::NotFound);
    // A name that is not text looks like no other.
    let text = std::str::from_utf8(path).unwrap_or_default();
    if !is_missing || text.is_ascii() {
        return told;
    }
    let (directory, name) = split(text);
    let request = ListFilesRequest {
        path: directory.to_owned().into(),
        depth: 1,
        limit: LIST_LIMIT.most,
        max_chars: LIST_CHARS,
        ..ListFilesRequest::default()
    };
    let Ok(listed) = sandbox.list_files(request).await else {
        return told;
    };
    let paths = listed.value.entries.iter();
    let paths = paths.filter_map(|entry| std::str::from_utf8(&entry.path).ok());
    match twin(name, paths.map(|path| split(path).1)) {
        Some(twin) => ToolError::new(told.code, format!("{} {}", told.sentence, sentence(twin))),
        None => told,
    }
}

/// The directory, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The name of other characters that looks the same.
fn twin<'a>(name: &str, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.find(|other| *other != name && other.nfc().eq(name.nfc()))
}

/// With the code points too, because both names look alike.
fn sentence(name: &str) -> String {
    let numbers: String = name
        .chars()
        .map(|char| match char {
            ' '..='~' => char.to_string(),
            other => other.escape_unicode().to_string(),
        })
        .collect();
    format!(
        "\"{name}\" looks the same and is there, in other Unicode characters: {numbers}. Use \
         that name, or rename it with shell_exec."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_the_same_is_found_and_shown_by_its_characters() {
        let names = ["cafe.txt", "cafe\u{301}.txt", "caf\u{e9}.txt.bak"];
        let found = twin("caf\u{e9}.txt", names.into_iter());
        assert_eq!(found, Some("cafe\u{301}.txt"));
        assert_eq!(twin("cafe\u{301}.txt", names.into_iter()), None);
        let told = sentence("cafe\u{301}.txt");
        assert!(told.contains(r"characters: cafe\u{301}.txt."), "{told}");
    }
}
