//! A call on its way to its line.

use std::time::Instant;

use super::line::Event;
use super::{Audit, AuditSubject, AuditWriteError, Call, CommandStart, Digest};

/// What is known of a call when it begins. `None` of it where nothing is recorded.
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
    /// A call of `tool` that begins now, with `arguments` as they are hashed; `None` where
    /// nothing is recorded.
    ///
    /// # Errors
    /// [`AuditWriteError`]: it must not be made.
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
    /// Records that it is about to be made, and waits until that line is written: for what
    /// goes on when its server is killed.
    ///
    /// # Errors
    /// [`AuditWriteError`]: it must not be made.
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

    /// For what else of the call is hashed.
    pub fn digest(&self) -> Digest {
        Digest::new(self.audit.has_content())
    }

    /// Records it, and waits until the line is written.
    ///
    /// # Errors
    /// [`AuditWriteError`]: it was made and is not recorded, or that is not known.
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
