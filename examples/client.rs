//! An MCP client that runs a command and reads the file which it wrote.
//!
//! ```sh
//! cargo build --release && cargo run --release --example client
//! ```

#![allow(clippy::print_stdout)]

mod support;

use serde_json::json;
use support::{Session, text};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let session = Session::start("example", "ada", &[]).await?;

    let command = "echo 'Hello from the sandbox' > hello.txt; python3 -c 'print(2 ** 64)'";
    let result = session
        .call("shell_exec", json!({ "command": command }))
        .await?;
    println!("shell_exec: {}", text(&result));

    let result = session
        .call("read_file", json!({ "path": "hello.txt" }))
        .await?;
    println!("read_file:  {}", text(&result));

    session.end().await
}
