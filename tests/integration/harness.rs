//! The harness of the tests.
//!
//! ```ignore
//! let server = TestServer::new().user("alice").start().await;
//! let result = server.shell("echo hi").await;
//! assert_eq!(result.stdout(), "hi\n");
//! ```

mod application;
pub mod clients;
mod directory;
mod disk;
pub mod docker;
mod end_log;
mod engine;
pub mod host;
mod http;
mod instance;
mod not_run;
mod proxy;
mod rpc;
mod server;
mod setting_file;

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

pub use application::Application;
pub use directory::Directory;
pub use disk::Disk;
pub use end_log::EndLog;
pub use engine::Engine;
pub use http::{Answer, HttpServer, MODERN, Reply, connect};
pub use instance::Instance;
pub use not_run::{not_run, not_run_but_in_ci};
pub use proxy::{HoldingCreates, Proxy, Withholding, WithoutMemoryLimit};
pub use rpc::{CallResult, Pending, Rpc};
pub use server::{Server, TestServer};
pub use setting_file::{SettingFile, token_row};

/// The image that nearly all tests use.
pub const TOOLS_IMAGE: &str = "casemate-tools:latest";

/// How many times longer than usual everything may take on this machine: a variable for developers,
/// which `make test-vm` sets where the processor is emulated.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn slowness() -> u32 {
    static SLOWNESS: OnceLock<u32> = OnceLock::new();
    *SLOWNESS.get_or_init(|| match std::env::var("TEST_SLOWNESS") {
        Ok(text) => text.parse().expect("TEST_SLOWNESS is a whole number"),
        Err(_) => 1,
    })
}

/// A time limit for this machine.
pub fn allowed(limit: Duration) -> Duration {
    limit * slowness()
}

/// Polls until `condition` holds. Panics with `what` after `within`, as [`allowed`].
pub async fn eventually<F>(what: &str, within: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let within = allowed(within);
    let end = tokio::time::Instant::now() + within;
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < end,
            "{what}: not within {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
