//! The credential of a request.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::AuthRejection;

/// Longest token, in bytes. Access tokens have one or two kB, with many groups in them a few more;
/// each byte is hashed or parsed before the caller is known.
const TOKEN_BYTES: usize = 8 * 1024;

/// A token as it came: unchecked, and never shown.
pub struct Bearer<'a>(&'a str);

impl<'a> Bearer<'a> {
    /// The token of a request: `Authorization: Bearer <b64token>` (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// It is missing, malformed, or there are several.
    pub fn of(headers: &'a HeaderMap) -> Result<Self, AuthRejection> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthRejection::Missing)?;
        if values.next().is_some() {
            return Err(AuthRejection::Invalid("there is more than one"));
        }
        let malformed = AuthRejection::Invalid("it is malformed");
        let Ok(text) = value.to_str() else {
            return Err(malformed);
        };
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                let token = token.trim_start_matches(' ');
                if token.len() > TOKEN_BYTES {
                    Err(AuthRejection::Invalid("it is too long"))
                } else if is_b64token(token) {
                    Ok(Self(token))
                } else {
                    Err(malformed)
                }
            }
            _ => Err(AuthRejection::Missing),
        }
    }

    /// The token, for its check only.
    pub fn expose(&self) -> &str {
        self.0
    }
}

fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !body.is_empty() && body.bytes().all(inner)
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(values: &[&[u8]]) -> Result<String, AuthRejection> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.to_vec().try_into().unwrap());
        }
        Bearer::of(&headers).map(|bearer| bearer.expose().to_owned())
    }

    #[test]
    fn the_scheme_is_in_any_case_and_the_token_exact() {
        for text in [
            "Bearer aB-._~+/1==",
            "bearer aB-._~+/1==",
            "BEARER  aB-._~+/1==",
        ] {
            assert_eq!(bearer(&[text.as_bytes()]).unwrap(), "aB-._~+/1==");
        }
        let longest = "a".repeat(TOKEN_BYTES);
        assert!(bearer(&[format!("Bearer {longest}").as_bytes()]).is_ok());
    }

    #[test]
    fn another_scheme_is_no_token_and_two_are_none() {
        for text in ["Basic YTpi", "Bearer", "aB", ""] {
            assert_eq!(
                bearer(&[text.as_bytes()]),
                Err(AuthRejection::Missing),
                "{text}"
            );
        }
        assert_eq!(bearer(&[]), Err(AuthRejection::Missing));
        let twice = bearer(&[b"Bearer a", b"Bearer a"]);
        assert_eq!(twice, Err(AuthRejection::Invalid("there is more than one")));
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_before_it_is_looked_at() {
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES + 1));
        for text in [
            &b"Bearer "[..],
            b"Bearer =",
            b"Bearer a b",
            b"Bearer a,b",
            b"Bearer \xe9",
            long.as_bytes(),
        ] {
            assert!(
                matches!(bearer(&[text]), Err(AuthRejection::Invalid(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn debug_does_not_show_it() {
        assert_eq!(format!("{:?}", Bearer("cm_secret")), "Bearer(…)");
    }
}
