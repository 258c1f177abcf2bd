//! Tokens whose digests are in a file: each is one user's, or a delegate's.
//!
//! A delegate is an application with its own users. It names one in `X-Casemate-User` in every
//! request; the issuer of these users is the token's name.

mod file;
mod name;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use file::{parse, parse_admin};
pub use name::{NameError, TokenName};

use super::AuthRejection;
use super::bearer::Bearer;
use crate::config::{FileError, Groups, Reload};
use crate::identity::{Identity, Principal, Scopes, Subject, User};

/// In a request with a delegate's token: the user that it is for.
pub const USER_HEADER: HeaderName = HeaderName::from_static("x-casemate-user");

/// What the file keeps of a token: SHA-256. Nothing slower is needed: 256 random bits cannot be
/// guessed, and a reader of the file learns no token.
pub type TokenDigest = [u8; 32];

/// The prefix of our tokens, for scanners of leaked secrets.
const PREFIX: &str = "cm_";

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people; of a delegate, the issuer of its users.
    pub name: TokenName,
    /// Of the token itself, which is nowhere.
    pub digest: TokenDigest,
    pub holder: Holder,
    pub scopes: Scopes,
}

/// The holder of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user with the issuer `local`, the same as over stdio.
    User(Subject),
    /// An application.
    Delegate,
    /// An operator, for the console alone.
    Admin,
}

/// The tokens in force.
#[derive(Debug)]
pub struct Tokens {
    file: Reload<Vec<Token>>,
    groups: Arc<Groups>,
}

/// The tokens of operators, in a separate file: only they open the console.
#[derive(Debug)]
pub struct AdminTokens(Reload<Vec<Token>>);

impl AdminTokens {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Reload::load(path, parse_admin).map(Self)
    }

    /// The name of the token that the request has, if it is one of them.
    pub fn admit(&self, headers: &HeaderMap) -> Option<TokenName> {
        let tokens = self.0.current();
        let bearer = Bearer::of(headers).ok()?;
        let token = find(&tokens, &digest(bearer.expose()))?;
        Some(token.name.clone())
    }
}

/// A new token: 256 bits of the system's random numbers.
///
/// # Errors
/// The system has none.
pub fn generate() -> Result<String, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// What the file keeps of `token`.
pub fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn load(path: &Path, groups: Arc<Groups>) -> Result<Self, FileError> {
        let file = Reload::load(path, parse)?;
        Ok(Self { file, groups })
    }

    fn principal_of(&self, user: User, scopes: Scopes) -> Principal {
        let group = self.groups.without_token(&user);
        let group = group.map(|group| group.name.clone());
        Principal {
            identity: Identity {
                group,
                ..Identity::from(user)
            },
            scopes,
        }
    }

    /// The holder of this token, or the user that a delegate names.
    ///
    /// # Errors
    /// The token is unknown, or a delegate names no user.
    pub fn principal(
        &self,
        bearer: &Bearer,
        headers: &HeaderMap,
    ) -> Result<Principal, AuthRejection> {
        let tokens = self.file.current();
        let unknown = AuthRejection::Invalid("it is not known");
        let token = find(&tokens, &digest(bearer.expose())).ok_or(unknown)?;
        let user = match &token.holder {
            Holder::User(subject) => {
                reject_user_header(headers)?;
                User::local(subject.clone())
            }
            Holder::Delegate => User {
                issuer: token.name.issuer(),
                subject: named(headers)?,
            },
            // The file of users has none.
            Holder::Admin => return Err(AuthRejection::Invalid("it is not known")),
        };
        Ok(self.principal_of(user, token.scopes))
    }
}

impl Tokens {
    /// The user who has the token with this digest; `None` for an unknown one and for a delegate's.
    pub fn user_of(&self, digest: &TokenDigest) -> Option<Principal> {
        let tokens = self.file.current();
        let token = find(&tokens, digest)?;
        match &token.holder {
            Holder::User(subject) => {
                let user = User::local(subject.clone());
                Some(self.principal_of(user, token.scopes))
            }
            Holder::Delegate | Holder::Admin => None,
        }
    }

    /// Whether it is a token of the file, of a user or a delegate.
    pub fn knows(&self, bearer: &Bearer) -> bool {
        let tokens = self.file.current();
        find(&tokens, &digest(bearer.expose())).is_some()
    }

    /// Whether the token with this digest is a delegate's.
    pub fn is_delegate(&self, digest: &TokenDigest) -> bool {
        let tokens = self.file.current();
        find(&tokens, digest).is_some_and(|token| token.holder == Holder::Delegate)
    }
}

/// Only a delegate's request may name a user.
pub fn reject_user_header(headers: &HeaderMap) -> Result<(), AuthRejection> {
    if headers.contains_key(USER_HEADER) {
        return Err(AuthRejection::NotADelegate);
    }
    Ok(())
}

/// Compares all digests to their last byte, so that the time reveals nothing about any of them.
fn find<'a>(tokens: &'a [Token], digest: &TokenDigest) -> Option<&'a Token> {
    tokens.iter().fold(None, |found, token| {
        let equal = bool::from(token.digest.ct_eq(digest));
        if equal { Some(token) } else { found }
    })
}

/// The user that a delegate names. Exact bytes except white space at the ends, which HTTP drops.
fn named(headers: &HeaderMap) -> Result<Subject, AuthRejection> {
    let mut values = headers.get_all(USER_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(AuthRejection::WhichUser);
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| AuthRejection::UserNotUtf8)?;
    Ok(text.parse()?)
}
