//! Keys of an issuer, made in the test, and tokens signed with them, good and forged. They do not
//! use the library with which the server checks tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Base64 as tokens have it.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One key of each type that is accepted.
pub enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    pub fn ec() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Ec(pair.expect("a key"))
    }

    pub fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().expect("a key"))
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// The public half, as an issuer publishes it.
    pub fn jwk(&self, id: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let number = |number: aws_lc_rs::io::Positive| {
                    base64(number.big_endian_without_leading_zero())
                };
                json!({ "kty": "RSA", "n": number(public.modulus()), "e": number(public.exponent()) })
            }
            Self::Ec(pair) => {
                // 4, x, y: SEC 1 section 2.3.3.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y) })
            }
            Self::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key()) })
            }
        };
        jwk["kid"] = json!(id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public half as bytes.
    pub fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token with this head, even a false one, signed with this key.
    pub fn sign(&self, head: &Value, claims: &Value) -> String {
        self.sign_text(head, &claims.to_string())
    }

    /// As [`Self::sign`], of claims that need not be what JSON writes.
    pub fn sign_text(&self, head: &Value, claims: &str) -> String {
        let message = format!("{}.{}", base64(head.to_string()), base64(claims));
        let bytes = message.as_bytes();
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match head["alg"].as_str() {
                    Some("RS384") => &RSA_PKCS1_SHA384,
                    Some("PS256") => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, bytes, &mut signature)
                    .expect("signed");
                signature
            }
            Self::Ec(pair) => pair.sign(&random, bytes).expect("signed").as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", base64(signature))
    }
}

/// A token signed with a shared secret.
pub fn sign_hs256(secret: &[u8], head: &Value, claims: &Value) -> String {
    let message = message(head, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64(signature))
}

/// The part that is signed; with an empty signature it is a token of algorithm `none`.
pub fn message(head: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        base64(head.to_string()),
        base64(claims.to_string())
    )
}
