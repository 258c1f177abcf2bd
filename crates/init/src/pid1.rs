//! PID 1 of the container: owns every command, every result and all file work, and ends itself when
//! it is no longer needed.
//!
//! ```text
//! socket ─► service ─► commands ─► command ──spawn──► supervisor ─► command
//!              │           │          └─ reaper, tree (kill)
//!              │           └─ lifecycle (busy, idle, ending)
//!              └─► files (their own threads)
//!        └─► egress
//! ```
//!
//! Rules of this module:
//! - One thread runs all of it, and the file threads exist before the socket is
//!   served: at the limit of processes nothing here needs a new one.
//! - [`reaper`] alone waits for children.
//! - SIGCHLD has the only handler. The kernel drops every other signal that user code sends to
//!   PID 1; those that would end it are also ignored, because of a gap (`sys::ignore_signals`).
//! - When PID 1 ends, the kernel kills all of the container; the Engine removes
//!   it. So ending is always clean.

mod account;
mod attached;
mod background;
mod bounds;
mod bridges;
mod caller;
mod cgroup;
mod command;
mod commands;
mod confinement;
mod ending;
mod environment;
mod evidence;
mod idempotency;
mod kill_all;
mod last_use;
mod lifecycle;
mod link;
mod memory_watch;
mod min_free_space;
mod options;
mod outcome;
mod pipes;
mod ports;
mod process;
mod reachability;
mod reaper;
mod reports;
mod rlimits;
mod service;
mod shell;
mod socket;
mod spill;
mod start_failure;
mod stopped;
mod supervisors;
mod table;
mod transfers;
mod uncharged;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{WORKSPACE, exit};

use self::cgroup::Cgroup;
use self::commands::{Commands, Times};
use self::idempotency::IdempotencyCache;
use self::kill_all::KillAll;
use self::last_use::LastUse;
use self::lifecycle::Lifecycle;
use self::memory_watch::MemoryWatch;
use self::min_free_space::MinFreeSpace;
use self::options::Options;
use self::ports::Ports;
use self::reaper::Reaper;
use self::service::{FileCalls, Service};
use self::shell::Shell;
use self::supervisors::Supervisors;
use self::transfers::Transfers;
use crate::egress::Egress;
use crate::files::{Pool, Shared, TEMPORARY_AGE_LIMIT, Workspace};
use crate::shield;

/// Threads for file work: reads overlap while one waits for the disk. More
/// would only queue at the container's one CPU.
const FILE_THREADS: usize = 4;

/// Transfers at once, each of which holds 2 MiB at most. Most wait for the network.
const TRANSFER_THREADS: usize = 4;

/// From the start to the first sweep: the first calls come before it.
const SWEEP_DELAY: Duration = Duration::from_secs(2);

/// How long the time of the last use may take to be written at the end.
const LAST_USE_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(message) => {
            crate::report_error(&message);
            return exit_code(exit::USAGE);
        }
    };
    exit_with_its_own_code_on_panic();
    crate::sys::ignore_signals();
    crate::sys::give_back_large_buffers();
    if let Some(account) = options.account
        && let Err(error) = shield::put_up(account, shield::Keeps::ForSupervisors)
    {
        crate::report_error(&format!("cannot separate itself from its user: {error}"));
        return exit_code(exit::NOT_SERVING);
    }
    // While there is one thread.
    let shielded = shield::tried(options.account);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let code = runtime.and_then(|runtime| runtime.block_on(run(options, shielded)));
    match code {
        Ok(code) => exit_code(code),
        Err(error) => {
            crate::report_error(&format!("cannot serve: {error}"));
            exit_code(exit::NOT_SERVING)
        }
    }
}

fn exit_code(code: i64) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A bug must not look like an end that was asked for.
fn exit_with_its_own_code_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        crate::report_error(&format!("panic: {panic}"));
        crate::sys::exit_now(i32::try_from(exit::PANIC).unwrap_or(i32::MAX));
    }));
}

async fn run(options: Options, shielded: Vec<String>) -> io::Result<i64> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if !options.rlimits.is_empty() {
        rlimits::set(&options.rlimits, &confinement::read())?;
    }
    // Beside all that follows, and known before anything is served.
    let unreachable = options.unreachable.clone();
    let probe = tokio::spawn(async move { reachability::reached(&unreachable).await });
    let workspace = match open_workspace() {
        Ok(workspace) => Arc::new(workspace),
        Err(code) => return Ok(code),
    };
    let shared = match Shared::open(&options.shared) {
        Ok(shared) => Arc::new(shared),
        Err(path) => {
            crate::report_error(&format!("{} can be written", path.display()));
            return Ok(exit::SHARED_WRITABLE);
        }
    };
    // The runtime starts it in `/`, so that it can begin with a workspace of any mode.
    std::env::set_current_dir(WORKSPACE)?;
    let bare = options.bare;
    if !bare {
        make_own_directories();
    }
    let (orphan_ttl, bridges) = (options.orphan_ttl, options.bridge_key.into());
    let unreachable = options.unreachable.clone();
    let lifecycle = Arc::new(Lifecycle::new(options.idle_timeout));
    let egress = Egress::new(lifecycle.uses().clone());
    let service = service(
        options,
        workspace.clone(),
        shared,
        lifecycle.clone(),
        egress.clone(),
        shielded,
    )?;
    let (commands, last_use) = (service.commands.clone(), service.last_use.clone());
    let pool = service.files.pool.clone();
    if let Some(target) = probe.await.map_err(io::Error::other)? {
        reachability::report(target);
        return Ok(exit::REACHABLE);
    }
    let connections = socket::serve(service, egress.clone(), lifecycle.clone(), bridges)?;
    if !bare {
        tokio::spawn(sweep(workspace, pool));
        tokio::spawn(last_use.clone().keep());
    }
    tokio::spawn(uncharged::watch(lifecycle.clone()));
    tokio::spawn(reachability::watch(unreachable, lifecycle.clone()));
    let code = tokio::select! {
        code = lifecycle.ended() => code,
        () = connections.orphaned(orphan_ttl) => {
            lifecycle.end(exit::ORPHANED);
            exit::ORPHANED
        }
    };
    lifecycle.announce(commands.accepted(), code);
    egress.end();
    if !bare {
        // A disk that hangs does not keep the container.
        let _ = tokio::time::timeout(LAST_USE_WRITE_TIMEOUT, last_use.end()).await;
    }
    connections.drained().await;
    Ok(code)
}

