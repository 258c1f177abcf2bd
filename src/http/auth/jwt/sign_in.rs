//! The tokens of a sign-in on the page: an access token that did not come with a request, and an ID
//! token.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{ALGORITHMS, Jwt, LEEWAY, reason};
use crate::http::auth::AuthRejection;
use crate::http::auth::bearer::Bearer;
use crate::identity::Principal;

/// The claims of an ID token (OpenID Connect Core, section 2) that `jsonwebtoken` does not check.
#[derive(Debug, Deserialize)]
struct IdClaims {
    iss: String,
    sub: String,
    nonce: String,
    aud: Audience,
    /// The client that it was issued to, if it has several audiences.
    azp: Option<String>,
}

/// The audiences; `jsonwebtoken` checks only that the client is one of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn is_only(&self, client_id: &str) -> bool {
        match self {
            Self::One(name) => name == client_id,
            Self::Several(names) => names.iter().all(|name| name == client_id),
        }
    }
}

impl Jwt {
    /// The user of an access token, by the same checks as for one in a request.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub async fn principal_of(&self, access_token: &str) -> Result<Principal, AuthRejection> {
        let malformed = |_| AuthRejection::Invalid("it is malformed");
        let value = HeaderValue::try_from(format!("Bearer {access_token}")).map_err(malformed)?;
        let headers: HeaderMap = [(AUTHORIZATION, value)].into_iter().collect();
        self.principal(&Bearer::of(&headers)?).await
    }

    /// Checks that the ID token belongs to this sign-in: for this client, with this nonce, of this subject
    /// (OpenID Connect Core, section 3.1.3.7). It gives no identity.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn check_id_token(
        &self,
        token: &str,
        client_id: &str,
        nonce: &str,
        subject: &str,
    ) -> Result<(), AuthRejection> {
        let header = decode_header(token).map_err(|_| AuthRejection::Invalid("it is malformed"))?;
        if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
            return Err(AuthRejection::Invalid("its algorithm is not accepted"));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[self.issuer()]);
        validation.set_audience(&[client_id]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let decoded = decode::<IdClaims>(token, &key.decoding, &validation);
        let claims = decoded
            .map_err(|error| AuthRejection::Invalid(reason(&error)))?
            .claims;
        if claims.iss != self.issuer() {
            return Err(AuthRejection::Invalid("it is from another issuer"));
        }
        // The client is the only audience, or the token says that it was issued to the client.
        let is_for_client = match &claims.azp {
            Some(azp) => azp == client_id,
            None => claims.aud.is_only(client_id),
        };
        if !is_for_client {
            return Err(AuthRejection::Invalid("it is for another client"));
        }
        if !bool::from(claims.nonce.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(AuthRejection::Invalid("it is of another sign-in"));
        }
        match claims.sub == subject {
            true => Ok(()),
            false => Err(AuthRejection::Invalid("it is of another subject")),
        }
    }
}
