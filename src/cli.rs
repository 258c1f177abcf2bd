//! The command line, one file per verb.

mod audit;
mod backup;
mod completions;
mod doctor;
mod each;
mod egress;
mod examples;
mod exec;
mod gc;
mod hold;
mod identity_args;
mod json;
mod man;
mod migrate;
mod prepare_image;
mod progress;
mod ps;
mod release;
mod restore;
mod rm;
mod serve;
mod settings;
mod setup;
mod shared;
mod stop;
mod table;
mod token;
mod tools_image;
#[cfg(feature = "otlp")]
mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "cli/no_traces.rs"]
mod traces;
mod user_args;
mod users;
mod workspace_cells;
mod workspaces;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Gives every user of an MCP client a private, hardened container.
#[derive(Debug, Parser)]
#[command(name = "casemate", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve MCP on standard input and output, or over HTTP.
    Serve(serve::Args),
    /// Check settings, Engine and host, try a sandbox, and suggest fixes.
    Doctor(doctor::Args),
    /// List the sandboxes of all servers of the instance, or what runs in a user's.
    Ps(ps::Args),
    /// List all workspaces, also those without a sandbox: size, age, last use, hold, newest backup.
    Users(users::Args),
    /// List the workspaces of a user, with size and last use.
    Workspaces(workspaces::Args),
    /// Run a command in a user's sandbox.
    Exec(exec::Args),
    /// End a running command of a user, and leave the sandbox as it is.
    Stop(stop::Args),
    /// Remove a user's sandbox, and with --volume the user's files.
    Rm(rm::Args),
    /// Remove containers that never ran, replaced images and old volumes.
    Gc(gc::Args),
    /// Keep a user's workspace regardless of its age.
    Hold(hold::Args),
    /// Back up workspaces to a directory or a bucket, or verify backups.
    Backup(backup::Args),
    /// Restore a user's workspace from a backup.
    Restore(restore::Args),
    /// Move workspaces of uid 1000, from older versions, to their users' own uids.
    Migrate(migrate::Args),
    /// Put data where sandboxes read it, list its versions, or remove it.
    Shared(shared::Args),
    /// Show the settings of a user's sandbox, and where each is from.
    Settings(settings::Args),
    /// Show what a user's sandbox may reach, and check a host, by the settings.
    Egress(egress::Args),
    /// Check the audit.
    Audit(audit::Args),
    /// Make a token for HTTP.
    Token(token::Args),
    /// Write the archive that `docker build` makes the image of sandboxes from.
    ToolsImage(tools_image::Args),
    /// Prepare the image of sandboxes for a Kubernetes cluster, and print its name.
    PrepareImage(prepare_image::Args),
    /// Free a workspace whose Kubernetes node was lost and will not come back.
    Release(release::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Write the manual pages.
    Man(man::Args),
}

/// The exit code of a `doctor` that could not run: 1 and 2 mean warnings and errors.
const UNKNOWN: u8 = 3;

impl Cli {
    /// The exit code of a failure.
    pub fn failed(&self) -> ExitCode {
        match self.verb {
            Verb::Doctor(_) => ExitCode::from(UNKNOWN),
            _ => ExitCode::FAILURE,
        }
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// For the person at the terminal.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Doctor(args) => doctor::run(args),
            Verb::Ps(args) => ps::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Users(args) => users::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Workspaces(args) => workspaces::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Exec(args) => exec::run(args),
            Verb::Stop(args) => stop::run(args),
            Verb::Rm(args) => rm::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Gc(args) => gc::run(args),
            Verb::Hold(args) => hold::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Backup(args) => backup::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Restore(args) => restore::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Migrate(args) => migrate::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Shared(args) => shared::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Settings(args) => settings::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Egress(args) => egress::run(args),
            Verb::Audit(args) => audit::run(args),
            Verb::Token(args) => token::run(args).map(|()| ExitCode::SUCCESS),
            Verb::ToolsImage(args) => tools_image::run(&args).map(|()| ExitCode::SUCCESS),
            Verb::PrepareImage(args) => prepare_image::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Release(args) => release::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Completions(args) => {
                completions::run(&args);
                Ok(ExitCode::SUCCESS)
            }
            Verb::Man(args) => man::run(&args).map(|()| ExitCode::SUCCESS),
        }
    }
}
