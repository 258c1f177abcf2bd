//! Casemate: an MCP tool server that gives every user a private, hardened
//! container with a private workspace.
//!
//! The map, from the outside in; each layer uses only those below it:
//!
//! ```text
//! cli                 one verb a file
//! http, stdio         how requests come in, and who they are from
//! ops                 backups, clean-up and checks over all users
//! tools               parse, call, convert
//! shares              what users share: records, links, their keys
//! api                 codes and sentences of errors, outcomes of commands, times
//! sandbox             what callers hold: one owner task for each container, commands, files
//! snapshot            a whole workspace, out and in
//! provision           finds, makes, adopts and ends containers and volumes
//! egress              names, connections and bytes that leave a sandbox
//! channel             gRPC to PID 1 over one stream that the engine opens
//! engine              what runs the containers, behind one face: Docker Engine, Podman
//! config, identity, workspace      values that are valid once they exist
//! audit               one chained line for each call
//! meter               metrics
//! ```
//!
//! What runs in the container is another program, `crates/init`; what the two
//! say to each other is `crates/protocol`.

pub mod api;
pub mod audit;
pub mod channel;
pub mod cli;
pub mod config;
pub mod egress;
pub mod engine;
pub mod http;
pub mod identity;
pub mod meter;
pub mod ops;
mod provision;
pub mod sandbox;
pub mod shares;
mod snapshot;
pub mod stdio;
pub mod tools;
pub mod workspace;
