//! The sandboxes as a table, one a line.

use std::time::Duration;

use crate::cli::table;
use crate::ops::sandbox_entry::{EgressUse, SandboxEntry};

const COLUMNS: usize = 13;

/// The place of the column that is only there when it was asked for.
const SIZE: usize = 11;

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
    "SIZE",
    "EGRESS",
];

/// Without the sizes of workspaces.
pub(super) fn table(sandboxes: &[SandboxEntry]) -> String {
    let rows = sandboxes.iter().map(|sandbox| without_size(row(sandbox)));
    table::render(without_size(HEADINGS), rows)
}

/// With them.
pub(super) fn table_with_sizes(sandboxes: &[SandboxEntry]) -> String {
    table::render(HEADINGS, sandboxes.iter().map(row))
}

fn without_size<T: Default>(cells: [T; COLUMNS]) -> [T; COLUMNS - 1] {
    let mut rest = cells.into_iter().enumerate().filter(|(at, _)| *at != SIZE);
    std::array::from_fn(|_| rest.next().map(|(_, cell)| cell).unwrap_or_default())
}

fn row(sandbox: &SandboxEntry) -> [String; COLUMNS] {
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
        if sandbox.is_answering() {
            commands
        } else {
            unknown()
        },
        sandbox.cpu_ms.map_or_else(unknown, cpu_time),
        sandbox.memory_bytes.map_or_else(unknown, mebibytes),
        sandbox.workspace_bytes.map_or_else(unknown, mebibytes),
        sandbox
            .egress
            .as_ref()
            .map_or_else(unknown, EgressUse::cell),
    ]
}

/// Of the hash, the digits in the table.
const HASH_DIGITS: usize = 8;

impl EgressUse {
    fn cell(&self) -> String {
        let bytes = mebibytes(self.sent_bytes.saturating_add(self.received_bytes));
        match self.short_hash() {
            Some(hash) => format!("{} open, {bytes}, rules {hash}", self.open_connections),
            None => format!("{bytes}, not carried"),
        }
    }

    /// The beginning of the hash of the rules in force, if there are any.
    pub fn short_hash(&self) -> Option<String> {
        let hash = self.rules_hash.as_deref()?;
        Some(hash.chars().take(HASH_DIGITS).collect())
    }
}

pub(super) fn cpu_time(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20)
}

/// Only the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{EgressStats, RunningCommand};

    use super::*;
    use crate::engine::State;
    use crate::ops::sandbox_entry::CommandEntry;
    use crate::ops::sandbox_entry::tests::sandbox_of;

    fn busy_and_silent() -> [SandboxEntry; 2] {
        let background = RunningCommand {
            background: true,
            ..RunningCommand::default()
        };
        let busy = SandboxEntry {
            group: Some("analysts".to_owned()),
            workspace: Some("chat-1".to_owned()),
            age_seconds: 3725,
            idle_seconds: Some(61),
            memory_bytes: Some((5 << 20) + (1 << 19)),
            cpu_ms: Some(61_250),
            workspace_bytes: Some(9 << 20),
            commands: vec![CommandEntry::from(&background)],
            egress: Some(EgressUse::from(EgressStats {
                rules_hash: vec![0xab; 32].into(),
                open_connections: 2,
                connections: 7,
                sent_bytes: 1 << 20,
                received_bytes: 1 << 21,
            })),
            ..sandbox_of("al\nice")
        };
        let silent = SandboxEntry {
            state: State::Created,
            idle_seconds: None,
            memory_bytes: None,
            cpu_ms: None,
            ..sandbox_of("b")
        };
        [busy, silent]
    }

    #[test]
    fn the_table_lines_up_and_says_what_is_not_known() {
        assert_eq!(
            table(&busy_and_silent()),
            "\
USER      ISSUER   WORKSPACE   GROUP      MODE         STATE     AGE     IDLE    COMMANDS              CPU      MEMORY    EGRESS
al\\nice   local    chat-1      analysts   persistent   running   1h 2m   1m 1s   0 + 1 in background   61.2 s   5.5 MiB   2 open, 3.0 MiB, rules abababab
b         local    -           -          persistent   created   0s      -       -                     -        -         -
"
        );
    }

    #[test]
    fn the_size_of_the_workspace_has_a_column_when_it_was_asked_for() {
        let sized = table_with_sizes(&busy_and_silent());
        let lines: Vec<&str> = sized.lines().collect();
        assert!(lines[0].ends_with("MEMORY    SIZE      EGRESS"), "{sized}");
        assert!(lines[1].contains("5.5 MiB   9.0 MiB   2 open"), "{sized}");
        assert!(lines[2].ends_with("-         -         -"), "{sized}");
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
}
