//! The Engine of the cells: this machine's, or a separate one that may be killed.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::SOON;
use super::cell::{Cell, Victim};
use crate::harness::{Directory, Engine, Instance, Server, TestServer, docker, eventually};

/// Cells that run at once: more would only wait for the Engine.
const AT_ONCE: usize = 5;

/// The beginning of PID 1's names for unfinished files.
const OLD: &str = ".casemate-tmp-0123456789abcdef";

/// Of `docker ps`.
const RUNNING: [&str; 2] = ["--filter", "status=running"];

/// Shared by the cells.
pub struct World {
    instance: Instance,
    /// `None`: the machine's.
    engine: Option<Engine>,
    /// The workspaces of bind mode.
    pub directory: Directory,
    turns: Semaphore,
}

impl World {
    /// On the machine's own Engine.
    pub fn here() -> Self {
        Self {
            instance: Instance::new(),
            engine: None,
            directory: Directory::new(0),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// On a separate Engine.
    pub async fn apart() -> Self {
        Self {
            engine: Some(Engine::start().await),
            ..Self::here()
        }
    }

    /// A permit for one cell to run.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("open")
    }

    /// A server of this instance.
    pub fn server(&self) -> TestServer {
        let server = TestServer::on(&self.instance);
        match &self.engine {
            Some(engine) => server.env("DOCKER_HOST", &engine.uri()),
            None => server,
        }
    }

    /// Kills the Engine and starts it again.
    pub async fn kill_engine(&self) {
        let engine = self.engine.as_ref().expect("one that may be killed");
        engine.kill().await;
        engine.run(false);
        engine.up().await;
    }

    fn docker(&self, args: &[&str]) -> Vec<String> {
        match &self.engine {
            Some(engine) => {
                let host = ["--host", &engine.uri()];
                docker::lines(&[&host[..], args].concat())
            }
            None => docker::lines(args),
        }
    }

    /// The ids of the user's containers, `more` filters applied.
    fn containers(&self, cell: &Cell, more: &[&str]) -> Vec<String> {
        let label = self.instance.label();
        let user = format!("label=io.casemate.user={cell}");
        let list = ["ps", "--all", "--quiet", "--no-trunc"];
        let filters = ["--filter", &label, "--filter", &user];
        self.docker(&[&list[..], &filters, more].concat())
    }

    /// Kills the victim's processes in the user's containers; returns how many.
    pub fn kill(&self, cell: &Cell) -> usize {
        let what = match cell.victim {
            Victim::Pid1 => "pid1",
            Victim::Bridge => "bridge",
            Victim::Engine => unreachable!("it dies for all cells at once"),
        };
        let containers = self.containers(cell, &[]);
        let victims = processes(what, &containers);
        let killed = victims
            .into_iter()
            .map(|pid| kill_process(pid, Signal::KILL));
        killed.filter(Result::is_ok).count()
    }

    /// A later PID 1 removes old unfinished files of a killed one.
    pub async fn old_temporaries_are_swept(&self, server: &Server, cell: &Cell) {
        let age = format!(
            "touch {OLD}; find . -name '.casemate-tmp-*' -exec touch -d '11 minutes ago' {{}} +"
        );
        assert_eq!(server.shell(&age).await.outcome(), "exited", "{cell}");
        for container in self.containers(cell, &[]) {
            self.docker(&["rm", "--force", &container]);
        }
        // PID 1 sweeps two seconds after its start; a container for one command ends earlier.
        eventually("old temporaries are swept", SOON, async || {
            server.read(OLD).await.code() == "not_found"
        })
        .await;
        let found = server.shell("find . -name '.casemate-tmp-*'").await;
        assert_eq!(found.stdout(), "", "{cell}: {}", found.0);
    }

    /// Stays until one runs, as it should while the server lives: in ephemeral mode the
    /// spare. A row that an Engine which was killed has left runs nothing, and is the
    /// sweep's.
    pub async fn one_is_left(&self, cell: &Cell) {
        self.until(cell, &RUNNING, 1).await;
    }

    /// Waits until nothing runs for the user.
    pub async fn none_is_left(&self, cell: &Cell) {
        self.until(cell, &RUNNING, 0).await;
    }

    async fn until(&self, cell: &Cell, counted: &[&str], wanted: usize) {
        let end = Instant::now() + SOON;
        loop {
            let found = self.containers(cell, counted);
            if found.len() == wanted {
                return;
            }
            if Instant::now() > end {
                let rows = ["ps", "--all", "--format", "{{.ID}} {{.Names}} {{.Status}}"];
                panic!("{cell}: {found:?} of {:#?}", self.docker(&rows));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Processes of this host that run `casemate-init <what>` in one of the containers: the names of
/// their control groups contain its id.
fn processes(what: &str, containers: &[String]) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_one = |pid: &i32| {
        let of = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (args, groups) = (of("cmdline"), of("cgroup"));
        let (args, groups) = (
            String::from_utf8_lossy(&args),
            String::from_utf8_lossy(&groups),
        );
        args.contains(&format!("casemate-init\0{what}\0"))
            && containers.iter().any(|id| groups.contains(id.as_str()))
    };
    pids.filter(is_one).filter_map(Pid::from_raw).collect()
}
