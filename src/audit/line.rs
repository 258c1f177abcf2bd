//! One line: JSON, with the hash of the line before and its own.
//!
//! ```text
//! {"seq":7,"prev":"<hash of line 6>","time":"…","server":{…},"kind":"call",…,"hash":"<its own>"}
//! ```
//!
//! The hash is the SHA-256 of the line's bytes up to the comma before `"hash"`. It needs no
//! canonical form, and is easy to check: `head -c -76 | sha256sum` of a line.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::digest::sha256;
use crate::identity::{Identity, WorkspaceId};

/// The `prev` of a server's first line.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Longest line, in bytes: three contents of 64 KiB, as JSON writes control characters (six bytes
/// each), and the rest. A longer line is not from this server.
pub const LINE_BYTES: usize = 2 << 20;

/// Between the line and its hash.
const MARK: &str = ",\"hash\":\"";

/// After the hash.
const END: &str = "\"}";

/// A user, in one of their workspaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditSubject {
    /// The issuer of the subject.
    pub issuer: String,
    /// The name.
    pub subject: String,
    /// The group by whose settings the sandbox is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name of the workspace; none: the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

impl From<&WorkspaceId> for AuditSubject {
    fn from(workspace: &WorkspaceId) -> Self {
        Self {
            issuer: workspace.user.issuer.as_str().to_owned(),
            subject: workspace.user.subject.as_str().to_owned(),
            group: None,
            workspace: workspace.name_str().map(str::to_owned),
        }
    }
}

impl From<&Identity> for AuditSubject {
    fn from(identity: &Identity) -> Self {
        Self {
            group: identity.group_str().map(str::to_owned),
            ..Self::from(&identity.workspace_id())
        }
    }
}

/// A command that is about to run. If its server is killed, this line is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandStart {
    /// Random; the line of the call has it too.
    pub id: String,
    /// Whose.
    pub user: AuditSubject,
    /// The tool.
    pub tool: String,
    /// As that of the call.
    pub arguments_sha256: String,
    /// As those of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// One call that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The same as in the line of its beginning, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whose.
    pub user: AuditSubject,
    /// The tool, or for files over HTTP `http_upload`, `http_download`, `http_stat`,
    /// `http_list`, `http_delete`.
    pub tool: String,
    /// Of the arguments as compact JSON with sorted keys; over HTTP of the request's
    /// path and query.
    pub arguments_sha256: String,
    /// Over HTTP: of the bytes that were sent in, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// Of the result as JSON; over HTTP of the bytes of the answer.
    pub result_sha256: String,
    /// A command's outcome, `ok`, or the error's code. `broken_off` for a transfer that
    /// did not complete.
    pub outcome: String,
    /// From the call to its answer.
    pub duration_ms: u64,
    /// The id of the container; `None` if the call did not reach one.
    pub container: Option<String>,
    /// With `audit_content`: the beginning of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Over HTTP: the content that was sent in, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The result, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// Something that is removed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovalRecord {
    /// `container`, `volume`, `image`, `backup`, or a `command` that an operator ended.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<AuditSubject>,
    /// Why it is removed.
    pub reason: String,
    /// First `begun`, then `done` or what went wrong. If the server is killed, only the first is
    /// left.
    pub outcome: String,
}

/// A connection of a sandbox at its end, or a refused one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressRecord {
    /// Whose.
    pub user: AuditSubject,
    /// The id of the container.
    pub container: String,
    /// The host, in its one form; as it was asked for where it has none.
    pub host: String,
    /// `None`: the name was refused, for all ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The rule that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The address that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes to the host.
    pub sent_bytes: u64,
    /// Bytes from the host.
    pub received_bytes: u64,
    /// From the program's connection to its end.
    pub duration_ms: u64,
    /// `closed`, `reset`, or the code of the refusal.
    pub outcome: &'static str,
}

