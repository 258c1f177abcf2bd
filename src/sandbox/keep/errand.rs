//! A container of ours on one volume, for one errand.

use std::time::Duration;

use casemate_protocol::UploadBegin;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::SILENCE;
use crate::channel::{Backup, Channel, Outgoing};
use crate::engine::{Engine, EngineError, RunAs, Workspace};
use crate::sandbox::bring_up::Maker;
use crate::sandbox::owner::REMOVAL;
use crate::sandbox::{SandboxError, Status};

/// The mode in its labels: servers that make room ask it last.
pub(in crate::sandbox) const MODE: &str = "errand";

/// Between two steps of an errand nothing is waited for but the object store.
const IDLE: Duration = Duration::from_secs(600);

/// It runs, and its PID 1 answers.
#[derive(Debug)]
pub(super) struct Errand {
    engine: Engine,
    pub(super) id: String,
    pub(super) channel: Channel,
}

impl Maker {
    /// Makes one, called `kind`, on this workspace, which must be there: the Engine would
    /// make an empty volume, and that would pass for the user's.
    ///
    /// # Errors
    /// [`EngineError::Missing`] for a volume that is gone, and those of every call.
    pub(super) async fn errand(
        &self,
        kind: &str,
        workspace: Workspace,
        run_as: RunAs,
    ) -> Result<Errand, SandboxError> {
        self.must_have(&workspace).await?;
        let (status, _) = watch::channel(Status::Absent);
        let mut spec = self.spec_on(workspace, run_as, &status).await?;
        spec.labels.mode = MODE.to_owned();
        spec.init_args = self.errand_args(IDLE);
        // What was whole once must be so again, whatever its size was allowed to be since.
        spec.limits.file_size = u64::MAX;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}-{kind}-{}", self.name.as_str(), &random[..12]);
        let created = self.engine.create(&name, &spec).await?;
        let connected = async {
            self.must_have(&spec.workspace).await?;
            self.engine.start(&created.id).await?;
            self.connect(&created.id).await
        };
        match connected.await {
            Ok(channel) => Ok(Errand {
                engine: self.engine.clone(),
                id: created.id,
                channel,
            }),
            Err(error) => {
                let _ = self.engine.remove(&created.id).await;
                // It was removed in between, and the Engine has made another for this one.
                if let (true, Workspace::Volume(made)) = (is_missing(&error), &spec.workspace) {
                    let _ = self.engine.remove_volume(made).await;
                }
                Err(error)
            }
        }
    }

    async fn must_have(&self, workspace: &Workspace) -> Result<(), SandboxError> {
        let Workspace::Volume(name) = workspace else {
            return Ok(());
        };
        if self.engine.has_own_volume(name, &self.labels()).await? {
            return Ok(());
        }
        let (kind, name) = ("volume", name.clone());
        Err(EngineError::Missing { kind, name }.into())
    }
}

fn is_missing(error: &SandboxError) -> bool {
    let SandboxError::Engine(error) = error else {
        return false;
    };
    matches!(**error, EngineError::Missing { kind: "volume", .. })
}

impl Errand {
    /// Begins to read all of it.
    pub(super) async fn backup(&self, shared: bool) -> Result<Backup, SandboxError> {
        let backup = self.channel.backup(shared, SILENCE).await;
        backup.map_err(super::copy::failed)
    }

    /// Begins to make it as the archive of a backup says.
    pub(super) async fn fill(&self) -> Result<Outgoing, SandboxError> {
        let begin = UploadBegin {
            unpack: true,
            exact: true,
            limit: u64::MAX,
            ..UploadBegin::default()
        };
        let upload = self.channel.upload(begin, SILENCE).await;
        upload.map_err(super::copy::failed)
    }

    /// Ends it; afterwards its volume is free.
    pub(super) async fn close(self) {
        let gone = self.engine.wait_removed(&self.id);
        if self.channel.retire_at_once().await.is_err()
            && let Err(error) = self.engine.remove(&self.id).await
        {
            let error = &error as &dyn std::error::Error;
            warn!(
                container = self.id,
                error, "it ends itself without its server"
            );
            return;
        }
        let _ = timeout(REMOVAL, gone).await;
    }
}
