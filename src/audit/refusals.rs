//! Reads what sandboxes were refused, for `egress denied`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::file;
use super::line::LINE_BYTES;

/// What a line about egress has in it. Other lines are not parsed.
const MARK: &str = "\"kind\":\"egress\"";

/// The outcomes of connections that nothing refused.
const NOT_REFUSED: [&str; 2] = ["closed", "reset"];

/// A host that a sandbox was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RefusedHost {
    /// The issuer of the user.
    pub issuer: String,
    /// The user.
    pub user: String,
    /// In its one form; as it was asked for where it has none.
    pub host: String,
    /// `None`: the name was refused, for all ports.
    pub port: Option<u16>,
    /// The code of the refusal.
    pub reason: String,
}

/// How often, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// Lines of the audit: at most one a second for each host.
    pub lines: u64,
    /// The last of them, as in the line.
    pub last: String,
}

#[derive(Deserialize)]
struct EgressLine {
    time: String,
    server: LineServer,
    kind: String,
    user: LineUser,
    host: String,
    port: Option<u16>,
    outcome: String,
}

#[derive(Deserialize)]
struct LineServer {
    instance: String,
}

#[derive(Deserialize)]
struct LineUser {
    issuer: String,
    subject: String,
}

/// What the audit in `directory` says that sandboxes of `instance` were refused after `since`.
/// Lines are not checked for changes: that is what [`super::verify`] does. Blocks.
///
/// # Errors
/// A file that cannot be read.
pub fn refusals(
    directory: &Path,
    instance: &str,
    since: SystemTime,
) -> io::Result<BTreeMap<RefusedHost, Refusals>> {
    let mut found = BTreeMap::new();
    for name in file::list(directory)? {
        let file = File::open(directory.join(name.to_string()))?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while read_line(&mut reader, &mut line)? {
            let refused = parse(&line).filter(|line| line.server.instance == instance);
            let Some(refused) = refused.filter(|line| is_after(&line.time, since)) else {
                continue;
            };
            let host = RefusedHost {
                issuer: refused.user.issuer,
                user: refused.user.subject,
                host: refused.host,
                port: refused.port,
                reason: refused.outcome,
            };
            let refusals = found.entry(host).or_insert_with(|| Refusals {
                lines: 0,
                last: String::new(),
            });
            refusals.lines += 1;
            // Files overlap where several servers write.
            refusals.last = refused.time.max(std::mem::take(&mut refusals.last));
        }
    }
    Ok(found)
}

/// The next line; a longer one than servers write is returned in parts. `false`: the end.
fn read_line(reader: &mut impl io::BufRead, line: &mut String) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    let length = reader.take(most).read_until(b'\n', &mut bytes)?;
    *line = String::from_utf8_lossy(&bytes).into_owned();
    Ok(length > 0)
}

fn parse(line: &str) -> Option<EgressLine> {
    let parsed: EgressLine = line
        .contains(MARK)
        .then(|| serde_json::from_str(line).ok())??;
    let is_refusal = parsed.kind == "egress" && !NOT_REFUSED.contains(&&*parsed.outcome);
    is_refusal.then_some(parsed)
}

fn is_after(time: &str, since: SystemTime) -> bool {
    humantime::parse_rfc3339(time).is_ok_and(|time| time >= since)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_a_refusal_of_its_instance_and_not_too_old() {
        let name = format!("casemate-test-{}", uuid::Uuid::new_v4());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("made");
        let line = |time: &str, instance: &str, host: &str, outcome: &str| {
            format!(
                "{{\"seq\":1,\"time\":\"{time}\",\"server\":{{\"node\":\"n\",\"instance\":\"{instance}\",\"id\":\"1\"}},\
                 \"kind\":\"egress\",\"user\":{{\"issuer\":\"local\",\"subject\":\"ada\"}},\"host\":\"{host}\",\
                 \"port\":443,\"outcome\":\"{outcome}\",\"hash\":\"x\"}}\n"
            )
        };
        let lines = [
            line("2026-11-30T10:00:00.000Z", "a", "old.test", "not_allowed"),
            line("2026-11-30T12:00:00.000Z", "a", "b.test", "not_allowed"),
            line("2026-11-30T11:30:00.000Z", "a", "b.test", "not_allowed"),
            line("2026-11-30T12:00:00.000Z", "a", "b.test", "closed"),
            line("2026-11-30T12:00:00.000Z", "other", "c.test", "not_allowed"),
            "{\"kind\":\"egress\"} torn\n".to_owned(),
            line("2026-11-30T12:00:01.000Z", "a", "d.test", "not_tls"),
        ];
        let name = "audit-20261130T100000.000Z-0a1b2c3d-000001.jsonl";
        std::fs::write(directory.join(name), lines.concat()).expect("written");
        let since = humantime::parse_rfc3339("2026-11-30T11:00:00Z").expect("a time");
        let found = refusals(&directory, "a", since).expect("read");
        let seen: Vec<_> = found
            .iter()
            .map(|(host, refusals)| (&*host.host, &*host.reason, refusals.lines, &*refusals.last))
            .collect();
        assert_eq!(
            seen,
            [
                ("b.test", "not_allowed", 2, "2026-11-30T12:00:00.000Z"),
                ("d.test", "not_tls", 1, "2026-11-30T12:00:01.000Z"),
            ]
        );
        let later = since + Duration::from_secs(7200);
        let found = refusals(&directory, "a", later).expect("read");
        assert!(found.is_empty(), "{found:?}");
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
