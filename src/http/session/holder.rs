//! The holder of a session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::http::auth::tokens::TokenDigest;
use crate::http::auth::{Authenticator, Jwt};
use crate::identity::{Identity, Principal, Scopes};

/// The holder of a session, as it is in the cookie.
#[derive(Debug, Serialize, Deserialize)]
pub enum SessionHolder {
    /// The user of the token with this SHA-256, in base64.
    Token(String),
    /// A subject of the server's one issuer, with what its access token gave at the sign-in.
    Subject {
        realm: String,
        subject: String,
        tools: bool,
        files: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
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
            subject: principal.identity.user.subject.as_str().to_owned(),
            group: principal.identity.group_str().map(str::to_owned),
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
                    group,
                },
                Authenticator::Jwt(jwt),
            ) if sealed == jwt.realm() => Some(Principal {
                identity: Identity {
                    user: jwt.user(subject.parse().ok()?),
                    group: match group {
                        Some(name) => Some(name.parse().ok()?),
                        None => None,
                    },
                    // A request of the page names it.
                    workspace: None,
                },
                scopes: Scopes {
                    tools: *tools,
                    files: *files,
                },
            }),
            _ => None,
        }
    }
}
