//! Sandboxes: one user, one volume, and a container under one owner: the same for all
//! calls, or in ephemeral mode a fresh one for every command.
//!
//! ```text
//!             first call, warm                    started, channel open
//!   absent ────────────────────► creating ──────────────────────────────► running
//!     ▲                             │                                       │
//!     │        failed               │         idle, killed, removed         │
//!     ├─────────────────────────────┘                                       │
//!     ├─────────────────────────────────────────────────────────────────────┤
//!     └────────────── gone ◄──────── retiring ◄──── asked to end ───────────┘
//! ```
//!
//! Rules:
//! - One task, the `owner`, changes a container's state. Others hold an `OwnerHandle`,
//!   ask it for a lease and hear what that waits for.
//! - Only PID 1 knows what runs; several servers may use one container.
//! - A command is started under one id and never run twice: an id that a new
//!   container does not know is lost, unless the old one said that it had not
//!   accepted it.
//! - A change of a file is made once: it is asked for again under its id, and only
//!   where that is known (`retry`).
//! - When a container was replaced, the next result says so.
//! - A container that ran a command in ephemeral mode is used up: nothing runs in it
//!   again, and it ends with its last `OwnerHandle`, with all that still runs in it.

mod cancel;
mod command;
mod command_log;
mod commands;
mod egress;
mod exec;
mod execution;
mod files;
mod handle;
mod handles;
mod last_container;
mod lease;
mod manager;
mod metrics;
mod names;
mod owner;
mod port_history;
mod ports;
mod retry;
mod run;
mod snapshots;
mod spawner;
mod transfer;
mod unused;
mod wait;
mod warm_pool;
mod workspaces;

pub use crate::provision::{
    EMPTIED, KEPT, LOST, LiveSandbox, Notice, Reason, RepeatedSurvey, SandboxError, SandboxLimit,
    Uncertainty,
};
pub use cancel::CancelScope;
pub use command::{Command, ExecOutcome, ExecReport, LostCommand, ProgressUpdate, WaitOptions};
pub use command_log::{CommandEnd, CommandState};
pub use commands::LoggedCommand;
pub use egress::{NetworkReport, RecentRefusal, own_addresses};
pub use handle::{Answer, Sandbox};
pub use last_container::LastContainer;
pub use manager::Manager;
pub use port_history::{EndTime, ObservedEnd};
pub use ports::{ContainerPorts, ProbedPort};
pub use run::{Run, RunControl};
pub use transfer::{Download, Stat, UploadOptions, Uploaded};
pub use workspaces::KnownWorkspace;
