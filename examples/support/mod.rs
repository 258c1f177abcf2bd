//! What the examples share: a Casemate server as a child process, and its tools
//! as calls.

mod program;

use anyhow::Context as _;
use rmcp::model::{CallToolRequestParams, CallToolResult, JsonObject};
use rmcp::service::RunningService;
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;

pub use program::server;

/// A conversation with a server of one user.
pub struct Session(RunningService<RoleClient, ()>);

impl Session {
    /// Starts `casemate serve` with these flags for `user`. What a client does with
    /// `mcp.json`.
    pub async fn start(instance: &str, user: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = tokio::process::Command::new(server()?);
        command
            .arg("serve")
            .args(flags)
            .env("CASEMATE_INSTANCE", instance)
            .env("CASEMATE_USER", user)
            .env("CASEMATE_LOG", "error");
        let transport = TokioChildProcess::new(command).context("casemate cannot be started")?;
        Ok(Self(
            ().serve(transport)
                .await
                .context("no conversation with casemate")?,
        ))
    }

    /// Calls a tool. An error of the tool is a result too.
    pub async fn call(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<CallToolResult> {
        let arguments: JsonObject = serde_json::from_value(arguments)?;
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        Ok(self.0.call_tool(request).await?)
    }

    #[allow(dead_code, reason = "not every program that shares this asks")]
    /// Asks for the tools, which makes the sandbox ready, and counts them.
    pub async fn tools(&self) -> anyhow::Result<usize> {
        Ok(self.0.list_all_tools().await?.len())
    }

    /// Ends the server. The user's container ends itself when it was idle.
    pub async fn end(self) -> anyhow::Result<()> {
        self.0.cancel().await?;
        Ok(())
    }
}

/// The text half of a result.
pub fn text(result: &CallToolResult) -> String {
    let blocks = result.content.iter().filter_map(|block| block.as_text());
    blocks
        .map(|block| block.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}
