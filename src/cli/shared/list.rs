//! `casemate shared list`: the versions of all shares, and who holds an older one.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde::Serialize;

use super::size;
use crate::cli::json;
use crate::cli::{setup, table};
use crate::config::{SettingsArgs, SharedConfig, SharedName};
use crate::ops::shared::{HolderSummary, SharedHolder, holders, list};
use crate::provision::{SharedVersion, SharedVolumes};

/// Users in one cell.
const SHOWN_USERS_LIMIT: usize = 3;

/// Flags of `shared list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON: an array with one object per version.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// One version; or a share without one.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Missing: the settings do not have the share.
    path: Option<String>,
    /// Missing: there is no version.
    version: Option<String>,
    /// New sandboxes have it.
    newest: bool,
    put: Option<String>,
    bytes: Option<u64>,
    entries: Option<u64>,
    volume: Option<String>,
    /// The sandboxes that have it.
    sandboxes: Vec<HolderSummary>,
}

/// Lists the versions.
///
/// # Errors
/// A wrong setting, or the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let rows = setup::runtime()?.block_on(async {
        let shares = list(&engine, &config.instance).await?;
        let holders = holders(&engine, &config.instance).await?;
        let names = config.shared.iter().map(|data| &data.name);
        let names: BTreeSet<&SharedName> = names.chain(shares.keys()).collect();
        let none = SharedVolumes::default();
        let of = |name: &SharedName| {
            let share = shares.get(name).unwrap_or(&none);
            rows(name, share, &config.shared, &holders)
        };
        anyhow::Ok(names.into_iter().flat_map(of).collect::<Vec<_>>())
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &rows)?;
    } else {
        write!(out, "{}", render(&rows))?;
    }
    Ok(())
}

/// The versions of one share, newest first.
fn rows(
    name: &SharedName,
    share: &SharedVolumes,
    config: &SharedConfig,
    holders: &[SharedHolder],
) -> Vec<Row> {
    let path = config.get(name).map(|data| data.path.as_str().to_owned());
    let newest = share.newest().map(|newest| &newest.volume);
    let version = |it: &SharedVersion| Row {
        name: name.as_str().to_owned(),
        path: path.clone(),
        version: Some(it.version.clone()),
        newest: newest == Some(&it.volume),
        put: it
            .put
            .map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        bytes: Some(it.bytes),
        entries: Some(it.entries),
        volume: Some(it.volume.clone()),
        sandboxes: {
            let having = holders.iter().filter(|holder| holder.has(&it.volume));
            having.map(SharedHolder::summary).collect()
        },
    };
    let mut rows: Vec<Row> = share.versions.iter().rev().map(version).collect();
    if newest.is_none() {
        rows.insert(0, without_version(name, path));
    }
    rows
}

fn without_version(name: &SharedName, path: Option<String>) -> Row {
    Row {
        name: name.as_str().to_owned(),
        path,
        version: None,
        newest: false,
        put: None,
        bytes: None,
        entries: None,
        volume: None,
        sandboxes: Vec::new(),
    }
}

const HEADINGS: [&str; 8] = [
    "NAME",
    "PATH",
    "VERSION",
    "STATE",
    "PUT",
    "SIZE",
    "ENTRIES",
    "SANDBOXES",
];

fn render(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let state = match (&row.version, row.newest) {
            (None, _) => "no version",
            (_, true) => "newest",
            (_, false) => "older",
        };
        [
            row.name.clone(),
            or_dash(row.path.clone()),
            or_dash(row.version.clone()),
            state.to_owned(),
            or_dash(row.put.clone()),
            or_dash(row.bytes.map(size)),
            or_dash(row.entries.map(|count| count.to_string())),
            sandboxes(row),
        ]
    });
    table::render(HEADINGS, cells)
}

/// Their number, and of an older version whose they are.
fn sandboxes(row: &Row) -> String {
    let count = row.sandboxes.len();
    if row.newest || count == 0 {
        return count.to_string();
    }
    let users: BTreeSet<&str> = row.sandboxes.iter().map(|it| it.user.as_str()).collect();
    let more = match users.len().saturating_sub(SHOWN_USERS_LIMIT) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<_> = users.into_iter().take(SHOWN_USERS_LIMIT).collect();
    format!("{count}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_an_older_version_is_named() {
        let name: SharedName = "data".parse().expect("a name");
        let holder = |user: &str| HolderSummary {
            user: user.to_owned(),
            issuer: "local".to_owned(),
            container: "c".to_owned(),
        };
        let row = |newest, users: &[&str]| Row {
            version: Some("0a0a0a0a0a0a".to_owned()),
            newest,
            bytes: Some(1536),
            entries: Some(2),
            sandboxes: users.iter().map(|user| holder(user)).collect(),
            ..without_version(&name, Some("/shared/data".to_owned()))
        };
        let rows = [
            row(true, &["ada", "bob"]),
            row(false, &["d", "c", "b", "a", "a"]),
            row(false, &[]),
            without_version(&name, None),
        ];
        assert_eq!(
            render(&rows),
            "\
NAME   PATH           VERSION        STATE        PUT   SIZE      ENTRIES   SANDBOXES
data   /shared/data   0a0a0a0a0a0a   newest       -     1.5 KiB   2         2
data   /shared/data   0a0a0a0a0a0a   older        -     1.5 KiB   2         5: a, b, c and 1 more
data   /shared/data   0a0a0a0a0a0a   older        -     1.5 KiB   2         0
data   -              -              no version   -     -         -         0
"
        );
    }
}
