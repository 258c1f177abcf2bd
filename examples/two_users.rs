//! Two users on one Engine. Neither sees the other's files, processes or memory:
//! each has a separate container and volume.
//!
//! ```sh
//! cargo build --release && cargo run --release --example two_users
//! ```

#![allow(clippy::print_stdout)]

mod support;

use serde_json::json;
use support::{Session, text};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let ada = Session::start("example", "ada", &[]).await?;
    let bob = Session::start("example", "bob", &[]).await?;

    let note = json!({ "path": "note.txt", "content": "for Ada's eyes only\n" });
    println!(
        "ada writes:  {}",
        text(&ada.call("write_file", note).await?)
    );

    let path = json!({ "path": "note.txt" });
    println!(
        "ada reads:   {}",
        text(&ada.call("read_file", path.clone()).await?).trim_end()
    );
    println!("bob reads:   {}", text(&bob.call("read_file", path).await?));

    let command = json!({ "command": "ps -e --no-headers | wc -l; ls -A /workspace" });
    println!(
        "bob's world: {:?}",
        text(&bob.call("shell_exec", command).await?)
    );

    ada.end().await?;
    bob.end().await
}
