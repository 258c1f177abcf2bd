//! The issuer's keys, from a file or cached from its URL.
//!
//! ```text
//! age of the cached set  0 ─────── refresh ─────── expiry ───────►
//! a key in the set       used      used, refetched  fetched; on failure, callers are refused
//! a key not in the set   fetched, but not more often than `pause`
//! ```

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use tracing::{info, warn};

use super::fetch::{FetchError, Fetcher};
use super::jwks::{Key, KeyError, KeySet};
use crate::config::{JwksSource, Reload};
use crate::http::auth::error::AuthError;

/// How often the issuer is asked.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimiter {
    /// Age from which cached keys are fetched again while they are used.
    pub refresh: Duration,
    /// Age from which they are not used: a revoked key works no longer than this.
    pub expiry: Duration,
    /// Shortest time between two requests, also for tokens with invented key ids.
    pub pause: Duration,
}

/// At most ten requests a minute, as jwks-rsa allows itself. If the issuer is down for less than an
/// hour, tokens with a known key still work.
pub const PACE: FetchLimiter = FetchLimiter {
    refresh: Duration::from_secs(10 * 60),
    expiry: Duration::from_secs(60 * 60),
    pause: Duration::from_secs(6),
};

/// Where keys are looked up.
#[derive(Debug)]
pub enum Keys {
    /// In a file.
    File(Reload<KeySet>),
    /// At the issuer.
    Remote(Box<Remote>),
}

/// Keys that are fetched.
#[derive(Debug)]
pub struct Remote {
    fetcher: Fetcher,
    pace: FetchLimiter,
    kept: Mutex<Option<CachedKeys>>,
    /// When the issuer was asked last. The task that holds the lock asks; the others wait for that
    /// answer.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
struct CachedKeys {
    keys: Arc<KeySet>,
    at: Instant,
}

impl Keys {
    /// Blocks on a file; does not fetch yet.
    ///
    /// # Errors
    /// The file cannot be used, or the host has no trusted certificates.
    pub fn new(source: &JwksSource) -> Result<Self, AuthError> {
        Ok(match source {
            JwksSource::File(path) => Self::File(Reload::load(path, KeySet::from_file)?),
            JwksSource::Url(url) => Self::Remote(Box::new(Remote::new(Fetcher::new(url)?, PACE))),
        })
    }

    /// The key of a token.
    ///
    /// # Errors
    /// It cannot be found.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, KeyError> {
        match self {
            Self::File(file) => file.current().find(id, algorithm),
            Self::Remote(remote) => remote.find(id, algorithm).await,
        }
    }
}

impl Remote {
    /// Without any cached keys.
    pub fn new(fetcher: Fetcher, pace: FetchLimiter) -> Self {
        Self {
            fetcher,
            pace,
            kept: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }
    }

    /// The key of a token.
    ///
    /// # Errors
    /// It cannot be found.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, KeyError> {
        let kept = self.kept();
        let found = look_up(kept.as_ref(), id, algorithm);
        match (&found, &kept) {
            (Err(KeyError::Unknown | KeyError::Unavailable), _) | (_, None) => {
                let asked = self.asked.lock().await;
                // Unless another task got an answer while this one waited.
                if self.kept().map(|now| now.at) == kept.map(|kept| kept.at) {
                    self.ask(asked).await;
                }
            }
            (_, Some(kept)) if kept.at.elapsed() < self.pace.refresh => return found,
            // One task fetches; the others go on with the cached keys.
            (_, Some(_)) => match self.asked.try_lock() {
                Ok(asked) => self.ask(asked).await,
                Err(_) => return found,
            },
        }
        look_up(self.kept().as_ref(), id, algorithm)
    }

    /// The cached keys, if they have not expired.
    fn kept(&self) -> Option<CachedKeys> {
        let kept = self.kept.lock();
        kept.clone()
            .filter(|kept| kept.at.elapsed() < self.pace.expiry)
    }

    /// Fetches the keys, unless that was tried a moment ago. Without an answer nothing changes.
    async fn ask(&self, mut asked: MutexGuard<'_, Option<Instant>>) {
        let now = Instant::now();
        if asked.is_some_and(|last| now - last < self.pace.pause) {
            return;
        }
        *asked = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                info!(keys = keys.len(), "the issuer's keys were fetched");
                let kept = CachedKeys {
                    keys: Arc::new(keys),
                    at: now,
                };
                *self.kept.lock() = Some(kept);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the issuer's keys could not be fetched");
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        Ok(KeySet::parse(&self.fetcher.fetch().await?)?)
    }
}

fn look_up(
    kept: Option<&CachedKeys>,
    id: Option<&str>,
    algorithm: Algorithm,
) -> Result<Arc<Key>, KeyError> {
    kept.ok_or(KeyError::Unavailable)?.keys.find(id, algorithm)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
