//! Runs a verb for several users, one after the other.

use anyhow::{bail, ensure};

use super::progress::Progress;
use crate::ops::backup::BackupError;
use crate::snapshot::Snapshots;

/// Runs `operation` for each user, even after it failed for some, and prints the line that `tell`
/// makes of each result. Returns the results.
///
/// # Errors
/// For one user the error; for several, at the end, how many failed. Stopping ends the loop.
pub async fn each<T>(
    progress: &Progress,
    workspaces: &[Snapshots],
    operation: impl AsyncFn(&Snapshots) -> Result<T, BackupError>,
    tell: impl Fn(&Snapshots, &T) -> String,
) -> anyhow::Result<Vec<T>> {
    let (mut done, mut failed) = (Vec::new(), 0);
    for snapshots in workspaces {
        progress.begin(&shown(snapshots));
        match operation(snapshots).await {
            Ok(value) => {
                progress.end(&tell(snapshots, &value))?;
                done.push(value);
            }
            Err(BackupError::Stopped) => bail!("stopped"),
            Err(error) if workspaces.len() == 1 => return Err(error.into()),
            Err(error) => {
                failed += 1;
                let error = anyhow::Error::from(error);
                progress.end(&format!("{}: {error:#}", shown(snapshots)))?;
            }
        }
    }
    ensure!(failed == 0, "{failed} of {} failed", workspaces.len());
    Ok(done)
}

/// The names of user and workspace, safe for a terminal.
pub fn shown(snapshots: &Snapshots) -> String {
    snapshots.workspace().shown()
}
