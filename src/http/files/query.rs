//! The parameters after `?`, with errors in our own words.

use std::borrow::Cow;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode;

use super::error::FileRejection;
use super::request::{escapes_are_whole, workspace_path};
use crate::config::limits::Bounds;
use crate::workspace::WorkspacePath;

/// The parameters of a route. Unknown and duplicate ones are refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: FromQuery, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = FileRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, FileRejection> {
        let query = Query::parse(parts.uri.query().unwrap_or_default(), T::KNOWN)?;
        T::from_query(&query).map(Self)
    }
}

/// The parameters that a route takes.
pub trait FromQuery: Sized {
    /// The names of its parameters.
    const KNOWN: &[&str];

    /// Reads the given parameters.
    ///
    /// # Errors
    /// A parameter is wrong: its name, and what it may be.
    fn from_query(query: &Query) -> Result<Self, FileRejection>;
}

/// Known parameters, each once, decoded.
#[derive(Debug)]
pub struct Query(Vec<(String, QueryValue)>);

/// A value.
#[derive(Debug)]
struct QueryValue {
    bytes: Vec<u8>,
    /// It has spaces that came as `+`.
    has_plus: bool,
}

impl Query {
    /// Names and values as forms write them (WHATWG URL, section 5.1): `+` is a space.
    fn parse(text: &str, known: &[&str]) -> Result<Self, FileRejection> {
        escapes_are_whole(text)?;
        let mut found = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8_lossy(&decoded(name)).into_owned();
            if !known.contains(&name.as_str()) {
                let known = NameList(known);
                return Err(FileRejection::bad(format!(
                    "there is no parameter {name:?} here{known}."
                )));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(FileRejection::bad(format!(
                    "the parameter `{name}` is there twice."
                )));
            }
            let value = QueryValue {
                bytes: decoded(value),
                has_plus: value.contains('+'),
            };
            found.push((name, value));
        }
        Ok(Self(found))
    }

    fn value(&self, name: &str) -> Option<&QueryValue> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }

    /// A text, if it is given.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, FileRejection> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&value.bytes);
        text.map(Some)
            .map_err(|_| FileRejection::bad(format!("`{name}` is not UTF-8.")))
    }

    /// A number, if it is given.
    ///
    /// # Errors
    /// It is not a number, or out of bounds.
    pub fn number(&self, name: &str, bounds: Bounds<u32>) -> Result<Option<u32>, FileRejection> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let Bounds { least, most, .. } = bounds;
        let problem = || FileRejection::bad(format!("`{name}` is a number, {least} to {most}."));
        number.map(Some).ok_or_else(problem)
    }

    /// One of two words, if it is given.
    ///
    /// # Errors
    /// It is another word.
    pub fn truth(&self, name: &str) -> Result<Option<bool>, FileRejection> {
        match self.text(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(FileRejection::bad(format!("`{name}` is true or false."))),
        }
    }

    /// A path; without one, the workspace.
    ///
    /// # Errors
    /// It is not a path, or `+` was meant where a space is.
    pub fn path(&self, name: &str) -> Result<WorkspacePath, FileRejection> {
        let Some(value) = self.value(name) else {
            return workspace_path(b"");
        };
        if value.has_plus && has_odd_space(&value.bytes) {
            return Err(FileRejection::bad(format!(
                "a + in `{name}` stands for a space; write it as %2B, or a space as %20."
            )));
        }
        workspace_path(&value.bytes)
    }
}

/// A name that begins or ends with a space, or has two in a row: so is what `c++` becomes.
fn has_odd_space(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    names.any(|name| {
        name.starts_with(b" ") || name.ends_with(b" ") || name.windows(2).any(|pair| pair == b"  ")
    })
}

fn decoded(text: &str) -> Vec<u8> {
    let spaced: Cow<'_, [u8]> = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ").into_bytes()),
        false => Cow::Borrowed(text.as_bytes()),
    };
    percent_decode(&spaced).collect()
}

/// The known names.
struct NameList<'a>(&'a [&'a str]);

impl fmt::Display for NameList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, name) in self.0.iter().enumerate() {
            let before = if nth == 0 { "; it takes" } else { "," };
            write!(f, "{before} `{name}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    const KNOWN: &[&str] = &["path", "depth", "recursive"];

    fn query(text: &str) -> Result<Query, FileRejection> {
        Query::parse(text, KNOWN)
    }

    fn path(text: &str) -> Result<Vec<u8>, FileRejection> {
        Ok(query(text)?.path("path")?.as_bytes().to_vec())
    }

    #[test]
    fn a_path_is_the_bytes_that_it_stands_for() {
        for (text, expected) in [
            ("", &b""[..]),
            ("path=", b""),
            ("path=a%20b+c%2Fd", b"a b c/d"),
            ("path=caf%E9", b"caf\xe9"),
            ("path=caf%5Cxe9", b"caf\\xe9"),
            ("path=c%2B%2B", b"c++"),
            ("&path=a&", b"a"),
            ("path=%20a%20%20", b" a  "),
        ] {
            assert_eq!(path(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_words_of_ours() {
        for (text, said) in [
            ("path=c++", "write it as %2B"),
            ("path=c++/main.c", "write it as %2B"),
            ("path=a&path=b", "`path` is there twice"),
            (
                "pth=a",
                "no parameter \"pth\" here; it takes `path`, `depth`, `recursive`.",
            ),
            ("path=%", "%25"),
            ("path=%zz", "%25"),
        ] {
            let refused = path(text).expect_err(text);
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
            assert!(refused.message.contains(said), "{}", refused.message);
        }
        let bounds = crate::config::limits::LIST_DEPTH;
        for text in [
            "depth=x",
            "depth=",
            "depth=0",
            "depth=65",
            "depth=-1",
            "depth=%ff",
        ] {
            assert!(
                query(text)
                    .and_then(|query| query.number("depth", bounds))
                    .is_err(),
                "{text}"
            );
        }
        for text in ["recursive", "recursive=1", "recursive=TRUE"] {
            assert!(
                query(text)
                    .and_then(|query| query.truth("recursive"))
                    .is_err(),
                "{text}"
            );
        }
    }
}
