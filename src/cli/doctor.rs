//! `casemate doctor`: prints the findings. Its exit code is that of a monitoring plugin: 0 with
//! nothing worse than a note, 1 with warnings, 2 with errors, 3 if it could not check.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use super::setup;
use crate::cli::json;
use crate::config::{AwsVariables, Config, ProcessEnvironment, SettingsArgs, egress_problem};
use crate::http::settings_check::over_http;
use crate::ops::doctor::{self, Finding, Inputs, Severity};

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON: an object with the findings and the settings.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The whole report, for programs.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    worst: Severity,
    findings: Vec<Finding>,
    settings: Vec<Value>,
}

/// One setting in force for the user of a stdio server.
#[derive(Debug, Serialize)]
struct Value {
    name: String,
    /// `null`: the setting has no value.
    value: Option<String>,
    from: String,
}

/// Checks, prints each finding at once, and then the settings.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(args.settings.clone(), &ProcessEnvironment);
    match &config {
        Ok(config) => setup::log_quietly(config)?,
        Err(_) => setup::log_to_stderr("error")?,
    }
    let address = setup::locate(&ProcessEnvironment);
    let mut findings = Vec::new();
    setup::runtime()?.block_on(async {
        let stop = setup::stop_on_signal()?;
        let mut tell = |finding: Finding| {
            if !args.json {
                // If the reader is gone, the sandbox must still be removed.
                let _ = write!(io::stdout().lock(), "{}", shown(&finding));
            }
            findings.push(finding);
        };
        let (callers, sessions) = config.as_ref().map_or((Ok(()), Ok(())), over_http);
        let given = Inputs {
            config: config.as_ref(),
            keeps_old_egress: config.is_err()
                && egress_problem(args.settings, &ProcessEnvironment).is_some(),
            callers,
            sessions,
            aws: AwsVariables::read(&ProcessEnvironment),
        };
        doctor::examine(&given, address, &stop, &mut tell).await;
        anyhow::Ok(())
    })?;
    let worst = findings.iter().map(|finding| finding.level).max();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        worst: worst.unwrap_or(Severity::Ok),
        findings,
        settings: config.as_ref().map(values).unwrap_or_default(),
    };
    let mut out = io::stdout().lock();
    if args.json {
        json::write(&mut out, &report)?;
    } else {
        write!(out, "{}", closing(&report))?;
    }
    Ok(exit_code(report.worst))
}

fn exit_code(worst: Severity) -> ExitCode {
    match worst {
        Severity::Ok | Severity::Note => ExitCode::SUCCESS,
        Severity::Warning => ExitCode::from(1),
        Severity::Error => ExitCode::from(2),
    }
}

fn values(config: &Config) -> Vec<Value> {
    let in_force = config
        .in_force(&config.without_token(config.user.clone()))
        .into_iter();
    let value = |it: crate::config::EffectiveSetting| Value {
        name: it.setting.variable(),
        value: it.value,
        from: it.origin.to_string(),
    };
    in_force.map(value).collect()
}

fn word(level: Severity) -> &'static str {
    match level {
        Severity::Ok => "ok",
        Severity::Note => "note",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    }
}

fn shown(finding: &Finding) -> String {
    let Finding {
        check,
        level,
        found,
        fix,
    } = finding;
    let mut line = format!("{:<8} {check:<13} {}\n", word(*level), plain(found));
    if let Some(fix) = fix {
        line += &format!("{:23}-> {}\n", "", plain(fix));
    }
    line
}

/// The widest value that fits its column; a longer one shifts the rest of its line.
const VALUE_WIDTH: usize = 40;

fn settings(settings: &[Value]) -> String {
    let value = |setting: &Value| plain(setting.value.as_deref().unwrap_or("-"));
    let width = |text: &str| text.chars().count();
    let names = settings.iter().map(|it| width(&it.name)).max();
    let values = settings.iter().map(|it| width(&value(it)));
    let values = values.filter(|width| *width <= VALUE_WIDTH).max();
    let (names, values) = (names.unwrap_or(0), values.unwrap_or(0));
    let line = |it: &Value| {
        let (value, because) = (value(it), plain(&it.from));
        format!("  {:<names$}   {value:<values$}   {because}\n", it.name)
    };
    settings.iter().map(line).collect()
}

/// Without control characters: an Engine's text must not move the cursor.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

fn closing(report: &Report) -> String {
    let mut text = String::new();
    if !report.settings.is_empty() {
        text += "\nSettings in force, and why:\n";
    }
    text += &settings(&report.settings);
    let count = |level| {
        let these = report
            .findings
            .iter()
            .filter(|finding| finding.level == level);
        these.count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    text + &format!(
        "\n{}, {}\n",
        many(errors, "error"),
        many(warnings, "warning")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Severity, found: &str, fix: Option<&str>) -> Finding {
        Finding {
            check: "disk",
            level,
            found: found.to_owned(),
            fix: fix.map(str::to_owned),
        }
    }

    #[test]
    fn a_finding_is_a_line_and_its_fix_another() {
        assert_eq!(
            shown(&finding(Severity::Ok, "as it should be", None)),
            "ok       disk          as it should be\n"
        );
        assert_eq!(
            shown(&finding(Severity::Error, "full\x1b[2J", Some("empty\nit"))),
            "ERROR    disk          full [2J\n                       -> empty it\n"
        );
    }

    #[test]
    fn the_settings_and_the_count_come_last() {
        let setting = |name: &str, value: Option<&str>| Value {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            from: "default".to_owned(),
        };
        let report = Report {
            version: "1",
            worst: Severity::Error,
            findings: [
                Severity::Ok,
                Severity::Warning,
                Severity::Error,
                Severity::Error,
            ]
            .map(|level| finding(level, "", None))
            .into(),
            settings: vec![
                setting("A", Some("512m")),
                setting("A_LONGER_NAME_THAN_MOST_OTHERS", None),
                setting("B", Some("/a/path/that/is/longer/than/the/column/may/be")),
            ],
        };
        assert_eq!(
            closing(&report),
            "
Settings in force, and why:
  A                                512m   default
  A_LONGER_NAME_THAN_MOST_OTHERS   -      default
  B                                /a/path/that/is/longer/than/the/column/may/be   default

2 errors, 1 warning
"
        );
    }
}
