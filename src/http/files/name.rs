//! The names of uploaded files.

use super::error::FileRejection;

/// The kernel's limit on one name, in bytes (`NAME_MAX`, limits.h).
const MAX_NAME: usize = 255;

/// The name that a part of a multipart body gives its file: the last component of the client's
/// name, unchanged. A name that could not be kept exactly is refused, not changed.
pub fn file_name(given: Option<&str>) -> Result<String, FileRejection> {
    let given = given.ok_or_else(|| {
        FileRejection::bad("a part of the body has no `filename`; every `file` needs one.")
    })?;
    let given = unescaped(given);
    // Some clients send a whole path with the separators of their system.
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    if matches!(name, "" | "." | "..") {
        return Err(FileRejection::bad(format!("{given:?} names no file.")));
    }
    if name.len() > MAX_NAME {
        return Err(FileRejection::bad(format!(
            "a file name has {} bytes; {MAX_NAME} at most.",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(FileRejection::bad(format!(
            "the file name {name:?} has control characters."
        )));
    }
    Ok(name.to_owned())
}

/// Browsers and curl write three characters of a name with `%` and leave all others,
/// `%` too, as they are (HTML, "multipart/form-data encoding algorithm").
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_component_counts() {
        for (given, name) in [
            ("a.txt", "a.txt"),
            ("dir/a.txt", "a.txt"),
            ("/etc/passwd", "passwd"),
            ("../../a", "a"),
            (r"C:\fakepath\a b.txt", "a b.txt"),
            (r"..\a", "a"),
            ("日本 é.txt", "日本 é.txt"),
            ("-rf", "-rf"),
            ("...", "..."),
            ("say %22hi%22", "say \"hi\""),
            ("100%25", "100%25"),
            (".hidden", ".hidden"),
        ] {
            assert_eq!(file_name(Some(given)).as_deref(), Ok(name), "{given:?}");
        }
        assert!(file_name(Some(&"n".repeat(255))).is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "é".repeat(128);
        for given in [
            "",
            ".",
            "..",
            "a/",
            "a\\",
            "/",
            "a/..",
            "a\0b",
            "a\nb",
            "a%0Ab",
            "a\x1b[31m",
            "\x7f",
            "\u{85}",
            &long,
        ] {
            let refused = file_name(Some(given)).expect_err(given);
            assert_eq!(
                (refused.status.as_u16(), refused.code),
                (400, "invalid_argument")
            );
        }
        assert!(file_name(None).is_err());
    }
}
