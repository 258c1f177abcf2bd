//! Checks the Engine: where it is, whether it answers, its version, and who else can use it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Finding, chain, vulnerabilities};
use crate::engine::{Engine, EngineAddress, EngineError, EngineVersion};

/// The fix if there is no Engine.
const START: &str =
    "start Docker (`systemctl start docker`), or have DOCKER_HOST name an Engine that runs";

/// The Engine, if it answers, and the findings about it.
pub async fn look(address: Result<EngineAddress, EngineError>) -> (Option<Engine>, Vec<Finding>) {
    let address = match address {
        Ok(address) => address,
        Err(error) => {
            return (
                None,
                vec![Finding::error("engine", chain(&error)).fix(START)],
            );
        }
    };
    let mut found: Vec<_> = socket_permissions(&address).into_iter().collect();
    let engine = match Engine::new(address.clone()) {
        Ok(engine) => engine,
        Err(error) => {
            found.push(Finding::error("engine", chain(&error)).fix(START));
            return (None, found);
        }
    };
    let version = match engine.version().await {
        Ok(version) => version,
        Err(error) => {
            let said = format!("{} (found by: {})", chain(&error), address.found_by);
            let finding = Finding::error("engine", said);
            found.push(match error {
                // The error contains the fix.
                EngineError::Forbidden { .. } | EngineError::Unauthenticated { .. } => finding,
                _ => finding.fix(START),
            });
            return (None, found);
        }
    };
    let said = format!(
        "{} {} with API {} at {} (found by: {}), kernel {}",
        version.kind.as_str(),
        version.version,
        version.api,
        address.uri,
        address.found_by,
        version.kernel
    );
    found.insert(0, Finding::ok("engine", said));
    found.extend(architecture(&version));
    found.extend(vulnerabilities::look(&version));
    (Some(engine), found)
}

/// Anyone who can call the Engine is on its host what the Engine is: root, unless it is rootless.
fn socket_permissions(address: &EngineAddress) -> Option<Finding> {
    let Some(socket) = address.uri.strip_prefix("unix://") else {
        let said = format!(
            "{} has no authentication: anyone who can reach it acts as the user that the Engine runs as",
            address.uri
        );
        let fix = "use the Engine's unix socket, or a tunnel to it";
        return Some(Finding::warning("socket", said).fix(fix));
    };
    let mode = fs::metadata(socket).ok()?.mode();
    (mode & 0o002 != 0).then(|| {
        let said = format!("every user of this machine can use {socket}, and so act as the user that its Engine runs as");
        Finding::warning("socket", said).fix(format!("chmod o-rw {socket}"))
    })
}

/// casemate-init is built for the machine that the server is built for.
fn architecture(version: &EngineVersion) -> Option<Finding> {
    let ours = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    (version.arch != ours).then(|| {
        let said = format!(
            "the Engine is {}, but this server contains a casemate-init for {ours}",
            version.arch
        );
        Finding::error("architecture", said)
            .fix("use a server that is built for the Engine's machine")
    })
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn address(uri: &str) -> EngineAddress {
        EngineAddress {
            uri: uri.to_owned(),
            found_by: "DOCKER_HOST".to_owned(),
        }
    }

    #[test]
    fn a_door_that_is_open_to_all_is_a_warning() {
        assert_eq!(
            socket_permissions(&address("tcp://10.0.0.1:2375")).map(|found| found.level),
            Some(Severity::Warning)
        );
        let directory =
            std::env::temp_dir().join(format!("casemate-test-{}", uuid::Uuid::new_v4()));
        let uri = format!("unix://{}", directory.display());
        assert_eq!(socket_permissions(&address(&uri)), None, "it is not there");
        fs::write(&directory, "").expect("a file");
        let with = |mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("a mode");
            socket_permissions(&address(&uri)).map(|found| found.level)
        };
        assert_eq!((with(0o660), with(0o666)), (None, Some(Severity::Warning)));
        fs::remove_file(&directory).expect("it is ours");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_found_is_an_error_with_a_fix() {
        let nowhere = address("unix:///nonexistent/docker.sock");
        let (engine, found) = look(Ok(nowhere)).await;
        assert!(engine.is_none());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Severity::Error);
        assert!(found[0].found.contains("DOCKER_HOST"), "{found:?}");
        assert_eq!(found[0].fix.as_deref(), Some(START));
    }
}
