//! One sandbox, as `ps --json` and the console tell it.

use std::collections::HashMap;
use std::time::SystemTime;

use casemate_protocol::{EgressStats, RunningCommand};
use serde::Serialize;

use crate::engine::{ContainerSummary, State, labels};
use crate::identity::{Instance, SandboxName, hex};
use crate::provision::{LiveSandbox, owner};
use crate::workspace::shown;

/// One sandbox. The values that only PID 1 knows are missing if it does not answer.
#[derive(Debug, Serialize)]
pub struct SandboxEntry {
    pub user: String,
    pub issuer: String,
    /// Of the credential that it was made for.
    pub group: Option<String>,
    /// The name of the workspace; null: the user's own.
    pub workspace: Option<String>,
    pub mode: String,
    pub state: State,
    pub container: String,
    pub name: String,
    pub age_seconds: u64,
    pub idle_seconds: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Of all processes that ran in the container.
    pub cpu_ms: Option<u64>,
    pub processes: Option<u32>,
    /// With --size, of a workspace that is a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_bytes: Option<u64>,
    pub commands: Vec<CommandEntry>,
    /// Missing until a server has carried egress for the sandbox.
    pub egress: Option<EgressUse>,
}

/// A running command, or the processes that it left in the background.
#[derive(Debug, Serialize)]
pub struct CommandEntry {
    pub id: String,
    pub running_seconds: u64,
    pub background: bool,
    pub processes: u32,
    /// Its own process, as the sandbox numbers it. null: it is over, or a casemate-init of an older
    /// version does not say.
    pub pid: Option<u32>,
    /// Written to standard output and standard error so far. null as above.
    pub output_bytes: Option<u64>,
    /// In the list of one user: the beginning of the command. Missing as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The length of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_bytes: Option<u64>,
}

/// The connections by egress rules, since the sandbox started.
#[derive(Debug, Serialize)]
pub struct EgressUse {
    /// Of the rules that are in force, as `egress show` prints it; `null` while no server carries.
    pub rules_hash: Option<String>,
    pub open_connections: u32,
    pub connections: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

impl SandboxEntry {
    /// `sizes`: of volumes, by name.
    pub fn new(
        sandbox: LiveSandbox,
        instance: &Instance,
        sizes: Option<&HashMap<String, u64>>,
    ) -> Self {
        let LiveSandbox { row, stats, .. } = sandbox;
        let label = |name: &str| row.labels.get(name).cloned().unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let created = u64::try_from(row.created).unwrap_or(0);
        let commands = stats.iter().flat_map(|stats| &stats.commands);
        let volume = sizes.and_then(|_| workspace_volume(instance, &row));
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
            workspace_bytes: volume.and_then(|name| sizes?.get(name).copied()),
            commands: commands.map(CommandEntry::from).collect(),
            egress: stats.and_then(|stats| stats.egress).map(EgressUse::from),
            state: row.state,
            container: row.id,
            name: row.name,
        }
    }

    /// Whether its PID 1 answered.
    pub fn is_answering(&self) -> bool {
        self.idle_seconds.is_some()
    }
}

/// Of the volumes that are mounted, the one that is the workspace.
fn workspace_volume<'a>(instance: &Instance, row: &'a ContainerSummary) -> Option<&'a str> {
    let sandbox = SandboxName::new(instance, &owner(&row.labels)?);
    let mut volumes = row.volumes.iter().map(String::as_str);
    volumes.find(|name| name.starts_with(sandbox.as_str()))
}

/// Characters of a command's text at most; a container can send more.
const TEXT_CHARS_LIMIT: usize = 1024;

impl From<&RunningCommand> for CommandEntry {
    fn from(command: &RunningCommand) -> Self {
        let text = command.script.as_ref().map(|script| {
            let is_cut = (script.len() as u64) < command.script_bytes;
            let text = shown::beginning(script, is_cut);
            text.chars().take(TEXT_CHARS_LIMIT).collect()
        });
        Self {
            id: command.id.clone(),
            running_seconds: command.running_ms / 1000,
            background: command.background,
            processes: command.processes,
            pid: command.pid,
            output_bytes: command.output_bytes,
            text_bytes: command.script.as_ref().map(|_| command.script_bytes),
            text,
        }
    }
}

/// As `egress show` prints a hash.
const SHOWN_HASH_BYTES: usize = 8;

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

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use casemate_protocol::StatsReply;

    use super::*;

    /// Of a sandbox that is idle.
    pub fn sandbox_of(user: &str) -> SandboxEntry {
        SandboxEntry {
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
            workspace_bytes: None,
            commands: Vec::new(),
            egress: None,
        }
    }

    /// As a casemate-init of this version reports it.
    pub fn command_of(script: &[u8], bytes: u64) -> RunningCommand {
        RunningCommand {
            id: "0123456789abcdef0123456789abcdef".to_owned(),
            running_ms: 3_725_000,
            background: false,
            processes: 2,
            script: Some(script.to_vec().into()),
            script_bytes: bytes,
            pid: Some(17),
            output_bytes: Some(3 << 20),
        }
    }

    #[test]
    fn what_an_older_casemate_init_does_not_say_is_unknown() {
        let older = RunningCommand {
            id: "1".to_owned(),
            processes: 1,
            ..RunningCommand::default()
        };
        let command = CommandEntry::from(&older);
        let json = serde_json::to_value(&command).expect("JSON");
        assert!(
            json["pid"].is_null() && json["output_bytes"].is_null(),
            "{json}"
        );
        assert!(json.get("text").is_none() && json.get("text_bytes").is_none());
    }

    #[test]
    fn the_beginning_of_a_text_ends_with_a_whole_character() {
        let of = |bytes: &[u8], whole| CommandEntry::from(&command_of(bytes, whole)).text;
        assert_eq!(of("aé".as_bytes(), 3).as_deref(), Some("aé"));
        assert_eq!(of(&"aé".as_bytes()[..2], 99).as_deref(), Some("a"));
        assert_eq!(of(b"a\xff", 2).as_deref(), Some("a\u{fffd}"));
        let flood = of(&vec![b'x'; 1 << 20], 1 << 20).expect("a text");
        assert_eq!(flood.len(), TEXT_CHARS_LIMIT);
    }

    #[test]
    fn the_size_is_that_of_the_workspace_and_not_of_shared_data() {
        let instance: Instance = "a".parse().expect("an instance");
        let labels = [(labels::ISSUER, "local"), (labels::USER, "ada")];
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let ada = owner(&labels).expect("an owner");
        let volume = format!("{}-g1-a", SandboxName::new(&instance, &ada).as_str());
        let live = LiveSandbox {
            row: ContainerSummary {
                id: "c".to_owned(),
                name: "n".to_owned(),
                labels,
                state: State::Running,
                created: 0,
                volumes: vec!["casemate-shared".to_owned(), volume.clone()],
            },
            channel: None,
            stats: Some(StatsReply::default()),
        };
        let sizes = HashMap::from([(volume, 7), ("casemate-shared".to_owned(), 9)]);
        let sized = SandboxEntry::new(live.clone(), &instance, Some(&sizes));
        assert_eq!(sized.workspace_bytes, Some(7));
        assert!(sized.is_answering());
        assert_eq!(
            SandboxEntry::new(live, &instance, None).workspace_bytes,
            None
        );
    }
}