/// Opens the workspace, or returns the exit code.
fn open_workspace() -> Result<Workspace, i64> {
    // Before anything is written: this user may not change another owner's files.
    if let Ok(false) = account::owns(Path::new(WORKSPACE)) {
        crate::report_error(&format!("{WORKSPACE} belongs to another user"));
        return Err(exit::NOT_OWNER);
    }
    Workspace::open(Path::new(WORKSPACE)).map_err(|error| {
        crate::report_error(&format!("cannot open the workspace: {error}"));
        exit::NO_WORKSPACE
    })
}

/// Starts the threads and the first supervisor.
fn service(
    options: Options,
    workspace: Arc<Workspace>,
    shared: Arc<Shared>,
    lifecycle: Arc<Lifecycle>,
    egress: Egress,
    shielded: Vec<String>,
) -> io::Result<Service> {
    let pool = Arc::new(Pool::start("file", FILE_THREADS)?);
    let min_free = MinFreeSpace::new(options.disk_floor);
    let transfers = Transfers {
        workspace: workspace.clone(),
        pool: Pool::start("transfer", TRANSFER_THREADS)?,
        min_free,
        backups: tokio::sync::Mutex::default(),
    };
    let resort = Arc::new(KillAll::new(lifecycle.clone()));
    let supervisors = Supervisors::new(Reaper::start(resort)?, options.account, options.processes);
    supervisors.prepare();
    let (mut cgroup, memory_watch) = (Cgroup::find(), Arc::<MemoryWatch>::default());
    if options.account.is_some() {
        cgroup = cgroup.with_tasks_limit(options.processes);
        let (reaper, lifecycle) = (supervisors.reaper().clone(), lifecycle.clone());
        tokio::spawn(memory_watch.clone().run(cgroup, reaper, lifecycle));
    }
    let commands = Commands::new(
        lifecycle.clone(),
        (cgroup, memory_watch),
        supervisors,
        Shell::find(&options.environment),
        workspace.clone(),
        pool.clone(),
        Times {
            background: options.background_ttl,
            lost_channel: options.lost_channel_ttl,
        },
    );
    Ok(Service {
        features: workspace.features(),
        last_use: LastUse::new(workspace.clone(), pool.clone(), lifecycle.clone()),
        files: FileCalls {
            workspace,
            shared,
            pool,
            lifecycle: lifecycle.clone(),
            min_free,
        },
        written: IdempotencyCache::default(),
        edited: IdempotencyCache::default(),
        deleted: IdempotencyCache::default(),
        moved: IdempotencyCache::default(),
        directories: IdempotencyCache::default(),
        transfers: Arc::new(transfers),
        commands: Arc::new(commands),
        lifecycle,
        cgroup,
        egress,
        ports: Ports::default(),
        spec: options.spec,
        boot_id: random_id(),
        denied: crate::filters::denied(),
        separate: options.account.is_some(),
        shielded,
        confinement: confinement::read(),
        started: tokio::time::Instant::now(),
    })
}

/// Removes the temporary files of a PID 1 that was killed: once after the start, and once when
/// those that were young then are old enough.
async fn sweep(workspace: Arc<Workspace>, pool: Arc<Pool>) {
    for pause in [SWEEP_DELAY, TEMPORARY_AGE_LIMIT] {
        tokio::time::sleep(pause).await;
        let workspace = workspace.clone();
        let _ = pool.run(move |cancel| workspace.sweep(cancel)).await;
    }
}

/// HOME and Casemate's directory in the workspace. On a full disk they are missing, and everything
/// else still works.
fn make_own_directories() {
    for name in [".home", ".casemate"] {
        let _ = std::fs::create_dir(Path::new(WORKSPACE).join(name));
    }
}

/// 128 random bits in hexadecimal.
fn random_id() -> String {
    let mut bytes = [0; 16];
    // Blocks at most until the kernel's generator is ready, early in the host's
    // boot; on failure the id is constant, and only reconnects see it.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
