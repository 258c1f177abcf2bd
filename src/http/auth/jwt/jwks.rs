//! A set of keys (RFC 7517): only keys that may sign a token are kept.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::config::FileError;

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// The issuer does not answer, and no keys are cached.
    Unavailable,
    /// The issuer has no such key.
    Unknown,
    /// The key is for another algorithm than the token says.
    Unfit,
    /// The token names no key, and more than one could be it.
    Ambiguous,
}

/// One key of the issuer.
pub struct Key {
    id: Option<String>,
    /// The only algorithm of its signatures.
    pub algorithm: Algorithm,
    /// The key itself.
    pub decoding: DecodingKey,
}

/// The keys of the issuer.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Arc<Key>>);

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// From JSON. Keys of an unsupported type, curve or use are skipped (RFC 7517 section 5).
    ///
    /// # Errors
    /// It is not a set of keys.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let set: Set = serde_json::from_slice(json)?;
        Ok(Self(
            set.keys.into_iter().filter_map(key).map(Arc::new).collect(),
        ))
    }

    /// From a file, where a set without any usable key is a mistake.
    ///
    /// # Errors
    /// It is not a set of keys, or has no usable key.
    pub fn from_file(path: &Arc<Path>, text: &str) -> Result<Self, FileError> {
        let wrong = |message| FileError::Whole {
            path: path.clone(),
            message,
        };
        let set = Self::parse(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        if set.len() == 0 {
            return Err(wrong("it has no key for RS256, ES256 or EdDSA".to_owned()));
        }
        Ok(set)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The one key that a token with this `kid` and this algorithm can be signed with.
    ///
    /// # Errors
    /// No key fits, or several do.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, KeyError> {
        let with_id: Vec<_> = match id {
            Some(_) => self
                .0
                .iter()
                .filter(|key| key.id.as_deref() == id)
                .collect(),
            None => self.0.iter().collect(),
        };
        let mut fitting = with_id.iter().filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(Arc::clone(key)),
            (Some(_), Some(_)) => Err(KeyError::Ambiguous),
            (None, _) if id.is_some() && !with_id.is_empty() => Err(KeyError::Unfit),
            (None, _) => Err(KeyError::Unknown),
        }
    }
}

fn key(json: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        // This skips symmetric keys too.
        _ => return None,
    };
    let common = &jwk.common;
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let operations = common.key_operations.as_deref();
    let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
    let own = common
        .key_algorithm
        .is_none_or(|algorithm| algorithm == named);
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    (signs && verifies && own).then(|| Key {
        id: jwk.common.key_id,
        algorithm,
        decoding,
    })
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
