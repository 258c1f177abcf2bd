//! The issuer's answer, in the query of its redirect. Anybody can write one.

use percent_encoding::percent_decode_str;

use super::error::SignInError;
use crate::http::files::escapes_are_whole;

/// The parameters of an answer.
#[derive(Debug, Default)]
pub struct AuthorizationResponse {
    code: Option<String>,
    /// Names the sign-in that it answers.
    pub state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl AuthorizationResponse {
    /// Ignores unknown parameters. `None` if a known one is repeated or malformed.
    pub fn parse(query: &str) -> Option<Self> {
        escapes_are_whole(query).ok()?;
        let mut answer = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.iss,
                "error" => &mut answer.error,
                _ => continue,
            };
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8().ok()?.into_owned();
            if field.replace(value).is_some() {
                return None;
            }
        }
        Some(answer)
    }

    /// RFC 9207, section 2.4: `iss` must name the issuer that was asked. It may be missing unless the
    /// metadata promises it (`is_promised`).
    ///
    /// # Errors
    /// It names another issuer, or is missing although promised.
    pub fn check_issuer(&self, is_promised: bool, issuer: &str) -> Result<(), SignInError> {
        let good = match &self.iss {
            Some(iss) => iss == issuer,
            None => !is_promised,
        };
        good.then_some(()).ok_or(SignInError::Issuer)
    }

    /// The code.
    ///
    /// # Errors
    /// The issuer refused.
    pub fn code(self) -> Result<String, SignInError> {
        if let Some(error) = self.error {
            // Should be a word of RFC 6749, section 4.1.2.1, but anyone can write this query.
            let word = error
                .chars()
                .filter(|c| c.is_ascii_lowercase() || *c == '_');
            return Err(SignInError::Refused(word.take(40).collect()));
        }
        self.code.ok_or(SignInError::Code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_each_parameter_once() {
        let answer = AuthorizationResponse::parse(
            "code=a%2Bb&state=s&session_state=x&iss=https%3A%2F%2Fa.test",
        );
        let answer = answer.expect("an answer");
        assert_eq!(answer.code.as_deref(), Some("a+b"));
        assert_eq!(answer.iss.as_deref(), Some("https://a.test"));
        for bad in ["code=a&code=b", "state=a&state=a", "code=%", "code=%ff"] {
            assert!(AuthorizationResponse::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_one_word_whatever_stands_there() {
        let refused = |query| {
            let code = AuthorizationResponse::parse(query)
                .expect("an answer")
                .code();
            code.expect_err("refused").to_string()
        };
        let said = refused("error=access_denied&code=a");
        assert_eq!(said, "The issuer refused: access_denied.");
        let said = refused("error=%3Cb%3EEvil%0A");
        assert_eq!(said, "The issuer refused: bvil.");
    }
}
