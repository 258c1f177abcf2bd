//! The workspace that a request names, beside the user of its credential.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use super::AuthRejection;
use super::challenge::Challenge;
use crate::config::{Bind, Config, WorkspaceHeader};
use crate::identity::{Principal, WorkspaceName};

/// How requests name workspaces. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceNaming {
    header: WorkspaceHeader,
    /// The one workspace is a directory of the host.
    is_one_directory: bool,
}

impl WorkspaceNaming {
    /// By the settings.
    pub fn new(config: &Config) -> Self {
        Self {
            header: config.http.workspace_header.clone(),
            is_one_directory: matches!(config.bind, Some(Bind::Dir(_))),
        }
    }

    /// The name in this request; `None`: the user's own workspace.
    fn named(&self, headers: &HeaderMap) -> Result<Option<WorkspaceName>, AuthRejection> {
        let header = self.header.name();
        let bad =
            |problem: String| AuthRejection::BadWorkspace(format!("{}: {problem}", shown(header)));
        let mut values = headers.get_all(header).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(bad("it is there more than once".to_owned()));
        }
        if self.is_one_directory {
            return Err(bad(
                "this server has one workspace, a directory of the host".to_owned(),
            ));
        }
        let text = std::str::from_utf8(value.as_bytes());
        let text = text.map_err(|_| bad("it is not valid UTF-8".to_owned()))?;
        let name = text.parse::<WorkspaceName>();
        name.map(Some).map_err(|error| bad(error.to_string()))
    }
}

/// In the usual spelling: `HeaderName` has it in lower case.
fn shown(header: &HeaderName) -> String {
    let parts = header.as_str().split('-');
    let capital = |part: &str| {
        let mut rest = part.chars();
        let first = rest.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(rest).collect::<String>()
    };
    parts.map(capital).collect::<Vec<_>>().join("-")
}

/// Puts the workspace that the request names into its [`Principal`], or refuses it. Inside
/// [`super::require`]: without an accepted credential a caller does not learn what a good name is.
pub async fn workspace(
    State(naming): State<WorkspaceNaming>,
    mut request: Request,
    next: Next,
) -> Response {
    match naming.named(request.headers()) {
        Ok(name) => {
            if let Some(principal) = request.extensions_mut().get_mut::<Principal>() {
                principal.identity.workspace = name;
            }
            next.run(request).await
        }
        Err(rejection) => Challenge::plain().reject(&rejection),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn named(
        naming: &WorkspaceNaming,
        headers: &[(&'static str, &[u8])],
    ) -> Result<Option<String>, String> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            all.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let name = naming
            .named(&all)
            .map_err(|rejection| rejection.to_string())?;
        Ok(name.map(|name| name.to_string()))
    }

    #[test]
    fn one_header_of_any_case_names_a_workspace_and_none_the_users_own() {
        let naming = WorkspaceNaming::default();
        let named = |headers: &[(&'static str, &[u8])]| named(&naming, headers);
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&[("X-Chat", b"a")]), Ok(None));
        for header in ["x-casemate-workspace", "X-CASEMATE-Workspace"] {
            assert_eq!(named(&[(header, b"chat-1")]), Ok(Some("chat-1".to_owned())));
        }
        assert_eq!(
            named(&[("x-casemate-workspace", "日本".as_bytes())]),
            Ok(Some("日本".to_owned()))
        );
        let long = "a".repeat(65);
        for bad in [&b""[..], b"\xff", b"a\tb", long.as_bytes()] {
            let refused = named(&[("x-casemate-workspace", bad)]).expect_err("refused");
            assert!(refused.starts_with("X-Casemate-Workspace: "), "{refused}");
        }
        let twice: [(&str, &[u8]); 2] = [
            ("x-casemate-workspace", b"a"),
            ("X-Casemate-Workspace", b"a"),
        ];
        let refused = named(&twice).expect_err("refused");
        assert_eq!(refused, "X-Casemate-Workspace: it is there more than once");
    }

    #[test]
    fn another_header_takes_the_place_of_ours_and_one_directory_has_no_names() {
        let other = WorkspaceNaming {
            header: "X-Conversation-Id".parse().expect("a header"),
            ..WorkspaceNaming::default()
        };
        let headers: [(&str, &[u8]); 2] =
            [("x-conversation-id", b"c"), ("x-casemate-workspace", b"a")];
        assert_eq!(named(&other, &headers), Ok(Some("c".to_owned())));
        let bound = WorkspaceNaming {
            is_one_directory: true,
            ..WorkspaceNaming::default()
        };
        assert_eq!(named(&bound, &[]), Ok(None));
        assert!(named(&bound, &[("x-casemate-workspace", b"a")]).is_err());
    }
}
