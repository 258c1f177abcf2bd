//! The person who opens a link.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::refusal::LinkRefusal;
use crate::http::auth::Authenticator;
use crate::http::session::Sessions;
use crate::identity::{Identity, Principal};
use crate::shares::LinkClaims;

/// The sender of a request for a link.
#[derive(Debug)]
pub enum Visitor {
    /// A user with a session of the page or a token; with auth `none`, the one user.
    SignedIn(Principal),
    /// A person who has only the link.
    Stranger,
}

impl Visitor {
    /// By the token of the request, else by its session.
    ///
    /// # Errors
    /// A token that is not accepted.
    pub async fn of(
        parts: &Parts,
        sessions: &Sessions,
        authenticator: &Authenticator,
    ) -> Result<Self, LinkRefusal> {
        let has_token = parts.headers.contains_key(AUTHORIZATION);
        if has_token || matches!(authenticator, Authenticator::Nobody(_)) {
            let principal = authenticator.authenticate(parts).await;
            return principal
                .map(Self::SignedIn)
                .map_err(LinkRefusal::Credential);
        }
        let signed_in = sessions.visitor(&parts.headers);
        Ok(signed_in.map_or(Self::Stranger, Self::SignedIn))
    }

    /// The user with their group, if the link is theirs and their credential is good for files.
    pub fn owner_of(&self, claims: &LinkClaims) -> Option<&Identity> {
        match self {
            Self::SignedIn(Principal { identity, scopes }) => {
                (scopes.files && identity.user.hash() == claims.user).then_some(identity)
            }
            Self::Stranger => None,
        }
    }

    /// Why a link that is not open to everybody does not open for this visitor: one who signs in may
    /// be its user, and for another user there is nothing.
    pub fn refused(&self) -> LinkRefusal {
        match self {
            Self::SignedIn(_) => LinkRefusal::Gone,
            Self::Stranger => LinkRefusal::SignIn,
        }
    }
}
