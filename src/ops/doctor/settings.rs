//! The settings, and what they lead to.

use rustix::fs::Access;
use rustix::io::Errno;

use super::{Finding, chain};
use crate::config::{Auth, Config, ConfigError};

/// Whether they are valid and can be followed.
pub fn look(config: Result<&Config, &ConfigError>) -> Vec<Finding> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let finding = Finding::error("settings", chain(error));
            return vec![
                finding.mend("`casemate serve --help` lists all settings with their bounds"),
            ];
        }
    };
    let mut found = vec![Finding::ok("settings", "they are valid")];
    if let Err(error) = config.check_directory() {
        let finding = Finding::error("bind", chain(&error));
        found.push(finding.mend("make the directory, or name another"));
    }
    if let Auth::Tokens(file) = &config.http.auth
        && let Err(error) = std::fs::File::open(file)
    {
        let finding = Finding::error("tokens", format!("{file:?} cannot be read: {error}"));
        let mend = "`casemate token --user NAME` prints a table for it; it has to be readable for this user";
        found.push(finding.mend(mend));
    }
    found.extend(records(config));
    if config.volume_retention.is_some() && config.backup.target.is_none() {
        let said = "volume_retention removes nothing: a workspace goes only after a backup of it was verified";
        found.push(Finding::warning("retention", said).mend("name a backup_target"));
    }
    found
}

/// Whether lines of the audit can be written. A directory that is not there yet is made by
/// the server.
fn records(config: &Config) -> Option<Finding> {
    let directory = config.audit.as_ref()?.as_path();
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(directory, access) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => {
            let said = format!("nothing can be recorded in {directory:?}: {error}");
            let finding = Finding::error("audit", said);
            Some(finding.mend("make it a directory of the user that the server runs as"))
        }
    }
}
