//! Whether a server over HTTP could start with these settings, for the doctor.

use std::sync::Arc;

use super::auth::Authenticator;
use super::session::Sessions;
use crate::audit::chain;
use crate::config::Config;

/// Whether callers could be authenticated, and people could sign in, by the server's own checks.
pub fn over_http(config: &Config) -> (Result<(), String>, Result<(), String>) {
    match Authenticator::new(config) {
        Ok(authenticator) => {
            let sessions = Sessions::new(&config.http, Arc::new(authenticator));
            let sessions = sessions.map(drop).map_err(|error| chain(&error));
            (Ok(()), sessions)
        }
        Err(error) => (Err(chain(&error)), Ok(())),
    }
}
