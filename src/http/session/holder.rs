//! The holder of a session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::http::auth::tokens::TokenDigest;
use crate::http::auth::{Authenticator, Jwt};
use crate::identity::{Principal, Scopes};

/// The holder of a session, as it is in the cookie.
#[derive(Debug, Serialize, Deserialize)]
pub enum SessionHolder {
    /// The user of the token with this SHA-256, in base64.
    Token(String),
    /// A subject of the server's one issuer, with the scopes of the access token.
    Subject {
        realm: String,
        subject: String,
        tools: bool,
        files: bool,
    },
}

impl SessionHolder {
    /// The holder of the token with this digest.
    pub fn token_of(digest: &TokenDigest) -> Self {
        Self::Token(STANDARD.encode(digest))
    }

    /// The holder of an access token.
    pub fn subject_of(principal: &Principal, jwt: &Jwt) -> Self {
        Self::Subject {
            realm: jwt.realm().to_owned(),
            subject: principal.user.subject.as_str().to_owned(),
            tools: principal.scopes.tools,
            files: principal.scopes.files,
        }
    }

    /// The user now; `None` where the credential is not valid any more.
    pub fn principal(&self, authenticator: &Authenticator) -> Option<Principal> {
        match (self, authenticator) {
            (Self::Token(digest), Authenticator::Tokens(tokens)) => {
                let digest = STANDARD.decode(digest).ok()?;
                tokens.user_of(&digest.try_into().ok()?)
            }
            (
                Self::Subject {
                    realm: sealed,
                    subject,
                    tools,
                    files,
                },
                Authenticator::Jwt(jwt),
            ) if sealed == jwt.realm() => Some(Principal {
                user: jwt.user(subject.parse().ok()?),
                scopes: Scopes {
                    tools: *tools,
                    files: *files,
                },
            }),
            _ => None,
        }
    }
}
