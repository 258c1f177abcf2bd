//! What a browser keeps for the server and can neither read nor change: AES-256-GCM under the
//! deployment's key, with a random nonce, what it is for, and when it ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, fs, io};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Largest file of a key, in bytes: the key in base64, and a line break.
const FILE_BYTES: u64 = 128;

/// What is sealed. One cannot stand for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whose a session is.
    Session,
    /// A sign-in that is under way.
    SignIn,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file.
    #[error("cannot read the session key {path:?}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What is in it.
    #[error(
        "the session key {0:?} is not 32 bytes in base64; \
         `head -c 32 /dev/urandom | base64` makes one"
    )]
    NoKey(PathBuf),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
}

/// The deployment's key.
pub struct Seal(RandomizedNonceKey);

/// What is sealed, with its end.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// Seconds since the epoch.
    until: u64,
    value: T,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"casemate session 1",
            Self::SignIn => b"casemate sign-in 1",
        }
    }
}

impl Seal {
    /// The key in a file: 32 bytes in base64.
    ///
    /// # Errors
    /// The file cannot be read, or has no key.
    pub fn of_file(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let no_key = || KeyError::NoKey(path.to_owned());
        if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES {
            return Err(no_key());
        }
        let text = fs::read(path).map_err(unreadable)?;
        let key = STANDARD.decode(text.trim_ascii()).map_err(|_| no_key())?;
        Self::new(&key).ok_or_else(no_key)
    }

    /// A key that nobody else has.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn random() -> Result<Self, KeyError> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Self::new(&key).ok_or_else(|| KeyError::NoKey(PathBuf::new()))
    }

    fn new(key: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, key).ok().map(Self)
    }

    /// As text for a cookie, good for `age`.
    pub fn seal<T: Serialize>(&self, purpose: Purpose, value: &T, age: Duration) -> Option<String> {
        let until = now() + age.as_secs();
        let mut text = serde_json::to_vec(&Envelope { until, value }).ok()?;
        let label = Aad::from(purpose.label());
        let nonce = self.0.seal_in_place_append_tag(label, &mut text).ok()?;
        let whole = [&nonce.as_ref()[..], &text].concat();
        Some(URL_SAFE_NO_PAD.encode(whole))
    }

    /// What was sealed for this purpose with this key, until its end.
    pub fn open<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &str) -> Option<T> {
        let whole = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let label = Aad::from(purpose.label());
        let text = self.0.open_in_place(nonce, label, &mut text).ok()?;
        let envelope: Envelope<T> = serde_json::from_slice(text).ok()?;
        (now() < envelope.until).then_some(envelope.value)
    }
}

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
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn sealed(seal: &Seal) -> String {
        let text = seal.seal(Purpose::Session, &"ada", HOUR);
        text.expect("sealed")
    }

    #[test]
    fn only_the_same_key_opens_it_for_the_same_purpose_and_not_forever() {
        let (seal, other) = (
            Seal::random().expect("a key"),
            Seal::random().expect("a key"),
        );
        let text = sealed(&seal);
        let open = |seal: &Seal, purpose, text: &str| seal.open::<String>(purpose, text);
        assert_eq!(open(&seal, Purpose::Session, &text).as_deref(), Some("ada"));
        assert_eq!(open(&other, Purpose::Session, &text), None);
        assert_eq!(open(&seal, Purpose::SignIn, &text), None);
        let over = seal.seal(Purpose::Session, &"ada", Duration::ZERO);
        assert_eq!(open(&seal, Purpose::Session, &over.expect("sealed")), None);
        assert_ne!(text, sealed(&seal), "the nonce is random");
    }

    #[test]
    fn whatever_is_changed_in_it_opens_nothing() {
        let seal = Seal::random().expect("a key");
        let text = sealed(&seal);
        let bytes = URL_SAFE_NO_PAD.decode(&text).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(
                seal.open::<String>(Purpose::Session, &changed),
                None,
                "{at}"
            );
        }
        for length in 0..bytes.len() {
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
            assert_eq!(
                seal.open::<String>(Purpose::Session, &cut),
                None,
                "{length}"
            );
        }
        assert_eq!(seal.open::<String>(Purpose::Session, "not base64!"), None);
    }

    #[test]
    fn a_key_file_has_32_bytes_in_base64() {
        let path = std::env::temp_dir().join(format!("casemate-key-{}", std::process::id()));
        let of = |text: &str| {
            fs::write(&path, text).expect("written");
            Seal::of_file(&path)
        };
        let good = STANDARD.encode([7; KEY_BYTES]);
        let (one, two) = (
            of(&good).expect("a key"),
            of(&format!("{good}\n")).expect("a key"),
        );
        let text = sealed(&one);
        assert!(two.open::<String>(Purpose::Session, &text).is_some());
        let short = STANDARD.encode([7; 16]);
        for bad in [
            "",
            "x",
            short.as_str(),
            &format!("{good}{good}"),
            &"a".repeat(200),
        ] {
            assert!(matches!(of(bad), Err(KeyError::NoKey(_))), "{bad:?}");
        }
        fs::remove_file(&path).expect("removed");
        assert!(matches!(
            Seal::of_file(&path),
            Err(KeyError::Unreadable { .. })
        ));
    }
}
