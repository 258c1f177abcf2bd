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
    // With the dot a file is none.
    match rustix::fs::access(directory.join("."), access) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => {
            let said = format!("nothing can be recorded in {directory:?}: {error}");
            let finding = Finding::error("audit", said);
            Some(finding.mend("make it a directory of the user that the server runs as"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::config::{MapEnvironment, SettingsArgs};

    fn found(variables: &[(&str, &str)]) -> Vec<(&'static str, Level)> {
        let mut environment = MapEnvironment {
            os_user: "ada".to_owned(),
            ..MapEnvironment::default()
        };
        let given = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        environment.variables.extend(given);
        let config = Config::load(SettingsArgs::default(), &environment);
        let found = look(config.as_ref()).into_iter();
        found
            .map(|finding| (finding.check, finding.level))
            .collect()
    }

    #[test]
    fn what_could_never_work_is_said_before_it_does_not() {
        let valid = ("settings", Level::Ok);
        let retention = ("CASEMATE_VOLUME_RETENTION", "90d");
        assert_eq!(found(&[retention]), [valid, ("retention", Level::Warning)]);
        let target = ("CASEMATE_BACKUP_TARGET", "/srv/backups");
        assert_eq!(found(&[retention, target]), [valid]);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(
            found(&[("CASEMATE_AUDIT", file)]),
            [valid, ("audit", Level::Error)]
        );
        let nowhere = concat!(env!("CARGO_MANIFEST_DIR"), "/not-there");
        assert_eq!(found(&[("CASEMATE_AUDIT", nowhere)]), [valid]);
        assert_eq!(
            found(&[("CASEMATE_PIDS", "few")]),
            [("settings", Level::Error)]
        );
    }
}
