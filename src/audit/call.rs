//! A call on its way to its line.

use std::time::Instant;

use super::line::Event;
use super::{Audit, AuditSubject, AuditWriteError, Call, CommandStart, Digest};

/// The facts about a call when it begins.
#[derive(Debug)]
pub struct CallStart {
    audit: Audit,
    id: Option<String>,
    user: AuditSubject,
    tool: String,
    arguments: Digest,
    at: Instant,
}

impl Audit {
    /// Begins the record of a call of `tool`, with the `arguments` to hash; `None` if the audit is
    /// off.
    ///
    /// # Errors
    /// [`AuditWriteError`]: the call must not be made.
    pub async fn begin(
        &self,
        user: impl FnOnce() -> AuditSubject,
        tool: &str,
        arguments: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<CallStart>, AuditWriteError> {
        if !self.is_on() {
            return Ok(None);
        }
        self.admit().await?;
        Ok(Some(CallStart {
            audit: self.clone(),
            id: None,
            user: user(),
            tool: tool.to_owned(),
            arguments: Digest::of(self.has_content(), &arguments()),
            at: Instant::now(),
        }))
    }
}

impl CallStart {
    /// Records that the call is about to be made, and waits until that line is written. For calls
    /// that continue if the server is killed.
    ///
    /// # Errors
    /// [`AuditWriteError`]: the call must not be made.
    pub async fn begun(&mut self) -> Result<(), AuditWriteError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let (arguments_sha256, arguments) = self.arguments.clone().end();
        let begun = CommandStart {
            id: id.clone(),
            user: self.user.clone(),
            tool: self.tool.clone(),
            arguments_sha256,
            arguments,
        };
        self.audit.write(Event::Begun(begun)).await?;
        self.id = Some(id);
        Ok(())
    }

    /// For other content of the call.
    pub fn digest(&self) -> Digest {
        Digest::new(self.audit.has_content())
    }

    /// Records it, and waits until the line is written.
    ///
    /// # Errors
    /// [`AuditWriteError`]: the call was made, but it is not recorded, or may not be.
    pub async fn end(
        self,
        content: Digest,
        result: Digest,
        outcome: &str,
        container: Option<String>,
    ) -> Result<(), AuditWriteError> {
        let content_sha256 = (!content.is_empty()).then(|| content.end());
        let (content_sha256, content) = content_sha256.unzip();
        let (arguments_sha256, arguments) = self.arguments.end();
        let (result_sha256, result) = result.end();
        let took = self.at.elapsed().as_millis();
        let call = Call {
            id: self.id,
            user: self.user,
            tool: self.tool,
            arguments_sha256,
            content_sha256,
            result_sha256,
            outcome: outcome.to_owned(),
            duration_ms: took.try_into().unwrap_or(u64::MAX),
            container,
            arguments,
            content: content.flatten(),
            result,
        };
        self.audit.call(call).await
    }
}
