//! The URI of a file: `casemate:///<path>`, relative to the workspace, whose name is the authority
//! where it has one.

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode,
};

use crate::api::{Code, ToolError};
use crate::identity::WorkspaceId;
use crate::workspace::WorkspacePath;

/// The unreserved characters of RFC 3986 stand for themselves.
const ESCAPED_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// In a path slashes do, too.
const ESCAPED: &AsciiSet = &ESCAPED_NAME.remove(b'/');

/// Before the path.
fn prefix(workspace: &WorkspaceId) -> String {
    let name = workspace.name_str().unwrap_or_default();
    format!("casemate://{}/", utf8_percent_encode(name, ESCAPED_NAME))
}

/// Of every file in a workspace, as RFC 6570 writes it: the path keeps its slashes.
pub fn template(workspace: &WorkspaceId) -> String {
    format!("{}{{+path}}", prefix(workspace))
}

/// The URI of what is at `path`.
pub fn of_path(workspace: &WorkspaceId, path: &WorkspacePath) -> String {
    let path = percent_encode(path.as_bytes(), ESCAPED);
    format!("{}{path}", prefix(workspace))
}

/// The path that a URI names. It is decoded once, and then checked as every path is. A URI reaches
/// no other workspace than that of the request: its name must be spelled as [`of_path`] does.
///
/// # Errors
/// It is no URI of a file in this workspace, or leads out of it.
fn path(workspace: &WorkspaceId, uri: &str) -> Result<WorkspacePath, ToolError> {
    let Some(escaped) = uri.strip_prefix(&prefix(workspace)) else {
        let template = template(workspace);
        let problem = format!("is not {template}, the URI of a file in the workspace");
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
pub fn file(workspace: &WorkspaceId, uri: &str) -> Result<WorkspacePath, ToolError> {
    let path = path(workspace, uri)?;
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
    use crate::identity::User;

    fn workspace(name: Option<&str>) -> WorkspaceId {
        WorkspaceId {
            user: User::local("ada".parse().expect("a subject")),
            name: name.map(|name| name.parse().expect("a name")),
        }
    }

    #[test]
    fn a_uri_names_its_workspace_and_reaches_no_other() {
        let (own, chat) = (workspace(None), workspace(Some("chat/1 ü")));
        let path: WorkspacePath = "a b".parse().expect("a path");
        assert_eq!(of_path(&chat, &path), "casemate://chat%2F1%20%C3%BC/a%20b");
        assert_eq!(template(&chat), "casemate://chat%2F1%20%C3%BC/{+path}");
        assert_eq!(template(&own), "casemate:///{+path}");
        assert_eq!(file(&chat, &of_path(&chat, &path)), Ok(path.clone()));
        let other = workspace(Some("chat"));
        for (workspace, uri) in [
            (&own, of_path(&chat, &path)),
            (&chat, of_path(&own, &path)),
            (&other, of_path(&chat, &path)),
            (&chat, of_path(&other, &path)),
            (&chat, "casemate://chat/1 ü/a".to_owned()),
            (&other, "casemate://user@chat/a".to_owned()),
            (&other, "casemate://chat:1/a".to_owned()),
        ] {
            let refused = file(workspace, &uri).expect_err(&uri);
            assert_eq!(refused.code, Code::InvalidArgument, "{uri}");
        }
    }

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
            let uri = of_path(&workspace(None), &wanted);
            assert!(uri.is_ascii() && !uri.contains(' '), "{uri}");
            assert_eq!(file(&workspace(None), &uri), Ok(wanted), "{uri}");
        }
        let path: WorkspacePath = "a b/ü".parse().expect("a path");
        let uri = of_path(&workspace(None), &path);
        assert_eq!(uri, "casemate:///a%20b/%C3%BC");
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
            let refused = file(&workspace(None), uri).expect_err(uri);
            assert_eq!(refused.code, code, "{uri}: {refused}");
        }
    }
}
