//! The key that a bridge shows to PID 1. `pods/exec` runs as the Pod's user, so no uid marks a bridge.
//!
//! ```text
//!  deployment's secret ─┐
//!  name of the Pod     ─┼─ HMAC-SHA-256 ─► key ─ SHA-256 ─► an argument of PID 1, public
//!  nonce (annotation)  ─┘                   └─► first bytes of a bridge, secret
//! ```
//!
//! Each server with the secret can make it, and nobody in the Pod or with a look at its object can.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use casemate_protocol::BRIDGE_KEY_BYTES;
use sha2::{Digest, Sha256};

use crate::identity::hex;

/// As many bits as the key has.
const SECRET_LEAST: usize = 32;

/// Longest file that is read, in bytes.
const SECRET_MOST: usize = 4096;

/// The secret that all servers of an instance have.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Blocks on the file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let bytes = std::fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
        let secret = Self::new(bytes.trim_ascii());
        secret.ok_or(format!(
            "{shown}: a secret has {SECRET_LEAST} to {SECRET_MOST} bytes; `openssl rand -hex 32` makes one"
        ))
    }

    fn new(bytes: &[u8]) -> Option<Self> {
        let is_long = (SECRET_LEAST..=SECRET_MOST).contains(&bytes.len());
        is_long.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The key of a Pod's bridges.
    pub fn key(&self, pod: &str, nonce: &str) -> [u8; BRIDGE_KEY_BYTES] {
        // No name has a NUL: no two Pods sign the same bytes.
        let tag = hmac::sign(&self.0, format!("{pod}\0{nonce}").as_bytes());
        let mut key = [0; BRIDGE_KEY_BYTES];
        key.copy_from_slice(tag.as_ref());
        key
    }

    /// What PID 1 is told of the key.
    pub fn key_hash(&self, pod: &str, nonce: &str) -> String {
        hex(&Sha256::digest(self.key(pod, nonce)))
    }
}

#[cfg(test)]
impl Secret {
    pub fn of_test() -> Self {
        Self::new(&[7; 32]).expect("a secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_one_pod_and_one_secret() {
        let secret = Secret::of_test();
        let key = secret.key("a", "b");
        assert_eq!(key, secret.key("a", "b"));
        let other = Secret::new(&[8; 32]).expect("a secret");
        for different in [
            secret.key("a", "c"),
            secret.key("ab", ""),
            other.key("a", "b"),
        ] {
            assert_ne!(key, different);
        }
        assert_eq!(secret.key_hash("a", "b"), hex(&Sha256::digest(key)));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn a_short_secret_is_none() {
        assert!(Secret::new(&[0; 31]).is_none() && Secret::new(&[0; 32]).is_some());
        let missing = Secret::read(Path::new("/nonexistent/secret")).expect_err("missing");
        assert!(missing.contains("/nonexistent/secret"), "{missing}");
    }
}
