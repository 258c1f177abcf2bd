//! The addresses of a name.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use casemate_egress::HostName;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Lookups at once, of all users: each takes a thread, also after its caller has given up.
pub const LOOKUP_LIMIT: usize = 32;

/// Shorter than casemate-init waits for an answer (3 s).
pub const LOOKUP_TIMEOUT: Duration = Duration::from_millis(2500);

/// How `EAI_AGAIN` reads in glibc and in musl, and an error of this module.
const TEMPORARY: [&str; 3] = [
    "Temporary failure in name resolution",
    "Try again",
    "timed out",
];

/// Looks up names.
pub trait Resolve: Send + Sync + 'static {
    /// Every IPv4 and IPv6 address, in the resolver's order. None: the name has none.
    ///
    /// # Errors
    /// Where no answer came; the name may have addresses.
    fn resolve(&self, name: &HostName) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The resolver of the machine: `getaddrinfo`. It asks for the absolute name, with the dot of the
/// root, so that no search domain is tried. `/etc/hosts` has no such names, and counts for nothing.
#[derive(Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUP_LIMIT)))
    }
}

impl Resolve for SystemResolver {
    async fn resolve(&self, name: &HostName) -> io::Result<Vec<IpAddr>> {
        let absolute = format!("{}.", name.as_str());
        let lookups = self.0.clone();
        let lookup = async move {
            let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = move || {
                let _permit = permit;
                let found = (absolute.as_str(), 0).to_socket_addrs();
                match found {
                    Ok(found) => Ok(found.map(|address| address.ip()).collect()),
                    Err(error) if is_temporary(&error) => Err(error),
                    Err(_) => Ok(Vec::new()),
                }
            };
            #[allow(
                clippy::disallowed_methods,
                reason = "LOOKUP_LIMIT bounds how many run"
            )]
            tokio::task::spawn_blocking(lookup).await?
        };
        timeout(LOOKUP_TIMEOUT, lookup).await?
    }
}

/// Whether no answer came. The standard library passes on the C library's words alone, in English
/// as long as no code calls `setlocale`; any other error is that the name has no address.
fn is_temporary(error: &io::Error) -> bool {
    let text = error.to_string();
    TEMPORARY.iter().any(|words| text.ends_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_from_a_resolver_that_does_not_answer() {
        let error =
            |words| io::Error::other(format!("failed to lookup address information: {words}"));
        // glibc, and musl.
        for words in ["Name or service not known", "Name does not resolve"] {
            assert!(!is_temporary(&error(words)), "{words}");
        }
        for words in ["Temporary failure in name resolution", "Try again"] {
            assert!(is_temporary(&error(words)), "{words}");
        }
        assert!(is_temporary(&io::ErrorKind::TimedOut.into()));
    }
}
