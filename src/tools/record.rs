//! A call of a tool, for the audit.

use rmcp::model::{CallToolResult, JsonObject};

use super::ToolError;
use crate::audit::{Audit, Started, Who};
use crate::identity::User;
use crate::sandbox::Used;

/// `None`: nothing is recorded.
pub async fn begin(
    audit: &Audit,
    user: &User,
    name: &str,
    arguments: &JsonObject,
) -> Result<Option<Started>, ToolError> {
    let arguments = || json(arguments);
    let begun = audit.begin(|| who(user), name, arguments).await;
    begun.map_err(|error| ToolError::not_recorded(&error))
}

/// Waits until the line is written.
pub async fn end(
    call: Started,
    result: &CallToolResult,
    outcome: &str,
    used: &Used,
) -> Result<(), ToolError> {
    let mut digest = call.digest();
    digest.add(&json(result));
    let nothing = call.digest();
    let written = call.end(nothing, digest, outcome, used.container()).await;
    written.map_err(|error| ToolError::unrecorded(&error))
}

/// Whose line it is.
pub fn who(user: &User) -> Who {
    Who {
        issuer: user.issuer.as_str().to_owned(),
        subject: user.subject.as_str().to_owned(),
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Both came as JSON or go as it.
    serde_json::to_vec(value).unwrap_or_default()
}
