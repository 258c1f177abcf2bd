//! What the server and casemate-init say to each other: the messages of
//! `proto/sandbox.proto`, their bounds, and the way a [`Failure`] travels in a
//! gRPC status.

#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod generated {
    include!("generated/casemate.v1.rs");
}

/// How connections leave a sandbox that has no network: the messages of `proto/egress.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod egress {
    include!("generated/casemate.egress.v1.rs");
}

pub mod backup;
pub mod exit;
mod image;
mod pax;
mod records;
pub mod shield;
mod status;

pub use generated::*;
pub use image::image_type;
pub use pax::{PaxRecord, parse_pax_time, pax_time, split_pax_record};
pub use records::{Attribute, Records};
pub use status::FailureExt;

/// Major version of the protocol. Two sides with the same one can work together.
pub const PROTOCOL: u32 = 1;

/// Largest gRPC message either side decodes. The largest legitimate one is a
/// file of 3 MiB with its path, or a script and a standard input of 1 MiB each.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// HTTP/2 flow-control window of one stream, 256 KiB.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// HTTP/2 flow-control window of the connection, 4 MiB.
pub const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// The window of one connection to PID 1: of the 64 connections of a user's egress none waits for
/// another that no program reads. What it holds is charged to the sandbox.
pub const SANDBOX_CONNECTION_WINDOW: u32 = 64 * STREAM_WINDOW;

/// The port of a sandbox that no preview reaches: PID 1 answers DNS there.
pub const DNS_PORT: u16 = 53;

/// Bytes of one piece of a connection, at most.
pub const MAX_PIECE: usize = 64 << 10;

/// Bytes of such a connection that are read at once. With the headers of the message and of gRPC they
/// fill one frame of HTTP/2, 16 KiB, and no second one.
pub const PIECE_SIZE: usize = (16 << 10) - 64;

/// The largest message of egress: a piece, or a verdict with some ports.
pub const MAX_EGRESS_MESSAGE: usize = 2 * MAX_PIECE;

/// The script of a command, in bytes. The tool contract names this bound.
pub const MAX_SCRIPT: usize = 1024 * 1024;

/// The standard input of a command, in bytes.
pub const MAX_STDIN: usize = 1024 * 1024;

/// The tag of a request, in bytes: a SHA-256.
pub const TAG_BYTES: usize = 32;

/// Names and values of a command's environment together, in bytes. The kernel
/// takes a quarter of the stack limit (2 MiB) for arguments and environment.
pub const MAX_ENV: usize = 128 * 1024;

/// The content of one `WriteFile`, in bytes.
pub const MAX_WRITE: usize = 3 * 1024 * 1024;

/// Largest file that `EditFile` changes, in bytes: PID 1 holds it twice.
pub const MAX_EDIT: usize = 8 * 1024 * 1024;

/// Data of one `ReadBytes`, in bytes.
pub const MAX_READ: usize = 3 * 1024 * 1024;

/// Content in one message of a transfer, in bytes: as much as a stream's window.
pub const MAX_CHUNK: usize = 256 * 1024;

/// In `StatsReply.last_used_ms`: the workspace was read, and does not say when.
pub const LAST_USE_UNKNOWN: i64 = -1;

/// User id of the bridge. PID 1 serves no other user.
pub const BRIDGE_UID: u32 = 65534;

/// A bridge that is marked by a key shows it in so many bytes, the first of its standard input.
pub const BRIDGE_KEY_BYTES: usize = 32;

/// Where casemate-init is in every container.
pub const INIT_PATH: &str = "/casemate-init";

/// The certificates that programs in the sandbox trust, where the operator adds some to those of the
/// image.
pub const CA_PATH: &str = "/casemate/ca.pem";

/// Where the workspace is in every container.
pub const WORKSPACE: &str = "/workspace";

/// Where the workspace is in a volume that the Engine gives to a group and not to its user.
pub const VOLUME_WORKSPACE: &str = "w";

/// Name of PID 1's socket in the abstract namespace, without the leading NUL.
pub const SOCKET_NAME: &[u8] = b"casemate";
