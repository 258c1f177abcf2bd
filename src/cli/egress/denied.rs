use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::Serialize;

use super::rule_for;
use crate::audit::{Refusals, RefusedHost, refusals};
use crate::cli::json;
use crate::config::SettingsArgs;
use crate::identity::{Issuer, Subject, shown};

/// Flags of `egress denied`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this user, exactly as `casemate ps` shows them.
    #[arg(value_name = "USER")]
    name: Option<Subject>,
    /// Only the users of this issuer.
    #[arg(long)]
    issuer: Option<Issuer>,
    /// How far back, as in `90s`, `15m` or `7d`.
    #[arg(long, default_value = "1d", value_parser = humantime::parse_duration)]
    since: Duration,
    /// Print JSON: an array with an object for each user, host, port and reason.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    refused: &'a RefusedHost,
    #[serde(flatten)]
    refusals: &'a Refusals,
}

/// Lists them.
///
/// # Errors
/// A wrong setting, no audit, or one that cannot be read.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = super::load(args.settings)?;
    let directory = config.audit.as_ref().context(
        "this command reads the audit, and no audit is configured: set CASEMATE_AUDIT to its \
         directory, as the server has it",
    )?;
    let since = SystemTime::now().checked_sub(args.since);
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
    let found = refusals(directory.as_path(), config.instance.as_str(), since);
    let mut found = found.with_context(|| {
        let directory = directory.as_path().display();
        format!("the audit in {directory} cannot be read")
    })?;
    found.retain(|refused, _| {
        let user = args.name.as_ref();
        let issuer = args.issuer.as_ref();
        user.is_none_or(|user| user.as_str() == refused.user)
            && issuer.is_none_or(|issuer| issuer.as_str() == refused.issuer)
    });
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows = found.iter();
        let rows: Vec<_> = rows
            .map(|(refused, refusals)| Row { refused, refusals })
            .collect();
        json::write(&mut out, &rows)?;
    } else {
        write!(out, "{}", text(&found))?;
    }
    Ok(())
}

/// TOML that can be pasted: what a rule would allow, as rules; the rest as comments.
fn text(found: &BTreeMap<RefusedHost, Refusals>) -> String {
    let mut allow = String::new();
    let mut others = String::new();
    for (refused, refusals) in found {
        let Refusals { lines, last } = refusals;
        let who = shown(&refused.user);
        match rule_for(&refused.host, refused.port, &refused.reason) {
            Some(rule) => {
                let _ = writeln!(allow, "  \"{rule}\",  # {who}, {lines}x, last {last}");
            }
            None => {
                let (host, reason) = (shown(&refused.host), &refused.reason);
                let port = refused
                    .port
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                let _ = writeln!(
                    others,
                    "# {host}{port}: {reason}, {who}, {lines}x, last {last}"
                );
            }
        }
    }
    let mut text = match allow.is_empty() {
        true => "# No host was refused for want of a rule.\n".to_owned(),
        false => format!("[egress]\nallow = [\n{allow}]\n"),
    };
    if !others.is_empty() {
        text += "\n# Refused for another reason:\n";
        text += &others;
    }
    text
}

#[cfg(test)]
mod tests {
    use casemate_egress::rules::EgressSettings;

    use super::*;

    #[test]
    fn what_is_printed_is_toml_with_the_rules_that_were_missing() {
        let refused = |host: &str, port, reason: &str| {
            let refused = RefusedHost {
                issuer: "local".to_owned(),
                user: "a\"da\n".to_owned(),
                host: host.to_owned(),
                port,
                reason: reason.to_owned(),
            };
            let refusals = Refusals {
                lines: 3,
                last: "2026-11-30T12:00:00.000Z".to_owned(),
            };
            (refused, refusals)
        };
        let found = BTreeMap::from([
            refused("a.example.com", None, "not_allowed"),
            refused("b.example.com", Some(8443), "not_allowed"),
            refused("c.example.com", Some(443), "name_mismatch"),
            refused("bad\nname\"]", None, "not_allowed"),
        ]);
        #[derive(serde::Deserialize)]
        struct File {
            egress: EgressSettings,
        }
        let text = text(&found);
        let file: File = toml::from_str(&text).expect(&text);
        let policy = file.egress.compile("egress.allow").expect("valid");
        let rules: Vec<_> = policy.rules(&[]).iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["a.example.com", "b.example.com:8443"]);
        assert!(
            text.contains("# c.example.com:443: name_mismatch, "),
            "{text}"
        );
        assert!(super::text(&BTreeMap::new()).starts_with("# No host"));
    }
}
