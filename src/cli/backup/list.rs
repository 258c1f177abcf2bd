//! `casemate backup list`. It asks only the store, because it is needed most when the Engine has
//! lost everything.

use super::Session;
use crate::audit::Audit;
use crate::cli::{setup, table};
use crate::config::{BackupTarget, Config, ProcessEnvironment, SettingsArgs};
use crate::identity::{Issuer, Subject, WorkspaceId};
use crate::ops::backup::CatalogEntry;

/// Flags of `backup list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Users; without any, all that have a backup.
    #[arg(value_name = "USER")]
    users: Vec<Subject>,
    /// The users' issuer, needed if several issuers have a user of this name.
    #[arg(long, requires = "users")]
    issuer: Option<Issuer>,
    /// A directory or s3://bucket/prefix; default: the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    from: Option<BackupTarget>,
    /// Print JSON: an array with the manifest of each backup.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Lists them, by user and oldest first.
///
/// # Errors
/// A wrong setting, a name of no user or of several, the store's.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&config, &ProcessEnvironment)?;
    let entries: Vec<CatalogEntry> = setup::runtime()?.block_on(async {
        let session = Session::begin(config, engine, Audit::off(), args.from)?;
        let workspaces: Vec<WorkspaceId> = if args.users.is_empty() {
            session.backups.workspaces(None).await?
        } else {
            let mut workspaces = Vec::new();
            for name in &args.users {
                let user = session.stored_user(name, args.issuer.as_ref()).await?;
                workspaces.extend(session.stored_workspaces(&user).await?);
            }
            workspaces
        };
        let mut entries = Vec::new();
        for workspace in &workspaces {
            entries.extend(session.backups.catalog(workspace).await?);
        }
        anyhow::Ok(entries)
    })?;
    table::print(args.json, &entries, HEADINGS, row)
}

const HEADINGS: [&str; 7] = [
    "USER",
    "ISSUER",
    "WORKSPACE",
    "ID",
    "ENTRIES",
    "SIZE",
    "STATE",
];

fn row(entry: &CatalogEntry) -> [String; 7] {
    let manifest = &entry.manifest;
    let state = if entry.complete {
        manifest.consistency.sentence()
    } else {
        "damaged: a part of it is missing"
    };
    [
        manifest.user.clone(),
        manifest.issuer.clone(),
        manifest.workspace.clone().unwrap_or_default(),
        manifest.id.clone(),
        manifest.entries.to_string(),
        indicatif::HumanBytes(manifest.content_bytes).to_string(),
        state.to_owned(),
    ]
}
