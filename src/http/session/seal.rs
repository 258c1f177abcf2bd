//! Values that a browser keeps for the server and can neither read nor change: AES-256-GCM with a
//! random nonce, and an expiry time.
//!
//! Each purpose has a separate key, derived from the deployment's. Anyone can begin any number of
//! sign-ins; that uses up the nonces of that key only (NIST SP 800-38D, section 8.3).

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{FileError, Reload};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Keys of a file: the one in use, and those that it replaces. Each is tried with every cookie.
const KEYS_LIMIT: usize = 4;

/// What a value is sealed for. It opens for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The holder of a session.
    Session,
    /// A sign-in that is under way.
    SignIn,
}

/// The deployment's keys.
pub enum Seal {
    /// A random key, known to this server only.
    Random(SealingKey),
    /// The first key seals, each of them opens. Read again when the file changes.
    File(Reload<Vec<SealingKey>>),
}

/// One key, by purpose.
pub struct SealingKey {
    session: RandomizedNonceKey,
    sign_in: RandomizedNonceKey,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum SealError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system's random numbers.
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
    /// The library refuses a key.
    #[error("the cipher of the sessions cannot be used")]
    Cipher,
}

/// The value with its expiry time.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// Seconds since the epoch.
    until: u64,
    value: T,
}

impl SealingKey {
    /// `None` unless it has [`KEY_BYTES`].
    fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() != KEY_BYTES {
            return None;
        }
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |label: &[u8]| {
            let key = hmac::sign(&secret, label);
            RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok()
        };
        Some(Self {
            session: derived(b"casemate session 1")?,
            sign_in: derived(b"casemate sign-in 1")?,
        })
    }

    fn of(&self, purpose: Purpose) -> &RandomizedNonceKey {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::SignIn => &self.sign_in,
        }
    }
}

impl Seal {
    /// The keys in a file: one a line, each 32 bytes in base64.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no key.
    pub fn of_file(path: &Path) -> Result<Self, SealError> {
        Ok(Self::File(Reload::load(path, parse)?))
    }

    /// A key that no other server has.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn random() -> Result<Self, SealError> {
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret)?;
        SealingKey::new(&secret)
            .map(Self::Random)
            .ok_or(SealError::Cipher)
    }

    /// As text for a cookie, valid for `age`.
    pub fn seal<T: Serialize>(&self, purpose: Purpose, value: &T, age: Duration) -> Option<String> {
        match self {
            Self::Random(key) => seal_with(key, purpose, value, age),
            Self::File(keys) => seal_with(keys.current().first()?, purpose, value, age),
        }
    }

    /// The value, if it was sealed for this purpose with one of the keys, until it expires.
    pub fn open<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &str) -> Option<T> {
        let whole = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = match self {
            Self::Random(key) => open_with(key, purpose, &whole),
            Self::File(keys) => {
                let keys = keys.current();
                keys.iter().find_map(|key| open_with(key, purpose, &whole))
            }
        };
        let envelope: Envelope<T> = serde_json::from_slice(&text?).ok()?;
        (now() < envelope.until).then_some(envelope.value)
    }
}

fn parse(path: &Arc<Path>, text: &str) -> Result<Vec<SealingKey>, FileError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Vec<SealingKey>> = lines
        .map(|line| SealingKey::new(&STANDARD.decode(line).ok()?))
        .collect();
    keys.filter(|keys| (1..=KEYS_LIMIT).contains(&keys.len()))
        .ok_or_else(|| FileError::Whole {
            path: path.clone(),
            message: format!(
                "it must have 1 to {KEYS_LIMIT} session keys, one a line, each {KEY_BYTES} bytes in base64; \
                 `head -c {KEY_BYTES} /dev/urandom | base64` makes one"
            ),
        })
}

fn seal_with<T: Serialize>(
    key: &SealingKey,
    purpose: Purpose,
    value: &T,
    age: Duration,
) -> Option<String> {
    let until = now().saturating_add(age.as_secs());
    let mut text = serde_json::to_vec(&Envelope { until, value }).ok()?;
    let key = key.of(purpose);
    let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut text).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &text].concat()))
}

fn open_with(key: &SealingKey, purpose: Purpose, whole: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = whole.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let key = key.of(purpose);
    let length = key
        .open_in_place(nonce, Aad::empty(), &mut text)
        .ok()?
        .len();
    text.truncate(length);
    Some(text)
}

/// Without a clock that can be right, nothing is valid.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(u64::MAX, |since| since.as_secs())
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests;
