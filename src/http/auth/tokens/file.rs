//! The file of tokens.
//!
//! ```toml
//! [[tokens]]
//! name = "alice-laptop"
//! sha256 = "9f86…"           # `casemate token` prints it
//! user = "alice"             # or delegate = true; in the file of operators admin = true
//! scopes = ["tools"]         # both if omitted
//! ```
//!
//! No error repeats a value, nor an unknown key: either may be the token itself, and errors are
//! logged.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{Holder, Token, TokenDigest, TokenName};
use crate::config::{FileError, FileLocation};
use crate::identity::{Scope, Scopes, Subject};

/// The keys of a token, for the error about an unknown one.
const KEYS: &str = "name, sha256, user, delegate, admin and scopes";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tokens: Vec<Spanned<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: Spanned<String>,
    sha256: Spanned<String>,
    user: Option<Spanned<String>>,
    #[serde(default)]
    delegate: bool,
    #[serde(default)]
    admin: bool,
    scopes: Option<Spanned<Vec<String>>>,
}

/// The problem, and the bytes that it is in.
type Wrong = (Range<usize>, String);

/// The tokens of a file of users; `path` is only repeated in errors.
///
/// # Errors
/// The problem and its line.
pub fn parse(path: &Arc<Path>, text: &str) -> Result<Vec<Token>, FileError> {
    parse_of(path, text, false)
}

/// The tokens of a file of operators.
///
/// # Errors
/// As [`parse`].
pub fn parse_admin(path: &Arc<Path>, text: &str) -> Result<Vec<Token>, FileError> {
    parse_of(path, text, true)
}

fn parse_of(path: &Arc<Path>, text: &str, admin: bool) -> Result<Vec<Token>, FileError> {
    tokens(text, admin).map_err(|(at, message)| {
        let before = text.bytes().take(at.start);
        let line = 1 + before.filter(|&b| b == b'\n').count();
        let path = path.clone();
        let place = FileLocation { path, line };
        FileError::Line { place, message }
    })
}

fn tokens(text: &str, admin: bool) -> Result<Vec<Token>, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| {
        (
            error.span().unwrap_or_default(),
            without_values(error.message()),
        )
    })?;
    // One name may have several tokens: a new one is issued before the old one is removed.
    let mut digests = HashSet::new();
    let mut tokens = Vec::with_capacity(file.tokens.len());
    for row in &file.tokens {
        let token = token(row)?;
        if (token.holder == Holder::Admin) != admin {
            let where_to = match admin {
                true => "a token of a user belongs in the file of tokens_file",
                false => "a token with admin = true belongs in the file of admin_tokens_file",
            };
            return Err((row.span(), where_to.to_owned()));
        }
        if !digests.insert(token.digest) {
            let at = row.get_ref().sha256.span();
            return Err((at, "another token has the same sha256".to_owned()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// serde's errors about unknown keys and wrong types repeat them.
fn without_values(message: &str) -> String {
    if message.starts_with("unknown field") {
        return format!("an unknown key; the file has [[tokens]] tables, a token has {KEYS}");
    }
    if message.starts_with("invalid ") && message.contains("expected a ") {
        return format!("a value is not what its key takes; a token has {KEYS}");
    }
    message.to_owned()
}

fn token(row: &Spanned<Row>) -> Result<Token, Wrong> {
    let at = row.span();
    let row = row.get_ref();
    Ok(Token {
        name: read(&row.name, |text| {
            text.parse::<TokenName>().map_err(|error| error.to_string())
        })?,
        digest: read(&row.sha256, |text| {
            hexadecimal(text).ok_or_else(|| "sha256 has 64 hexadecimal digits".to_owned())
        })?,
        holder: match (&row.user, row.delegate, row.admin) {
            (Some(user), false, false) => Holder::User(read(user, |text| {
                text.parse::<Subject>().map_err(|error| error.to_string())
            })?),
            (None, true, false) => Holder::Delegate,
            (None, false, true) => Holder::Admin,
            _ => {
                return Err((
                    at,
                    "a token has one of user, delegate = true and admin = true".to_owned(),
                ));
            }
        },
        scopes: row.scopes.as_ref().map_or(Ok(Scopes::ALL), scopes)?,
    })
}

fn read<T>(
    value: &Spanned<String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Wrong> {
    parse(value.get_ref()).map_err(|message| (value.span(), message))
}

fn scopes(words: &Spanned<Vec<String>>) -> Result<Scopes, Wrong> {
    words
        .get_ref()
        .iter()
        .try_fold(Scopes::NONE, |scopes, word| {
            let scope = Scope::from_word(word);
            let unknown = || (words.span(), "the scopes are tools and files".to_owned());
            Ok(scopes.with(scope.ok_or_else(unknown)?))
        })
}

fn hexadecimal(text: &str) -> Option<TokenDigest> {
    let mut digest = TokenDigest::default();
    if text.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` accepts a sign.
        let digits = pair.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = digits.then(|| u8::from_str_radix(pair, 16).ok())??;
    }
    Some(digest)
}
