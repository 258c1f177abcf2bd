//! `casemate shared put`: a new version of a share.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::size;
use crate::cli::json;
use crate::cli::setup;
use crate::config::{SettingsArgs, SharedName};
use crate::identity::shown;
use crate::ops::shared::{
    ContentSource, HolderSummary, PutReport, PutResult, RetireReport, SharedStore,
};
use crate::sandbox::Manager;

/// Where the archive is on standard input.
const STANDARD_INPUT: &str = "-";

/// Flags of `shared put`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name in the share's table in the settings file.
    #[arg(value_name = "NAME")]
    name: SharedName,
    /// The directory, or - for a tar archive on standard input. An archive from a pipe is copied to
    /// TMPDIR first.
    #[arg(value_name = "DIR|-")]
    source: PathBuf,
    /// End idle sandboxes that have an older version, so that their next call has the new one.
    #[arg(long)]
    now: bool,
    /// Print JSON: the version, and the sandboxes that were ended or are busy.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Makes a version.
///
/// # Errors
/// It failed; new sandboxes have the version that they had before.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let shared = &config.shared;
    anyhow::ensure!(shared.get(&args.name).is_some(), shared.unknown(&args.name));
    // Before signals have handlers: what blocks here ends with the process.
    let source = source(&args.source)?;
    let (put, retired) = setup::runtime()?.block_on(async {
        let stop = setup::stop_on_signal()?;
        let manager = Manager::new(config, engine.clone());
        let store = SharedStore::new(&manager, &engine);
        let done = async {
            let put = store.put(&args.name, source, &stop).await?;
            let retired = match args.now {
                true => store.retire_old(&args.name).await?,
                false => RetireReport::default(),
            };
            anyhow::Ok((put, retired))
        };
        let done = done.await;
        manager.close().await;
        done
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let shown = json(&args.name, &put, &retired);
        json::write(&mut out, &shown)?;
        return Ok(());
    }
    writeln!(out, "{}", line(&args.name, &put))?;
    for holder in &retired.retired {
        writeln!(out, "ended the idle sandbox of {}", user(holder))?;
    }
    for holder in &retired.busy {
        let user = user(holder);
        writeln!(
            out,
            "the sandbox of {user} is busy and keeps an older version"
        )?;
    }
    Ok(())
}

fn source(path: &Path) -> anyhow::Result<ContentSource> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok(ContentSource::standard_input(&std::env::temp_dir())?);
    }
    let metadata = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
    let shown = path.display();
    anyhow::ensure!(
        metadata.is_dir(),
        "{shown} is not a directory; of an archive: casemate shared put NAME - < {shown}"
    );
    Ok(ContentSource::Directory(path.to_owned()))
}

fn line(name: &SharedName, put: &PutReport) -> String {
    let (version, content) = (&put.version, &put.content);
    let what = match put.result {
        PutResult::Created => format!("{name} has the new version {version}"),
        PutResult::Again => format!("{name} has its earlier version {version} again"),
        PutResult::Unchanged => format!("{name} has this content already, as version {version}"),
    };
    format!(
        "{what}: {} entries, {}",
        content.entries,
        size(content.bytes)
    )
}

fn user(holder: &HolderSummary) -> String {
    let (user, issuer) = (shown(&holder.user), shown(&holder.issuer));
    format!("\"{user}\" of \"{issuer}\"")
}

fn json(name: &SharedName, put: &PutReport, retired: &RetireReport) -> serde_json::Value {
    serde_json::json!({
        "name": name.as_str(),
        "version": put.version,
        "result": match put.result {
            PutResult::Created => "created",
            PutResult::Again => "again",
            PutResult::Unchanged => "unchanged",
        },
        "volume": put.volume,
        "sha256": put.content.hash,
        "bytes": put.content.bytes,
        "entries": put.content.entries,
        "retired": retired.retired,
        "busy": retired.busy,
    })
}