/// A request of a browser to a program in a sandbox, at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewRecord {
    /// Whose sandbox.
    pub user: AuditSubject,
    /// The id of the container.
    pub container: String,
    /// The id of the share that opened it.
    pub share: String,
    pub port: u16,
    /// Bytes to the program.
    pub sent_bytes: u64,
    /// Bytes from the program.
    pub received_bytes: u64,
    /// From the request to the end of the answer, or of the WebSocket.
    pub duration_ms: u64,
    /// `http_` and the status of the answer, or the code of what went wrong.
    pub outcome: String,
}

/// The event that a line records.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The first line of a server.
    Started {
        /// Its version.
        version: &'static str,
        /// Its process.
        pid: u32,
        /// The ends of the newest files of other servers at that time.
        others: Vec<Anchor>,
    },
    /// The first line of a server's next file.
    Continued {
        /// The one before.
        after: String,
    },
    /// A command is about to run.
    Begun(CommandStart),
    /// A call was answered.
    Call(Call),
    /// A removal.
    Removal(RemovalRecord),
    /// A connection of a sandbox.
    Egress(EgressRecord),
    /// A request to a program in a sandbox.
    Preview(PreviewRecord),
    /// Lines could not be written for a while.
    Resumed {
        /// Calls that were refused until then.
        refused: u64,
    },
    /// A server that was killed has left this file; another one closes it.
    Sealed {
        /// The server that closes it.
        by: String,
        /// Bytes of an unfinished line before this one.
        torn_bytes: usize,
        /// Of those bytes.
        torn_sha256: String,
    },
    /// The server ended as it should.
    Stopped {},
}

/// The end of a file when another server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its name.
    pub file: String,
    /// Of its last line.
    pub seq: u64,
    /// Of its last line.
    pub hash: String,
}

/// The server that writes.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    node: String,
    instance: String,
    /// Random: 8 hexadecimal digits.
    pub id: String,
}

impl Server {
    /// With a new id.
    pub fn new(node: String, instance: String) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let id = id.chars().take(8).collect();
        Self { node, instance, id }
    }
}

#[derive(Serialize)]
struct HashedFields<'a> {
    seq: u64,
    prev: &'a str,
    time: String,
    server: &'a Server,
    #[serde(flatten)]
    event: &'a Event,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Of the last line.
    pub seq: u64,
    /// Of the last line.
    pub hash: String,
}

impl ChainHead {
    /// Before the first line.
    pub fn new() -> Self {
        Self {
            seq: 0,
            hash: NOTHING.to_owned(),
        }
    }

    /// Adds a line to the chain and returns it with its line feed.
    pub fn add(&mut self, server: &Server, event: &Event) -> serde_json::Result<String> {
        let seq = self.seq + 1;
        let mut line = serde_json::to_string(&HashedFields {
            seq,
            prev: &self.hash,
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            server,
            event,
        })?;
        line.truncate(line.len() - 1);
        self.seq = seq;
        self.hash = sha256(line.as_bytes());
        line.push_str(MARK);
        line.push_str(&self.hash);
        line.push_str(END);
        line.push('\n');
        Ok(line)
    }
}

/// A stored line, with the fields that the check needs.
#[derive(Debug, Deserialize)]
pub struct StoredLine {
    /// Its number.
    pub seq: u64,
    /// The hash of the one before.
    pub prev: String,
    /// Its own.
    pub hash: String,
    /// The kind of its event.
    pub kind: String,
    /// See [`Event::Sealed`].
    pub torn_bytes: Option<usize>,
    /// See [`Event::Sealed`].
    pub torn_sha256: Option<String>,
    /// See [`Event::Started`].
    #[serde(default)]
    pub others: Vec<Anchor>,
}

impl StoredLine {
    /// From a line without its line feed; `None`: not a line of an audit.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether the hash is that of `line`.
    pub fn is_whole(&self, line: &[u8]) -> bool {
        let end = MARK.len() + NOTHING.len() + END.len();
        let Some(at) = line.len().checked_sub(end) else {
            return false;
        };
        let (hashed, rest) = line.split_at(at);
        rest == format!("{MARK}{}{END}", self.hash).as_bytes() && sha256(hashed) == self.hash
    }

    /// Nothing comes after it in its chain.
    pub fn is_last(&self) -> bool {
        matches!(self.kind.as_str(), "stopped" | "sealed")
    }
}
