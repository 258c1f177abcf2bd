//! The header in which a request names a workspace: ours, or one that a chat application sends anyway.

use std::str::FromStr;

use ::http::header::{self, HeaderName};

use super::value_error::ValueError;

/// Headers that say something else, besides those that begin as in [`TAKEN_PREFIXES`].
const TAKEN: [HeaderName; 16] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::COOKIE,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::LAST_MODIFIED,
    header::ORIGIN,
    header::RANGE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("x-casemate-user"),
];

/// The body's, the browser's, MCP's (whose session ids a client does not choose) and a proxy's.
const TAKEN_PREFIXES: [&str; 4] = ["content-", "sec-", "mcp-", "x-forwarded-"];

/// The name of a header, in lower case: names of headers have no case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceHeader(HeaderName);

impl WorkspaceHeader {
    /// The name, for lookups.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl Default for WorkspaceHeader {
    fn default() -> Self {
        Self(HeaderName::from_static("x-casemate-workspace"))
    }
}

impl FromStr for WorkspaceHeader {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let form = ValueError::Form("the name of a header, such as X-Casemate-Workspace");
        let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| form)?;
        let is_taken = TAKEN.contains(&name)
            || TAKEN_PREFIXES
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix));
        match is_taken {
            true => Err(ValueError::Form("a header that says nothing else")),
            false => Ok(Self(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::WORKSPACE_HEADER;

    #[test]
    fn a_header_of_its_own_is_one_whatever_its_case() {
        let default = WorkspaceHeader::default();
        assert_eq!(WORKSPACE_HEADER.parse(), Ok(default.clone()));
        assert_eq!("x-CASEMATE-workspace".parse(), Ok(default));
        assert!("X-Conversation-Id".parse::<WorkspaceHeader>().is_ok());
        for bad in [
            "",
            "a b",
            "a:",
            "é",
            "Authorization",
            "cookie",
            "X-Casemate-User",
            "Mcp-Session-Id",
            "Content-Type",
            "Sec-Fetch-Site",
        ] {
            assert!(bad.parse::<WorkspaceHeader>().is_err(), "{bad}");
        }
    }
}
