//! Whether a token that the issuer signed is an access token, and one for its bearer.
//!
//! An issuer signs other things with the same key: ID tokens, refresh tokens, logout tokens. RFC
//! 9068 section 4 tells access tokens apart by `typ` (`at+jwt`), as RFC 8725 section 3.11 advises;
//! but many issuers write `JWT`, or nothing. Such a token is refused if it has a claim that only
//! other kinds of tokens have. `aud` decides before that: an ID token is for the client (OpenID
//! Connect Core section 2), an access token for the resource. That the audience is also a
//! client's id (`azp`, `client_id`) proves nothing: a client may be its own resource.
//!
//! A token with `cnf` is good only together with a proof of a key that it names, by a certificate
//! (RFC 8705) or DPoP (RFC 9449 section 7.2). We check no such proof, and a thief of the
//! token cannot give one.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

/// The kind of token that its header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token (RFC 9068 section 2.1).
    Access,
    /// Any JWT.
    Any,
}

impl TokenKind {
    /// `typ` is a media type, whose `application/` may be left out, in any case (RFC 7515 section
    /// 4.1.9). `None` for the type of anything else.
    pub fn of(typ: Option<&str>) -> Option<Self> {
        let Some(typ) = typ else {
            return Some(Self::Any);
        };
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "at+jwt" => Some(Self::Access),
            "jwt" => Some(Self::Any),
            _ => None,
        }
    }
}

/// Claims that reveal the kind of a token. Their values matter only where issuers use them
/// differently; `null` counts as present.
#[derive(Debug, Default, Deserialize)]
pub struct KindClaims {
    /// A key that the bearer must prove to have (RFC 7800 section 3.1).
    #[serde(default, deserialize_with = "present")]
    cnf: bool,
    /// Of an authentication (OpenID Connect Core section 2), and of access tokens of issuers that
    /// copy it there.
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
    /// Hashes of the values that an ID token was issued with (OpenID Connect Core section 3.3.2.11;
    /// `s_hash`: FAPI 1.0 part 2 section 5.1.1).
    #[serde(default, deserialize_with = "present")]
    at_hash: bool,
    #[serde(default, deserialize_with = "present")]
    c_hash: bool,
    #[serde(default, deserialize_with = "present")]
    s_hash: bool,
    /// Of a security event (RFC 8417 section 2.2), such as a logout (OpenID Connect Back-Channel
    /// Logout section 2.4).
    #[serde(default, deserialize_with = "present")]
    events: bool,
    /// Keycloak's kind of the token: `Bearer`, `ID`, `Refresh`, ….
    typ: Option<String>,
    /// Cognito's kind: `access` or `id`.
    token_use: Option<String>,
}

impl KindClaims {
    /// # Errors
    /// Why a token with these claims is refused.
    pub fn admit(&self, kind: TokenKind) -> Result<(), &'static str> {
        if self.cnf {
            return Err("it is bound to a key, and this server cannot check whether you have it");
        }
        if kind == TokenKind::Access {
            return Ok(());
        }
        let named = [&self.typ, &self.token_use].map(|name| name.as_deref().map(is_access_name));
        let is_named_access = named.contains(&Some(true));
        let of_authentication = self.nonce && !is_named_access;
        let has_hash = self.at_hash || self.c_hash || self.s_hash;
        if of_authentication || has_hash || self.events || named.contains(&Some(false)) {
            return Err("it is no access token");
        }
        Ok(())
    }
}

fn is_access_name(name: &str) -> bool {
    ["access", "bearer", "jwt", "at+jwt"]
        .iter()
        .any(|access| name.eq_ignore_ascii_case(access))
}

/// Whether the claim is there, with any value.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn admitted(kind: TokenKind, claims: &Value) -> bool {
        let marks: KindClaims = serde_json::from_value(claims.clone()).unwrap();
        marks.admit(kind).is_ok()
    }

    #[test]
    fn the_type_is_a_media_type_in_any_case() {
        for access in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "Application/At+Jwt",
        ] {
            assert_eq!(
                TokenKind::of(Some(access)),
                Some(TokenKind::Access),
                "{access}"
            );
        }
        for any in [Some("JWT"), Some("jwt"), Some("application/jwt"), None] {
            assert_eq!(TokenKind::of(any), Some(TokenKind::Any), "{any:?}");
        }
        for other in [
            "",
            "at",
            "JWT ",
            "JOSE",
            "dpop+jwt",
            "id_token+jwt",
            "logout+jwt",
            "secevent+jwt",
            "text/jwt",
            "application/",
            "application/application/jwt",
        ] {
            assert_eq!(TokenKind::of(Some(other)), None, "{other}");
        }
    }

    #[test]
    fn only_what_an_access_token_never_has_makes_it_none() {
        for claims in [
            json!({ "azp": "c", "client_id": "c", "acr": "1", "auth_time": 1, "sid": "s" }),
            json!({ "typ": "Bearer", "nonce": "n" }),
            json!({ "token_use": "access", "nonce": "n" }),
        ] {
            assert!(admitted(TokenKind::Any, &claims), "{claims}");
        }
        for claims in [
            json!({ "nonce": "n" }),
            json!({ "nonce": null }),
            json!({ "at_hash": "h" }),
            json!({ "c_hash": "h" }),
            json!({ "s_hash": "h", "typ": "Bearer" }),
            json!({ "events": {} }),
            json!({ "typ": "ID" }),
            json!({ "typ": "Refresh" }),
            json!({ "token_use": "id" }),
            json!({ "token_use": "id", "typ": "Bearer" }),
        ] {
            assert!(!admitted(TokenKind::Any, &claims), "{claims}");
            assert!(admitted(TokenKind::Access, &claims), "{claims}");
        }
        for cnf in [json!({ "jkt": "k" }), json!({}), json!(null), json!(7)] {
            let claims = json!({ "cnf": cnf, "typ": "Bearer" });
            assert!(!admitted(TokenKind::Any, &claims), "{claims}");
            assert!(!admitted(TokenKind::Access, &claims), "{claims}");
        }
    }
}
