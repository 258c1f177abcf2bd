//! A namespace on the Engine that is empty again at the end of the test.

use std::process::{Command, Stdio};
use std::sync::Arc;

use super::docker;

/// An instance of one test. Clones share it; the last one cleans up.
#[derive(Debug, Clone)]
pub struct Instance(Arc<Owned>);

#[derive(Debug)]
struct Owned(String);

impl Instance {
    /// A new instance with a random name.
    pub fn new() -> Self {
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self(Arc::new(Owned(format!("test-{}", &random[..12]))))
    }

    /// Its name, for `CASEMATE_INSTANCE`.
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// A command of the `casemate` binary for this instance.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
        command
            .args(args)
            .env("CASEMATE_INSTANCE", self.name())
            .stdin(Stdio::null());
        command
    }

    /// The filter that finds its containers and volumes.
    pub fn label(&self) -> String {
        format!("label=io.casemate.instance={}", self.name())
    }

    /// Ids of its containers, in any state.
    pub fn containers(&self) -> Vec<String> {
        docker::lines(&[
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &self.label(),
        ])
    }

    /// Names of its volumes.
    pub fn volumes(&self) -> Vec<String> {
        docker::lines(&["volume", "ls", "--quiet", "--filter", &self.label()])
    }

    /// The uid in the label of its only volume.
    pub fn uid(&self) -> String {
        let volumes = self.volumes();
        assert_eq!(volumes.len(), 1, "volumes of the instance");
        let volume = docker::inspect("volume", &volumes[0]);
        let uid = volume["Labels"]["io.casemate.uid"].as_str();
        uid.expect("a uid").to_owned()
    }

    /// Id of its only container.
    pub fn container(&self) -> String {
        let containers = self.containers();
        assert_eq!(containers.len(), 1, "containers of the instance");
        containers[0].clone()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let label = format!("label=io.casemate.instance={}", self.0);
        // More than once: a server that was killed may have asked for one a moment ago.
        for _ in 0..5 {
            let containers = docker::lines(&["ps", "--all", "--quiet", "--filter", &label]);
            for id in &containers {
                docker::quietly(&["rm", "--force", "--volumes", id]);
            }
            let volumes = docker::lines(&["volume", "ls", "--quiet", "--filter", &label]);
            for volume in &volumes {
                docker::quietly(&["volume", "rm", "--force", volume]);
            }
            let claims = uid_claims(&self.0);
            for claim in &claims {
                docker::quietly(&["volume", "rm", "--force", claim]);
            }
            if containers.is_empty() && volumes.is_empty() && claims.is_empty() {
                break;
            }
        }
    }
}

/// The claims of uids that killed servers of the instance left.
fn uid_claims(instance: &str) -> Vec<String> {
    let filter = "label=io.casemate.uid.claim";
    let format = r#"{{.Name}} {{.Label "io.casemate.uid.claim"}}"#;
    let rows = docker::lines(&["volume", "ls", "--filter", filter, "--format", format]);
    let own = |row: &String| {
        let (name, claim) = row.split_once(' ')?;
        (claim.split('/').next() == Some(instance)).then(|| name.to_owned())
    };
    rows.iter().filter_map(own).collect()
}
