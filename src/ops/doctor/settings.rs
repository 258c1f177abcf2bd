//! Checks the settings and the places that they name.

use std::path::Path;
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;
use tokio::time::timeout;

use super::{Finding, Inputs, chain, egress, previews, sign_in};
use crate::config::{Auth, AwsVariables, BackupTarget, Config};
use crate::ops::backup::Store;

/// Time limit for listing a bucket.
const BUCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks that they are valid and that their places can be used.
pub async fn look(given: &Inputs<'_>) -> Vec<Finding> {
    let config = match given.config {
        Ok(config) => config,
        Err(error) => {
            let finding = Finding::error("settings", chain(error));
            let fix = "`casemate serve --help` lists all settings with their bounds";
            let stale = given.keeps_old_egress.then(egress::with_broken_file);
            return [finding.fix(fix)].into_iter().chain(stale).collect();
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
    found.extend(sign_in::look(config, given));
    found.extend(previews::look(&config.http));
    found.extend(records(config));
    found.extend(egress::taken_ports(&config.egress));
    found.extend(egress::resolving_proxy(&config.egress));
    found.extend(backups(config, &given.aws).await);
    if config.volume_retention.is_some() && config.backup.target.is_none() {
        let said =
            "volume_retention removes nothing: a workspace is removed only after a verified backup";
        found.push(Finding::warning("retention", said).fix("name a backup_target"));
    }
    found
}

/// The error with which a server over HTTP would not start.
fn callers(auth: &Auth, error: &str) -> Finding {
    let said = format!("no caller could be authenticated over HTTP: {error}");
    match auth {
        Auth::None => Finding::error("callers", said).fix("fix the setting named above"),
        Auth::Tokens(_) => Finding::error("tokens", said).fix(
            "`casemate token --user NAME` prints an entry for it; this user must be able to read it",
        ),
        Auth::Jwt(_) => Finding::error("jwt", said)
            .fix("jwt_jwks is an https URL, or a file with the issuer's keys that this user can read"),
    }
}

/// The fix for directories that the server creates if missing.
const OF_THE_SERVER: &str = "make it a directory of the user that the server runs as";

/// Checks that the audit can be written.
fn records(config: &Config) -> Option<Finding> {
    let directory = config.audit.as_ref()?.as_path();
    let error = no_room(directory).err()?;
    let said = format!("nothing can be recorded in {directory:?}: {error}");
    Some(Finding::error("audit", said).fix(OF_THE_SERVER))
}

/// Checks that files can be created in a directory, or that the directory can be created in its
/// nearest existing parent.
fn no_room(directory: &Path) -> Result<(), Errno> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let mut answer = Err(Errno::NOENT);
    for place in directory.ancestors() {
        // The dot makes this an error for a file.
        answer = rustix::fs::access(place.join("."), access);
        if answer != Err(Errno::NOENT) {
            break;
        }
    }
    answer
}

/// Checks the target of backups. A bucket is listed and not written, so this does not show whether
/// the keys may write.
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
            "use the server's AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL here"
        }
    };
    Some(Finding::error("backup", said).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::config::{MapEnvironment, SettingsArgs, egress_problem};

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
            keeps_old_egress: egress_problem(SettingsArgs::default(), &environment).is_some(),
            callers: Ok(()),
            sessions: Ok(()),
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
        // Neither a file nor a path below one.
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
        let unreadable = ("CASEMATE_CONFIG", "/nonexistent/casemate.toml");
        assert_eq!(
            found(&[unreadable]).await,
            [("settings", Severity::Error), ("egress", Severity::Warning)]
        );
        let reachable = ("CASEMATE_EGRESS_ALLOW", "a.example.com,b.example.com:8443");
        assert_eq!(found(&[reachable]).await, [valid]);
        let taken = ("CASEMATE_EGRESS_ALLOW", "a.example.com:8080");
        assert_eq!(
            found(&[taken]).await,
            [valid, ("egress", Severity::Warning)]
        );
    }
}
