//! The sandboxes of one user in detail: a paragraph each, and a table of what runs.

use super::list::{cpu_time, duration, mebibytes};
use crate::cli::table;
use crate::identity::{User, shown};
use crate::ops::sandbox_entry::{CommandEntry, SandboxEntry};

/// Characters of a command that are shown. Its text is hostile, and the table must stay readable.
const TEXT_CHARS: usize = 100;

const HEADINGS: [&str; 7] = [
    "COMMAND ID",
    "PID",
    "RUNNING",
    "PROCESSES",
    "OUTPUT",
    "STATE",
    "COMMAND",
];

pub(super) fn text(user: &User, sandboxes: &[SandboxEntry]) -> String {
    if sandboxes.is_empty() {
        let user = shown(user.subject.as_str());
        return format!(
            "{user} has no sandbox now; the next call makes one. casemate users lists the workspaces\n"
        );
    }
    let paragraphs: Vec<_> = sandboxes.iter().map(paragraph).collect();
    paragraphs.join("\n")
}

fn paragraph(sandbox: &SandboxEntry) -> String {
    let mut lines = vec![
        headline(sandbox),
        format!("  container {}", shown(&sandbox.name)),
    ];
    if !sandbox.is_answering() {
        lines.push("  its PID 1 does not answer: what runs in it is not known".to_owned());
        return joined(&lines);
    }
    lines.push(format!("  {}", resources(sandbox)));
    lines.extend(egress(sandbox));
    if sandbox.commands.is_empty() {
        lines.push("  no command runs".to_owned());
        return joined(&lines);
    }
    let rows = sandbox.commands.iter().map(row);
    let table = table::align(HEADINGS, rows);
    lines.extend(table.lines().map(|line| format!("  {line}")));
    joined(&lines)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn headline(sandbox: &SandboxEntry) -> String {
    let mut parts = vec![format!(
        "{} of {}",
        shown(&sandbox.user),
        shown(&sandbox.issuer)
    )];
    let named = |what: &str, name: &String| format!("{what} {}", shown(name));
    parts.extend(
        sandbox
            .workspace
            .iter()
            .map(|name| named("workspace", name)),
    );
    parts.extend(sandbox.group.iter().map(|name| named("group", name)));
    parts.push(shown(&sandbox.mode));
    parts.push(sandbox.state.as_str().to_owned());
    parts.push(format!("made {} ago", duration(sandbox.age_seconds)));
    parts.extend(match sandbox.idle_seconds {
        Some(seconds) if sandbox.commands.is_empty() => {
            Some(format!("idle for {}", duration(seconds)))
        }
        _ => None,
    });
    parts.join(", ")
}

fn resources(sandbox: &SandboxEntry) -> String {
    let mut parts = Vec::new();
    parts.extend(sandbox.cpu_ms.map(|time| format!("CPU {}", cpu_time(time))));
    parts.extend(
        sandbox
            .memory_bytes
            .map(|bytes| format!("memory {}", mebibytes(bytes))),
    );
    parts.extend(sandbox.processes.map(|count| format!("processes {count}")));
    parts.extend(
        sandbox
            .workspace_bytes
            .map(|bytes| format!("workspace {}", mebibytes(bytes))),
    );
    parts.join(", ")
}

fn egress(sandbox: &SandboxEntry) -> Option<String> {
    let egress = sandbox.egress.as_ref()?;
    let rules = match egress.short_hash() {
        Some(hash) => format!("rules {hash}"),
        None => "no server carries them now".to_owned(),
    };
    Some(format!(
        "  egress: {} of {} connections open, {} sent, {} received, {rules}",
        egress.open_connections,
        egress.connections,
        mebibytes(egress.sent_bytes),
        mebibytes(egress.received_bytes),
    ))
}

fn row(command: &CommandEntry) -> [String; 7] {
    let unknown = || "-".to_owned();
    [
        shown(&command.id),
        command.pid.map_or_else(unknown, |pid| pid.to_string()),
        duration(command.running_seconds),
        command.processes.to_string(),
        command.output_bytes.map_or_else(unknown, mebibytes),
        match command.background {
            true => "background",
            false => "running",
        }
        .to_owned(),
        command
            .text
            .as_deref()
            .map_or_else(|| "unknown".to_owned(), |text| one_line(command, text)),
    ]
}

/// The beginning of the command on one line, with escapes for what a terminal would obey.
fn one_line(command: &CommandEntry, text: &str) -> String {
    let mut line = String::new();
    let mut count = 0;
    for character in text.chars() {
        // In a table no quote needs an escape.
        let escaped = match character {
            '"' | '\'' => character.to_string(),
            other => other.escape_debug().to_string(),
        };
        count += escaped.chars().count();
        if count > TEXT_CHARS {
            return format!("{line}… ({} bytes)", command.text_bytes.unwrap_or_default());
        }
        line.push_str(&escaped);
    }
    match command.text_bytes {
        Some(bytes) if bytes > text.len() as u64 => format!("{line}… ({bytes} bytes)"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{EgressStats, RunningCommand};

    use super::*;
    use crate::ops::sandbox_entry::EgressUse;
    use crate::ops::sandbox_entry::tests::{command_of, sandbox_of};

    fn ada() -> User {
        User::local("ada".parse().expect("a subject"))
    }

    #[test]
    fn a_sandbox_is_told_with_what_runs_in_it() {
        let sandbox = SandboxEntry {
            workspace: Some("chat-1".to_owned()),
            name: "casemate-a-ada".to_owned(),
            age_seconds: 90,
            cpu_ms: Some(1_200),
            memory_bytes: Some(5 << 20),
            processes: Some(2),
            commands: vec![CommandEntry::from(&command_of(
                b"sleep 1000\necho 'it'",
                20,
            ))],
            egress: Some(EgressUse::from(EgressStats {
                rules_hash: vec![0xab; 32].into(),
                open_connections: 1,
                connections: 7,
                sent_bytes: 1 << 20,
                received_bytes: 1 << 21,
            })),
            ..sandbox_of("ada")
        };
        assert_eq!(
            text(&ada(), &[sandbox]),
            "\
ada of local, workspace chat-1, persistent, running, made 1m 30s ago
  container casemate-a-ada
  CPU 1.2 s, memory 5.0 MiB, processes 2
  egress: 1 of 7 connections open, 1.0 MiB sent, 2.0 MiB received, rules abababab
  COMMAND ID                         PID   RUNNING   PROCESSES   OUTPUT    STATE     COMMAND
  0123456789abcdef0123456789abcdef   17    1h 2m     2           3.0 MiB   running   sleep 1000\\necho 'it'
"
        );
    }

    #[test]
    fn nothing_that_runs_and_nothing_that_answers_is_said_in_words() {
        let told = text(&ada(), &[]);
        assert!(told.starts_with("ada has no sandbox now"), "{told}");
        let silent = SandboxEntry {
            idle_seconds: None,
            ..sandbox_of("ada")
        };
        let told = text(&ada(), &[sandbox_of("ada"), silent]);
        assert!(
            told.contains("idle for 0s") && told.contains("no command runs"),
            "{told}"
        );
        assert!(told.contains("does not answer"), "{told}");
    }

    #[test]
    fn an_older_casemate_init_leaves_the_text_and_the_pid_unknown() {
        let older = RunningCommand {
            id: "1".to_owned(),
            ..RunningCommand::default()
        };
        let row = row(&CommandEntry::from(&older));
        assert_eq!((&*row[1], &*row[4], &*row[6]), ("-", "-", "unknown"));
    }

    #[test]
    fn no_text_of_a_command_moves_the_cursor_or_makes_a_second_line() {
        let hostile = "\u{1b}]52;c;AAAA\u{7}\r\n\u{202e}\u{9b}2J<b>\u{2066}";
        for script in [hostile.to_owned(), hostile.repeat(500), "x".repeat(10_000)] {
            let bytes = script.len() as u64;
            let cut = &script.as_bytes()[..script.len().min(1024)];
            let sandbox = SandboxEntry {
                user: script.chars().take(300).collect(),
                name: script.clone(),
                workspace: Some(script.clone()),
                group: Some(script.clone()),
                commands: vec![CommandEntry::from(&command_of(cut, bytes))],
                ..sandbox_of("ada")
            };
            let told = text(&ada(), &[sandbox]);
            assert_eq!(told.lines().count(), 5, "{told}");
            assert!(
                told.lines().all(|line| line.chars().count() < 500),
                "{told}"
            );
            let is_plain = |c: char| c == '\n' || !c.is_control() && c.escape_debug().count() == 1;
            let plain = told.chars().all(|c| is_plain(c) || c == '\\' || c == '"');
            assert!(plain, "{told}");
        }
        let long = CommandEntry::from(&command_of(&[b'x'; 1024], 10_000));
        assert!(
            row(&long)[6].ends_with("… (10000 bytes)"),
            "{:?}",
            row(&long)
        );
    }
}
