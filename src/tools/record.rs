//! A call of a tool, for the audit.

use rmcp::model::JsonObject;
use serde::Serialize;

use crate::api::ToolError;
use crate::audit::{Audit, AuditSubject, AuditWriteError, CallStart};
use crate::identity::Identity;
use crate::sandbox::LastContainer;
use crate::shares::without_signatures;

/// `None`: calls are not recorded.
pub async fn begin(
    audit: &Audit,
    identity: &Identity,
    name: &str,
    arguments: &JsonObject,
) -> Result<Option<CallStart>, ToolError> {
    let json = || json(arguments);
    let begun = async {
        let mut call = audit
            .begin(|| AuditSubject::from(identity), name, json)
            .await?;
        if let (Some(call), true) = (&mut call, starts_a_command(name, arguments)) {
            call.begun().await?;
        }
        Ok(call)
    };
    begun
        .await
        .map_err(|error: AuditWriteError| ToolError::not_recorded(&error))
}

/// A call that resumes a command does not start one.
fn starts_a_command(name: &str, arguments: &JsonObject) -> bool {
    name == super::shell::NAME && arguments.contains_key("command")
}

/// Waits until the line is written.
pub async fn end(
    call: CallStart,
    name: &str,
    result: &impl Serialize,
    outcome: &str,
    used: &LastContainer,
) -> Result<(), ToolError> {
    let mut digest = call.digest();
    digest.add(&recorded(name, result));
    let nothing = call.digest();
    let written = call.end(nothing, digest, outcome, used.container()).await;
    written.map_err(|error| ToolError::unrecorded(&error))
}

/// A link is as good as what it opens, and is in no record.
fn recorded(name: &str, result: &impl Serialize) -> Vec<u8> {
    let json = json(result);
    if ![super::share::NAME, super::share::LINKS].contains(&name) {
        return json;
    }
    without_signatures(&String::from_utf8_lossy(&json)).into_bytes()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Both are JSON in the protocol.
    serde_json::to_vec(value).unwrap_or_default()
}
