//! Files that a browser may show instead of save: pictures and plain text, which it does not run.
//!
//! The type follows the name alone, and `nosniff` has a browser believe it: a page that is named
//! `x.png` is a picture that cannot be drawn. SVG is not among them: it has scripts.

use super::error::FileRejection;
use super::query::{FromQuery, Query};

/// What the end of a name says.
const TYPES: [(&str, &str); 8] = [
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".txt", "text/plain; charset=utf-8"),
    (".log", "text/plain; charset=utf-8"),
    (".csv", "text/csv; charset=utf-8"),
];

/// Parameters of a download.
#[derive(Debug)]
pub struct DownloadParams {
    /// To be shown, where that is safe.
    pub inline: bool,
}

impl FromQuery for DownloadParams {
    const KNOWN: &[&str] = &["inline"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        let inline = match query.text("inline")? {
            Some("") => true,
            _ => query.truth("inline")?.unwrap_or(false),
        };
        Ok(Self { inline })
    }
}

/// The type of a file with this name, where it may be shown.
pub fn media_type(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let known = TYPES.iter().find(|(end, _)| name.ends_with(end));
    known.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_browser_runs_has_a_type() {
        for (name, expected) in [
            ("a.png", Some("image/png")),
            ("A.JPEG", Some("image/jpeg")),
            ("a.csv", Some("text/csv; charset=utf-8")),
            ("a.html.txt", Some("text/plain; charset=utf-8")),
            ("a.svg", None),
            ("a.html", None),
            ("a.png.html", None),
            ("a.xml", None),
            ("a.pdf", None),
            ("a.js", None),
            ("png", None),
            ("", None),
        ] {
            assert_eq!(media_type(name), expected, "{name}");
        }
    }
}
