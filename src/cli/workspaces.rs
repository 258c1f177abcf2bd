//! `casemate workspaces`: the workspaces of one user, with their sizes and last uses.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tracing::warn;

use super::user_args::UserArgs;
use super::{setup, table};
use crate::config::SettingsArgs;
use crate::sandbox::{KnownWorkspace, Manager};

/// Workspaces that are looked into at once: each look is a helper container.
const LOOK_LIMIT: usize = 4;

/// Flags of `workspaces`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Print JSON: an array with one object per workspace.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// One workspace.
#[derive(Debug, Serialize)]
struct ListedWorkspace {
    /// null: the user's own.
    name: Option<String>,
    /// The state of its container; null: it has no container.
    state: Option<&'static str>,
    /// As the Engine counts it; null where it does not.
    size_bytes: Option<u64>,
    /// RFC 3339; null where it is not known.
    last_used: Option<String>,
    created: Option<String>,
    /// null: it is a directory of the host.
    volume: Option<String>,
    held: bool,
}

/// Lists the workspaces.
///
/// # Errors
/// No user of this name, or several; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let listed = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let manager = Manager::new(config.clone(), engine.clone());
        let mut known = manager.workspaces(&user).await?;
        // A user's own is in the list before there is one.
        known.retain(|one| one.volume.is_some() || one.state.is_some());
        let sizes = engine.volume_sizes().await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            warn!(error, "the sizes are not known");
            Default::default()
        });
        let held = crate::ops::gc::hold::all(&engine, &config.instance).await?;
        let looks = stream::iter(known).map(|one| {
            let (manager, sizes, held) = (&manager, &sizes, &held);
            async move {
                let last_used = last_use(manager, &one).await;
                let name = manager.snapshots(&one.id).sandbox_name().to_owned();
                ListedWorkspace {
                    name: one.id.name_str().map(str::to_owned),
                    state: one.state.map(|state| state.as_str()),
                    size_bytes: one
                        .volume
                        .as_ref()
                        .and_then(|name| sizes.get(name).copied()),
                    last_used: last_used.map(shown),
                    created: one.created.map(shown),
                    held: held.contains(&name),
                    volume: one.volume,
                }
            }
        });
        let listed: Vec<_> = looks.buffered(LOOK_LIMIT).collect().await;
        manager.close().await;
        anyhow::Ok(listed)
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &listed)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table::render(HEADINGS, listed.iter().map(row)))?;
    }
    Ok(())
}

/// By its PID 1, or by a look into the volume. A look does not count as use.
async fn last_use(manager: &Manager, workspace: &KnownWorkspace) -> Option<SystemTime> {
    if let Some(idle) = workspace.idle {
        return SystemTime::now().checked_sub(idle);
    }
    workspace.volume.as_ref()?;
    let used = manager.snapshots(&workspace.id).last_use().await;
    used.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        warn!(user = %workspace.id, error, "when the workspace was used last is not known");
        None
    })
}

fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

const HEADINGS: [&str; 6] = ["WORKSPACE", "STATE", "SIZE", "LAST USE", "CREATED", "HELD"];

fn row(workspace: &ListedWorkspace) -> [String; 6] {
    let unknown = || "-".to_owned();
    [
        workspace.name.clone().unwrap_or_else(unknown),
        workspace.state.unwrap_or("stopped").to_owned(),
        workspace
            .size_bytes
            .map_or_else(unknown, |bytes| indicatif::HumanBytes(bytes).to_string()),
        workspace.last_used.as_deref().map_or_else(unknown, ago),
        workspace.created.clone().unwrap_or_else(unknown),
        if workspace.held { "yes" } else { "no" }.to_owned(),
    ]
}

fn ago(time: &str) -> String {
    let used = humantime::parse_rfc3339(time).ok();
    let age = used.and_then(|used| SystemTime::now().duration_since(used).ok());
    let seconds = age.unwrap_or_default().as_secs();
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let short: Vec<_> = text.split(' ').take(2).collect();
    format!("{} ago", short.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let mut workspace = ListedWorkspace {
            name: None,
            state: None,
            size_bytes: None,
            last_used: None,
            created: None,
            volume: None,
            held: false,
        };
        assert_eq!(row(&workspace), ["-", "stopped", "-", "-", "-", "no"]);
        workspace.name = Some("chat-1".to_owned());
        workspace.state = Some("running");
        workspace.size_bytes = Some(2048);
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        workspace.last_used = Some(shown(hour_ago));
        workspace.created = Some("2026-01-01T00:00:00Z".to_owned());
        workspace.held = true;
        let row = row(&workspace);
        assert!(
            row[3].starts_with("1h") && row[3].ends_with("ago"),
            "{row:?}"
        );
        assert_eq!(row[2], "2.00 KiB");
        assert_eq!((&*row[0], &*row[1], &*row[5]), ("chat-1", "running", "yes"));
    }
}
