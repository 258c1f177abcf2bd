//! Which keys are taken. Whole tokens are in the integration tests.

use jsonwebtoken::Algorithm::{self, ES256, EdDSA, RS256};
use serde_json::{Value, json};

use super::*;

fn rsa(id: &str) -> Value {
    json!({ "kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB" })
}

fn ec(id: &str) -> Value {
    json!({ "kty": "EC", "kid": id, "crv": "P-256", "x": "AQAB", "y": "AQAB" })
}

/// `key` with one more member.
fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn found(set: &KeySet, id: Option<&str>, algorithm: Algorithm) -> Result<(), KeyError> {
    set.find(id, algorithm)
        .map(|key| assert_eq!(key.algorithm, algorithm))
}

#[test]
fn a_key_is_for_the_algorithm_of_its_type_alone() {
    let ed = json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "AQAB" });
    let set = set(&[rsa("rsa"), ec("ec"), ed]);
    for (id, own) in [("rsa", RS256), ("ec", ES256), ("ed", EdDSA)] {
        for algorithm in [RS256, ES256, EdDSA] {
            let expected = if algorithm == own {
                Ok(())
            } else {
                Err(KeyError::Unfit)
            };
            assert_eq!(
                found(&set, Some(id), algorithm),
                expected,
                "{id} {algorithm:?}"
            );
        }
    }
}

#[test]
fn what_is_for_something_else_is_left_out_and_does_not_hide_the_others() {
    let others = [
        json!({ "kty": "oct", "kid": "a", "k": "AQAB" }),
        json!({ "kty": "new", "kid": "a" }),
        json!({ "kty": "EC", "kid": "a", "crv": "P-384", "x": "AQAB", "y": "AQAB" }),
        json!({ "kty": "RSA", "kid": "a" }),
        json!({ "kid": 1 }),
        json!("key"),
        with(rsa("a"), "use", json!("enc")),
        with(rsa("a"), "key_ops", json!(["encrypt"])),
        with(rsa("a"), "alg", json!("RS512")),
        with(rsa("a"), "alg", json!("HS256")),
    ];
    for other in others {
        let set = set(&[other.clone(), rsa("b")]);
        assert_eq!(
            found(&set, Some("a"), RS256),
            Err(KeyError::Unknown),
            "{other}"
        );
        assert_eq!(found(&set, Some("b"), RS256), Ok(()), "{other}");
    }
    for own in [
        with(rsa("a"), "use", json!("sig")),
        with(rsa("a"), "key_ops", json!(["verify"])),
        with(rsa("a"), "alg", json!("RS256")),
        with(rsa("a"), "x5c", json!(["AQAB"])),
    ] {
        assert_eq!(found(&set(&[own]), Some("a"), RS256), Ok(()));
    }
}

#[test]
fn a_token_that_names_no_key_is_taken_where_only_one_can_be_meant() {
    let set = set(&[rsa("a"), rsa("b"), ec("c")]);
    assert_eq!(found(&set, None, ES256), Ok(()));
    assert_eq!(found(&set, None, RS256), Err(KeyError::Ambiguous));
    assert_eq!(found(&set, None, EdDSA), Err(KeyError::Unknown));
    for id in ["", "A", "a ", "../a", "a' or 1=1"] {
        assert_eq!(found(&set, Some(id), RS256), Err(KeyError::Unknown));
    }
}

#[test]
fn what_is_no_set_of_keys_is_an_error() {
    for json in ["", "[]", "{}", r#"{"keys": 1}"#, "<html>"] {
        assert!(KeySet::parse(json.as_bytes()).is_err(), "{json}");
    }
}
