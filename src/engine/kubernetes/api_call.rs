//! What a request to the API server is about.

use std::time::Duration;

/// Requests that the API server answers from its store.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests that write, after all webhooks: Kubernetes gives each of those 10 s.
pub const UPDATE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a call is about: its name in metrics and errors, its time, and the object's name.
#[derive(Debug, Clone, Copy)]
pub struct ApiCall<'a> {
    pub name: &'static str,
    pub object: &'a str,
    pub timeout: Duration,
}

impl<'a> ApiCall<'a> {
    pub const fn query(name: &'static str, object: &'a str) -> Self {
        let timeout = QUERY_TIMEOUT;
        Self {
            name,
            object,
            timeout,
        }
    }

    pub const fn update(name: &'static str, object: &'a str) -> Self {
        let timeout = UPDATE_TIMEOUT;
        Self {
            name,
            object,
            timeout,
        }
    }
}
