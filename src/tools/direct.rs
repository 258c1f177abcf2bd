//! Tools that HTTP routes call directly, without an MCP message. Audit, metrics and log are the same
//! as for a message.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

use super::call::Call;
use super::server::Tools;
use super::{catalog, record, result};
use crate::api::{Code, ToolError};
use crate::config::ToolSet;
use crate::identity::Identity;
use crate::sandbox::{LastContainer, ProgressUpdate};

impl Tools {
    /// Calls the tool `name` for this user. When `cancel` fires, it ends as when an MCP client leaves.
    /// Answers with the structured half of its result.
    ///
    /// # Errors
    /// Those of the tool.
    pub async fn call_directly(
        &self,
        identity: &Identity,
        name: &'static str,
        arguments: JsonObject,
        cancel: &CancellationToken,
    ) -> Result<Value, ToolError> {
        let start = Instant::now();
        let span = info_span!("tool_call", tool = name, outcome = field::Empty);
        let called = self.recorded_directly(identity, name, arguments, cancel);
        let (outcome, result) = called.instrument(span.clone()).await;
        span.record("outcome", &outcome);
        self.manager().meter().call(name, &outcome, start.elapsed());
        result
    }

    /// Its outcome, and the answer that the line in the record is about.
    async fn recorded_directly(
        &self,
        identity: &Identity,
        name: &'static str,
        arguments: JsonObject,
        cancel: &CancellationToken,
    ) -> (String, Result<Value, ToolError>) {
        let recording = record::begin(self.manager().audit(), identity, name, &arguments).await;
        let recording = match recording {
            Ok(recording) => recording,
            Err(refused) => return (refused.code.as_str().to_owned(), Err(refused)),
        };
        let used = LastContainer::default();
        let sandbox = self.manager().sandbox(identity).with_last_container(&used);
        // Nobody listens: the caller gets one answer.
        let (progress, _) = watch::channel(ProgressUpdate::Nothing);
        let call = Call {
            tag: Bytes::new(),
            cancel: cancel.child_token(),
            wait: self.manager().config().wait,
            progress: &progress,
            share: self.share_context(identity),
        };
        let result = match catalog::find(ToolSet::All, name) {
            Some(tool) => (tool.call)(&sandbox, arguments, &call).await,
            None => Err(ToolError::new(Code::Internal, "there is no such tool.")),
        };
        let outcome = result::counted(&result).to_owned();
        let answer = result.map(structured);
        let Some(recording) = recording else {
            return (outcome, answer);
        };
        let recorded = match &answer {
            Ok(value) => Cow::Borrowed(value),
            Err(error) => {
                Cow::Owned(json!({ "code": error.code.as_str(), "message": error.sentence }))
            }
        };
        let ended = record::end(recording, name, recorded.as_ref(), &outcome, &used).await;
        match ended {
            Ok(()) => (outcome, answer),
            Err(withheld) => (withheld.code.as_str().to_owned(), Err(withheld)),
        }
    }
}

fn structured(result: CallToolResult) -> Value {
    result.structured_content.unwrap_or_default()
}
