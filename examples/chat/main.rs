//! A chat backend: a user uploads a table, and a model answers with a chart, a report and a small
//! web application, made in the user's sandbox.
//!
//! ```sh
//! cargo build --release && cargo run --release --example chat
//! ```
//!
//! `backend.rs` is the application, `casemate.rs` its requests to Casemate, `model.rs` a model that is
//! a script, `browser.rs` the user's browser.

#![allow(clippy::print_stdout)]

mod backend;
mod browser;
mod casemate;
mod model;
#[path = "../support/program.rs"]
mod program;
mod scenes;
mod server;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    scenes::play(
        &program::server()?,
        &[("CASEMATE_INSTANCE", "example")],
        |who, what, result| {
            println!(
                "{who}: {what}\n    {}",
                result.trim_end().replace('\n', "\n    ")
            );
        },
    )
    .await
}
