//! The URI of a file: `casemate:///<path>`, relative to the workspace.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::api::{Code, ToolError};
use crate::workspace::WorkspacePath;

/// Of every file, as RFC 6570 writes it: the path keeps its slashes.
pub const TEMPLATE: &str = "casemate:///{+path}";

/// Before the path. The authority is empty: each user has one workspace.
const PREFIX: &str = "casemate:///";

/// The unreserved characters of RFC 3986, and slashes, stand for themselves.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The URI of what is at `path`.
pub fn of_path(path: &WorkspacePath) -> String {
    format!("{PREFIX}{}", percent_encode(path.as_bytes(), ESCAPED))
}

/// The path that a URI names. It is decoded once, and then checked as every path is.
///
/// # Errors
/// It is no URI of a file, or leads out of the workspace.
pub fn path(uri: &str) -> Result<WorkspacePath, ToolError> {
    let Some(escaped) = uri.strip_prefix(PREFIX) else {
        let problem = format!("is not {TEMPLATE}, the URI of a file in the workspace");
        return Err(ToolError::argument("uri", problem));
    };
    if escaped.contains(['?', '#']) {
        let problem = "has a ? or a #; in a name they are written as %3F and %23";
        return Err(ToolError::argument("uri", problem));
    }
    let bytes: Vec<u8> = percent_decode_str(escaped).collect();
    WorkspacePath::of_bytes(&bytes).map_err(|error| {
        let ToolError { code, .. } = ToolError::path(&error);
        ToolError::new(code, format!("`uri`: {error}."))
    })
}

/// The path of a file that a URI names.
///
/// # Errors
/// As for [`path`], and for a URI that can only name a directory.
pub fn file(uri: &str) -> Result<WorkspacePath, ToolError> {
    let path = path(uri)?;
    match path.names_directory() {
        true => {
            let sentence = format!("\"{path}\" names a directory; give the URI of a file.");
            Err(ToolError::new(Code::IsDirectory, sentence))
        }
        false => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_uri_that_leads_back_to_it() {
        for bytes in [
            &b"a.txt"[..],
            b"dir/a b.txt",
            b"100%",
            b"a?b#c",
            b"caf\xe9/\xff",
            "日本.csv".as_bytes(),
            b"$'a'",
        ] {
            let wanted = WorkspacePath::of_bytes(bytes).expect("a path");
            let uri = of_path(&wanted);
            assert!(uri.is_ascii() && !uri.contains(' '), "{uri}");
            assert_eq!(file(&uri), Ok(wanted), "{uri}");
        }
        let path: WorkspacePath = "a b/ü".parse().expect("a path");
        assert_eq!(of_path(&path), "casemate:///a%20b/%C3%BC");
    }

    #[test]
    fn what_names_no_file_of_the_workspace_is_refused() {
        for (uri, code) in [
            ("", Code::InvalidArgument),
            ("a.txt", Code::InvalidArgument),
            ("file:///a.txt", Code::InvalidArgument),
            ("casemate://other/a.txt", Code::InvalidArgument),
            ("casemate:///", Code::InvalidArgument),
            ("casemate:///a?b", Code::InvalidArgument),
            ("casemate:///a#b", Code::InvalidArgument),
            ("casemate:///a%00b", Code::InvalidArgument),
            ("casemate:///../a", Code::OutsideWorkspace),
            ("casemate:///%2e%2e/a", Code::OutsideWorkspace),
            ("casemate:///%2Fetc/passwd", Code::OutsideWorkspace),
            ("casemate:////etc/passwd", Code::OutsideWorkspace),
            ("casemate:///a/", Code::IsDirectory),
            ("casemate:///.", Code::IsDirectory),
        ] {
            let refused = file(uri).expect_err(uri);
            assert_eq!(refused.code, code, "{uri}: {refused}");
        }
    }
}
