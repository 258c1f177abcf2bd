//! `casemate ps`: lists sandboxes, as the Engine and each PID 1 report them.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use casemate_protocol::EgressStats;
use serde::Serialize;

use super::{setup, table};
use crate::config::SettingsArgs;
use crate::engine::{State, labels};
use crate::identity::hex;
use crate::provision::survey;
use crate::sandbox::LiveSandbox;

/// Flags of `ps`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON: an array with one object per sandbox.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// One sandbox. The values that only PID 1 knows are missing if it does not answer.
#[derive(Debug, Serialize)]
struct Sandbox {
    user: String,
    issuer: String,
    /// Of the credential that it was made for.
    group: Option<String>,
    /// The name of the workspace; null: the user's own.
    workspace: Option<String>,
    mode: String,
    state: State,
    container: String,
    name: String,
    age_seconds: u64,
    idle_seconds: Option<u64>,
    memory_bytes: Option<u64>,
    /// Of all processes that ran in the container.
    cpu_ms: Option<u64>,
    processes: Option<u32>,
    commands: Vec<Command>,
    /// Missing until a server has carried egress for the sandbox.
    egress: Option<EgressUse>,
}

/// The connections by egress rules, since the sandbox started.
#[derive(Debug, Serialize)]
struct EgressUse {
    /// Of the rules that are in force, as `egress show` prints it; `null` while no server carries.
    rules_hash: Option<String>,
    open_connections: u32,
    connections: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

/// A running command, or the processes that it left in the background.
#[derive(Debug, Serialize)]
struct Command {
    id: String,
    running_seconds: u64,
    background: bool,
    processes: u32,
}

/// Lists the sandboxes.
///
/// # Errors
/// A wrong setting, or the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let sandboxes = setup::runtime()?.block_on(survey(&engine, &config.instance))?;
    let sandboxes: Vec<_> = sandboxes.into_iter().map(Sandbox::from).collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &sandboxes)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(&sandboxes))?;
    }
    Ok(())
}

impl From<LiveSandbox> for Sandbox {
    fn from(sandbox: LiveSandbox) -> Self {
        let LiveSandbox { row, stats, .. } = sandbox;
        let label = |name: &str| row.labels.get(name).cloned().unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let created = u64::try_from(row.created).unwrap_or(0);
        let commands = stats.iter().flat_map(|stats| &stats.commands);
        Self {
            user: label(labels::USER),
            issuer: label(labels::ISSUER),
            group: row.labels.get(labels::GROUP).cloned(),
            workspace: row.labels.get(labels::WORKSPACE).cloned(),
            mode: label(labels::MODE),
            age_seconds: now.map_or(0, |now| now.as_secs().saturating_sub(created)),
            idle_seconds: stats.as_ref().map(|stats| stats.idle_ms / 1000),
            memory_bytes: stats.as_ref().map(|stats| stats.memory_bytes),
            cpu_ms: stats.as_ref().map(|stats| stats.cpu_ms),
            processes: stats.as_ref().map(|stats| stats.processes),
            commands: commands
                .map(|command| Command {
                    id: command.id.clone(),
                    running_seconds: command.running_ms / 1000,
                    background: command.background,
                    processes: command.processes,
                })
                .collect(),
            egress: stats.and_then(|stats| stats.egress).map(EgressUse::from),
            state: row.state,
            container: row.id,
            name: row.name,
        }
    }
}

impl From<EgressStats> for EgressUse {
    fn from(stats: EgressStats) -> Self {
        let shown = stats.rules_hash.len().min(SHOWN_HASH_BYTES);
        let hash = hex(&stats.rules_hash[..shown]);
        Self {
            rules_hash: (!hash.is_empty()).then_some(hash),
            open_connections: stats.open_connections,
            connections: stats.connections,
            sent_bytes: stats.sent_bytes,
            received_bytes: stats.received_bytes,
        }
    }
}

impl EgressUse {
    fn cell(&self) -> String {
        let bytes = mebibytes(self.sent_bytes.saturating_add(self.received_bytes));
        match self.rules_hash.as_deref() {
            Some(hash) => {
                let hash: String = hash.chars().take(HASH_DIGITS).collect();
                format!("{} open, {bytes}, rules {hash}", self.open_connections)
            }
            None => format!("{bytes}, not carried"),
        }
    }
}

/// As `egress show` prints a hash.
const SHOWN_HASH_BYTES: usize = 8;

/// Of these, the digits in the table.
const HASH_DIGITS: usize = 8;

