//! The settings, and what they lead to.

use std::path::Path;
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;
use tokio::time::timeout;

use super::{Finding, Inputs, chain};
use crate::config::{Auth, AwsVariables, BackupTarget, Config};
use crate::ops::backup::Store;

/// How long a bucket may take to say what is in it.
const BUCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether they are valid and can be followed.
pub async fn look(given: &Inputs<'_>) -> Vec<Finding> {
    let config = match given.config {
        Ok(config) => config,
        Err(error) => {
            let finding = Finding::error("settings", chain(error));
            return vec![
                finding.fix("`casemate serve --help` lists all settings with their bounds"),
            ];
        }
    };
    let mut found = vec![Finding::ok("settings", "they are valid")];
    if let Err(error) = config.check_directory() {
        let finding = Finding::error("bind", chain(&error));
        found.push(finding.fix("make the directory, or name another"));
    }
    if let Err(error) = &given.callers {
        found.push(callers(&config.http.auth, error));
    }
    found.extend(records(config));
    found.extend(backups(config, &given.aws).await);
    if config.volume_retention.is_some() && config.backup.target.is_none() {
        let said = "volume_retention removes nothing: a workspace goes only after a backup of it was verified";
        found.push(Finding::warning("retention", said).fix("name a backup_target"));
    }
    found
}

/// What a server over HTTP would say, and end.
fn callers(auth: &Auth, error: &str) -> Finding {
    let said = format!("nobody could call over HTTP: {error}");
    match auth {
        Auth::None => Finding::error("callers", said).fix("mend the setting that it names"),
        Auth::Tokens(_) => Finding::error("tokens", said).fix(
            "`casemate token --user NAME` prints a table for it; it has to be readable for this user",
        ),
        Auth::Jwt(_) => Finding::error("jwt", said)
            .fix("jwt_jwks is an https URL, or a file with the issuer's keys that this user can read"),
    }
}

/// What is made by the server where it is not there yet.
const OF_THE_SERVER: &str = "make it a directory of the user that the server runs as";

/// Whether lines of the audit can be written.
fn records(config: &Config) -> Option<Finding> {
    let directory = config.audit.as_ref()?.as_path();
    let error = no_room(directory).err()?;
    let said = format!("nothing can be recorded in {directory:?}: {error}");
    Some(Finding::error("audit", said).fix(OF_THE_SERVER))
}

/// Whether files can be made in a directory, or it in the nearest one above it that is there.
fn no_room(directory: &Path) -> Result<(), Errno> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let mut answer = Err(Errno::NOENT);
    for place in directory.ancestors() {
        // With the dot a file is none.
        answer = rustix::fs::access(place.join("."), access);
        if answer != Err(Errno::NOENT) {
            break;
        }
    }
    answer
}

/// Whether backups can go where they are to: a bucket is asked what is in it, and nothing is
/// written. What cannot be said so is whether the keys may write.
async fn backups(config: &Config, aws: &AwsVariables) -> Option<Finding> {
    let target = config.backup.target.as_ref()?;
    let failed = match target {
        BackupTarget::Directory(directory) => no_room(directory).err().map(|it| it.to_string()),
        BackupTarget::S3 { .. } => match Store::open(target, aws) {
            Ok(store) => {
                let place = store.user_prefix(config.instance.as_str(), "casemate-doctor");
                match timeout(BUCKET_TIMEOUT, store.list(&place)).await {
                    Ok(listed) => listed.err().map(|error| chain(&error)),
                    Err(_) => Some(format!("no answer within {} s", BUCKET_TIMEOUT.as_secs())),
                }
            }
            Err(error) => Some(chain(&error)),
        },
    };
    let said = format!("backups cannot go to {target}: {}", failed?);
    let fix = match target {
        BackupTarget::Directory(_) => OF_THE_SERVER,
        BackupTarget::S3 { .. } => {
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL have to be the server's own"
        }
    };
    Some(Finding::error("backup", said).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::config::{MapEnvironment, SettingsArgs};

    async fn found(variables: &[(&str, &str)]) -> Vec<(&'static str, Severity)> {
        let mut environment = MapEnvironment {
            os_user: "ada".to_owned(),
            ..MapEnvironment::default()
        };
        let given = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        environment.variables.extend(given);
        let config = Config::load(SettingsArgs::default(), &environment);
        let given = Inputs {
            config: config.as_ref(),
            callers: Ok(()),
            aws: AwsVariables::default(),
        };
        let found = look(&given).await.into_iter();
        found
            .map(|finding| (finding.check, finding.level))
            .collect()
    }

    #[tokio::test]
    async fn what_could_never_work_is_said_before_it_does_not() {
        let valid = ("settings", Severity::Ok);
        let retention = ("CASEMATE_VOLUME_RETENTION", "90d");
        let warned = [valid, ("retention", Severity::Warning)];
        assert_eq!(found(&[retention]).await, warned);
        let nowhere = std::env::temp_dir().join(format!("casemate-test-{}", uuid::Uuid::new_v4()));
        let nowhere = nowhere.join("below").display().to_string();
        let target = ("CASEMATE_BACKUP_TARGET", nowhere.as_str());
        assert_eq!(found(&[retention, target]).await, [valid]);
        assert_eq!(found(&[("CASEMATE_AUDIT", &nowhere)]).await, [valid]);
        assert!(!Path::new(&nowhere).exists(), "it makes nothing");
        // Neither a file, nor what would be below one.
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for place in [file, &format!("{file}/audit")] {
            let audit = [valid, ("audit", Severity::Error)];
            assert_eq!(found(&[("CASEMATE_AUDIT", place)]).await, audit, "{place}");
            let backup = [valid, ("backup", Severity::Error)];
            let target = ("CASEMATE_BACKUP_TARGET", place);
            assert_eq!(found(&[target]).await, backup, "{place}");
        }
        assert_eq!(
            found(&[("CASEMATE_PIDS", "few")]).await,
            [("settings", Severity::Error)]
        );
    }
}
