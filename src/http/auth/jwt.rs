//! Access tokens of an OAuth authorization server, as its resource server checks them (RFC 9068
//! section 4, RFC 8725).
//!
//! Nothing in a token chooses how it is checked: the algorithm is one of three and must be the
//! key's own, the key is one of the issuer's, `kid` only names it; `jku`, `jwk`, `x5u` and `x5c`
//! are ignored.
//!
//! Other tokens than access tokens are refused, even if they are the issuer's and for our audience:
//! see [`kind`].

mod fetch;
mod jwks;
mod keys;
mod kind;
mod sign_in;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

use super::bearer::Bearer;
use super::error::AuthError;
use super::rejection::AuthRejection;
use crate::config::{Groups, JwtSettings, TokenClaims, TokenView};
use crate::identity::{Identity, Principal, Scope, Scopes, Subject, User};
use jwks::KeyError;
use keys::Keys;
use kind::{KindClaims, TokenKind};

/// How far the clocks of issuer and server may be apart, in seconds.
const LEEWAY: u64 = 60;

/// The algorithms, one for each type of key. Symmetric ones are excluded: a server that checks
/// could also sign.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The issuer's tokens for this server.
#[derive(Debug)]
pub struct Jwt {
    settings: JwtSettings,
    keys: Keys,
    realm: String,
    groups: Arc<Groups>,
}

/// The claims that `jsonwebtoken` does not check. One of the wrong type makes the token invalid, and
/// so does a duplicate of any ([`TokenClaims`]).
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// RFC 8693 section 4.2.
    scope: Option<String>,
    /// The name that some issuers use.
    scp: Option<ScopeClaim>,
    #[serde(flatten)]
    marks: KindClaims,
}

/// Every claim, for groups, and those that have a name here.
#[derive(Debug)]
struct AllClaims {
    named: Claims,
    all: TokenClaims,
}

impl<'de> Deserialize<'de> for AllClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = TokenClaims::deserialize(deserializer)?;
        let named = Claims::deserialize(all.clone().into_value()).map_err(D::Error::custom)?;
        Ok(Self { named, all })
    }
}

/// The value of `scp`: no specification defines it, and issuers use both forms.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ScopeClaim {
    Spaced(String),
    Listed(Vec<String>),
}

impl Jwt {
    /// Blocks on a file of keys.
    ///
    /// # Errors
    /// The file cannot be used, or the host has no trusted certificates.
    pub fn new(settings: JwtSettings, groups: Arc<Groups>) -> Result<Self, AuthError> {
        let keys = Keys::new(&settings.jwks)?;
        // Neither contains a line break.
        let mut text = format!("{}\n{}", settings.issuer.as_str(), settings.audience);
        let members = groups.membership_text();
        if !members.is_empty() {
            text.push('\n');
            text.push_str(&members);
        }
        let realm = STANDARD.encode(Sha256::digest(text));
        Ok(Self {
            settings,
            keys,
            realm,
            groups,
        })
    }

    /// Issuer, audience and the members of groups in 44 bytes: servers that differ in one of them
    /// accept none of each other's sessions, even with the same key.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The user with this `sub`.
    pub fn user(&self, subject: Subject) -> User {
        User {
            issuer: self.settings.issuer.clone(),
            subject,
        }
    }

    /// The groups that users of these tokens may be in.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Whether a token says that it is the issuer's, for this server. Its signature does not count: it
    /// is also asked of tokens that cannot be checked at the moment.
    pub fn is_addressed_by(&self, bearer: &Bearer<'_>) -> bool {
        let payload = bearer.expose().split('.').nth(1).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let Ok(claims) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return false;
        };
        let is_audience = |value: &serde_json::Value| value == self.audience();
        let listed = claims["aud"].as_array().into_iter().flatten();
        claims["iss"] == *self.settings.issuer.as_str()
            && std::iter::once(&claims["aud"])
                .chain(listed)
                .any(is_audience)
    }

    /// The `aud` of the tokens.
    pub fn audience(&self) -> &str {
        &self.settings.audience
    }

    /// The `iss` of the tokens.
    pub fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    /// The user and scopes of a token.
    ///
    /// # Errors
    /// It is not valid, or the keys cannot be fetched.
    pub async fn principal(&self, bearer: &Bearer<'_>) -> Result<Principal, AuthRejection> {
        let token = bearer.expose();
        // `none` is no algorithm to the library, so a token with it ends here.
        let header = decode_header(token).map_err(|_| AuthRejection::Invalid("it is malformed"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(AuthRejection::Invalid("its algorithm is not accepted"));
        }
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: we understand no critical extension.
            return Err(AuthRejection::Invalid("it has critical extensions"));
        }
        let kind = TokenKind::of(header.typ.as_deref()).ok_or(AuthRejection::Invalid(
            "its type is not that of an access token",
        ))?;
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let decoded = decode::<AllClaims>(token, &key.decoding, &self.validation(key.algorithm));
        let claims = decoded
            .map_err(|error| AuthRejection::Invalid(reason(&error)))?
            .claims;
        let named = &claims.named;
        named.marks.admit(kind).map_err(AuthRejection::Invalid)?;
        self.accept(named, &claims.all)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[self.issuer()]);
        validation.set_audience(&[self.audience()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }

    fn accept(&self, claims: &Claims, all: &TokenClaims) -> Result<Principal, AuthRejection> {
        // The library accepts a list of issuers that contains ours; `Claims` accepts no list.
        if claims.iss != self.issuer() {
            return Err(AuthRejection::Invalid("it is from another issuer"));
        }
        let scopes = claims.scopes();
        let subject: Result<Subject, _> = claims.sub.parse();
        let subject = subject.map_err(|_| AuthRejection::Invalid("its sub cannot be a user"))?;
        let user = self.user(subject);
        let group = self.groups.find(&user, TokenView::Claims(all))?;
        let group = group.map(|group| group.name.clone());
        Ok(Principal {
            identity: Identity {
                group,
                ..Identity::from(user)
            },
            scopes,
        })
    }
}

impl Claims {
    /// The token's scopes: all if it has no claim of scopes; if it has both claims, the scopes that
    /// are in both.
    fn scopes(&self) -> Scopes {
        let scope = self.scope.as_deref().map(|words| scopes(words.split(' ')));
        let scp = self.scp.as_ref().map(|words| match words {
            ScopeClaim::Spaced(words) => scopes(words.split(' ')),
            ScopeClaim::Listed(words) => scopes(words.iter().map(String::as_str)),
        });
        match (scope, scp) {
            (Some(scope), Some(scp)) => scope.and(scp),
            (one, other) => one.or(other).unwrap_or(Scopes::ALL),
        }
    }
}

/// Unknown words are scopes of other servers.
fn scopes<'a>(words: impl Iterator<Item = &'a str>) -> Scopes {
    words
        .filter_map(Scope::from_word)
        .fold(Scopes::NONE, Scopes::with)
}

fn reason(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of exp, iss, aud and sub",
        _ => "it is malformed",
    }
}

impl From<KeyError> for AuthRejection {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unavailable => Self::NoKeys,
            KeyError::Unknown => Self::Invalid("its key is not one of the issuer's"),
            KeyError::Unfit => Self::Invalid("its key is for another algorithm"),
            KeyError::Ambiguous => Self::Invalid("it does not say which key it is signed with"),
        }
    }
}
