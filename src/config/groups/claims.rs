//! The claims of an access token, as groups ask for them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Where a token that would be too long names the claims that it leaves out (OpenID Connect Core,
/// section 5.6.2). Microsoft Entra ID does so for users with more than 200 groups.
const CLAIM_NAMES: &str = "_claim_names";

/// Entra ID, where the token comes in a URL: the claim [`GROUPS`] is left out.
const HAS_GROUPS: &str = "hasgroups";

/// See [`HAS_GROUPS`].
const GROUPS: &str = "groups";

/// All claims of a token whose signature was checked. No two have the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims(Map<String, Value>);

/// What a token says about one value of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimMatch {
    /// The claim has it.
    Has,
    /// The claim has other values only.
    HasNot,
    /// The token has no such claim, or says that it is elsewhere.
    Missing,
    /// The claim is neither a text nor a list of texts.
    Malformed,
}

impl TokenClaims {
    /// All of them, as one object.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Whether `claim` is `value`, or a list with it. Exact bytes decide.
    pub(super) fn compare(&self, claim: &str, value: &str) -> ClaimMatch {
        if self.is_elsewhere(claim) {
            return ClaimMatch::Missing;
        }
        let found = match self.0.get(claim) {
            None | Some(Value::Null) => return ClaimMatch::Missing,
            Some(Value::String(text)) => text == value,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().any(|item| item == value)
            }
            Some(_) => return ClaimMatch::Malformed,
        };
        match found {
            true => ClaimMatch::Has,
            false => ClaimMatch::HasNot,
        }
    }

    /// Whether the token says that it does not have all of `claim`.
    fn is_elsewhere(&self, claim: &str) -> bool {
        let is_named = match self.0.get(CLAIM_NAMES) {
            None => false,
            Some(Value::Object(names)) => names.contains_key(claim),
            // It does not name the claims: this may be one of them.
            Some(_) => true,
        };
        let says_so = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
        is_named || (claim == GROUPS && self.0.get(HAS_GROUPS).is_some_and(says_so))
    }
}

/// Claims given by hand, to look at the settings.
impl FromIterator<(String, String)> for TokenClaims {
    /// Several values of one claim are its list.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(claims: T) -> Self {
        let mut map = Map::new();
        for (claim, value) in claims {
            let list = map.entry(claim).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value.into());
            }
        }
        Self(map)
    }
}

/// Two claims of one name are an error: programs disagree on which of them counts.
impl<'de> Deserialize<'de> for TokenClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = TokenClaims;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut claims: A) -> Result<TokenClaims, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = claims.next_entry::<String, Value>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("two claims of one name"));
            }
        }
        Ok(TokenClaims(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ClaimMatch::{Has, HasNot, Malformed, Missing};
    use super::*;

    fn compare(claims: Value) -> ClaimMatch {
        let claims: TokenClaims = serde_json::from_value(claims).unwrap();
        claims.compare("groups", "a")
    }

    #[test]
    fn a_claim_is_a_text_or_a_list_and_its_values_are_exact() {
        for (claim, found) in [
            (json!("a"), Has),
            (json!(["b", "a"]), Has),
            (json!([]), HasNot),
            (json!(["A", "a ", "ab"]), HasNot),
            (json!("a b"), HasNot),
            (json!(null), Missing),
            (json!(1), Malformed),
            (json!(["a", 1]), Malformed),
            (json!({ "a": true }), Malformed),
            (json!([["a"]]), Malformed),
        ] {
            assert_eq!(compare(json!({ "groups": claim })), found, "{claim}");
        }
        assert_eq!(compare(json!({})), Missing);
    }

    #[test]
    fn a_claim_that_is_elsewhere_is_missing_whatever_the_token_has_of_it() {
        for claims in [
            json!({ "_claim_names": { "groups": "src1" }, "groups": ["a"] }),
            json!({ "_claim_names": "src1", "groups": ["a"] }),
            json!({ "hasgroups": true, "groups": ["a"] }),
            json!({ "hasgroups": "true", "groups": ["a"] }),
        ] {
            assert_eq!(compare(claims.clone()), Missing, "{claims}");
        }
        for claims in [
            json!({ "_claim_names": { "roles": "src1" }, "groups": ["a"] }),
            json!({ "hasgroups": false, "groups": ["a"] }),
        ] {
            assert_eq!(compare(claims.clone()), Has, "{claims}");
        }
        let roles = json!({ "hasgroups": true, "roles": ["a"] });
        let roles: TokenClaims = serde_json::from_value(roles).unwrap();
        assert_eq!(roles.compare("roles", "a"), Has);
    }

    #[test]
    fn no_token_has_two_claims_of_one_name() {
        let twice = r#"{"groups":["b"],"groups":["a"]}"#;
        assert!(serde_json::from_str::<TokenClaims>(twice).is_err());
    }

    #[test]
    fn stated_values_of_one_claim_are_its_list() {
        let stated = [("groups", "b"), ("groups", "a"), ("roles", "c")];
        let stated = stated.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let claims: TokenClaims = stated.into_iter().collect();
        assert_eq!(claims.compare("groups", "a"), Has);
        assert_eq!(claims.compare("groups", "c"), HasNot);
        assert_eq!(claims.compare("roles", "c"), Has);
    }
}