const COLUMNS: usize = 12;

const HEADINGS: [&str; COLUMNS] = [
    "USER",
    "ISSUER",
    "WORKSPACE",
    "GROUP",
    "MODE",
    "STATE",
    "AGE",
    "IDLE",
    "COMMANDS",
    "CPU",
    "MEMORY",
    "EGRESS",
];

fn table(sandboxes: &[Sandbox]) -> String {
    table::render(HEADINGS, sandboxes.iter().map(row))
}

fn row(sandbox: &Sandbox) -> [String; COLUMNS] {
    let unknown = || "-".to_owned();
    let background = sandbox.commands.iter().filter(|command| command.background);
    let (all, background) = (sandbox.commands.len(), background.count());
    let commands = match background {
        0 => all.to_string(),
        _ => format!("{} + {background} in background", all - background),
    };
    [
        sandbox.user.clone(),
        sandbox.issuer.clone(),
        sandbox.workspace.clone().unwrap_or_else(unknown),
        sandbox.group.clone().unwrap_or_else(unknown),
        sandbox.mode.clone(),
        sandbox.state.as_str().to_owned(),
        duration(sandbox.age_seconds),
        sandbox.idle_seconds.map_or_else(unknown, duration),
        if sandbox.idle_seconds.is_some() {
            commands
        } else {
            unknown()
        },
        sandbox.cpu_ms.map_or_else(unknown, |time| {
            format!("{}.{} s", time / 1000, time % 1000 / 100)
        }),
        sandbox.memory_bytes.map_or_else(unknown, mebibytes),
        sandbox
            .egress
            .as_ref()
            .map_or_else(unknown, EgressUse::cell),
    ]
}

fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20)
}

/// Only the two largest units.
fn duration(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_says_what_is_not_known() {
        let sandbox = Sandbox {
            user: "al\nice".to_owned(),
            issuer: "local".to_owned(),
            group: Some("analysts".to_owned()),
            workspace: Some("chat-1".to_owned()),
            mode: "persistent".to_owned(),
            state: State::Running,
            container: "c".to_owned(),
            name: "n".to_owned(),
            age_seconds: 3725,
            idle_seconds: Some(61),
            memory_bytes: Some((5 << 20) + (1 << 19)),
            cpu_ms: Some(61_250),
            processes: Some(3),
            commands: vec![Command {
                id: "1".to_owned(),
                running_seconds: 9,
                background: true,
                processes: 2,
            }],
            egress: Some(EgressUse::from(EgressStats {
                rules_hash: vec![0xab; 32].into(),
                open_connections: 2,
                connections: 7,
                sent_bytes: 1 << 20,
                received_bytes: 1 << 21,
            })),
        };
        let silent = Sandbox {
            user: "b".to_owned(),
            state: State::Created,
            idle_seconds: None,
            memory_bytes: None,
            cpu_ms: None,
            commands: Vec::new(),
            ..sandbox_of("b")
        };
        assert_eq!(
            table(&[sandbox, silent]),
            "\
USER      ISSUER   WORKSPACE   GROUP      MODE         STATE     AGE     IDLE    COMMANDS              CPU      MEMORY    EGRESS
al\\nice   local    chat-1      analysts   persistent   running   1h 2m   1m 1s   0 + 1 in background   61.2 s   5.5 MiB   2 open, 3.0 MiB, rules abababab
b         local    -           -          persistent   created   0s      -       -                     -        -         -
"
        );
    }

    #[test]
    fn the_longest_name_of_a_user_leaves_the_table_in_shape_and_is_whole_as_json() {
        let longest = "u".repeat(crate::identity::ID_BYTES);
        let sandboxes = [sandbox_of(&longest), sandbox_of("b")];
        let table = table(&sandboxes);
        for line in table.lines() {
            assert!(line.chars().count() < 200, "{line}");
        }
        let json = serde_json::to_value(&sandboxes).expect("JSON");
        assert_eq!(json[0]["user"], longest);
    }

    fn sandbox_of(user: &str) -> Sandbox {
        Sandbox {
            user: user.to_owned(),
            issuer: "local".to_owned(),
            group: None,
            workspace: None,
            mode: "persistent".to_owned(),
            state: State::Running,
            container: String::new(),
            name: String::new(),
            age_seconds: 0,
            idle_seconds: Some(0),
            memory_bytes: Some(0),
            cpu_ms: Some(0),
            processes: None,
            commands: Vec::new(),
            egress: None,
        }
    }
}
