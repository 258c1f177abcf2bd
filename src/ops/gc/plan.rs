//! Plans the clean-up. Removes nothing, but the check of a volume may make its container.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tracing::warn;

use super::rules::{self, Verdict, VolumeFacts};
use super::{Gc, GcError, Scope};
use crate::engine::{ContainerSummary, VolumeSummary, labels};
use crate::identity::{SandboxName, User, WorkspaceId};
use crate::ops::chain;
use crate::provision::{held, is_abandoned, owner, workspaces};

/// Kinds of resources that may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A container that never ran.
    Container,
    /// An image that was prepared from another.
    Image,
    /// All files of a user.
    Volume,
    /// A volume of shared data.
    Shared,
}

impl ResourceKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Shared => "shared",
        }
    }
}

/// The plan for an item, or the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// It is to be removed.
    Remove,
    /// It was removed.
    Removed,
    /// It is kept, for this reason.
    Kept(String),
    /// The removal failed, or its result is unknown.
    Failed(String),
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanItem {
    /// Which kind.
    pub what: ResourceKind,
    /// Its name on the Engine; the id of a container.
    pub name: String,
    /// Its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The name of the workspace; none: the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The reason for the removal.
    pub reason: String,
    /// The plan, or the result.
    #[serde(rename = "fate")]
    pub disposition: Disposition,
    /// When the workspace was used last.
    #[serde(skip)]
    pub(super) used: Option<SystemTime>,
}

impl PlanItem {
    pub(super) fn new(
        what: ResourceKind,
        name: &str,
        owner: Option<&WorkspaceId>,
        reason: impl Into<String>,
    ) -> Self {
        let user = owner.map(|owner| &owner.user);
        Self {
            what,
            name: name.to_owned(),
            user: user.map(|user| user.subject.as_str().to_owned()),
            issuer: user.map(|user| user.issuer.as_str().to_owned()),
            workspace: owner.and_then(WorkspaceId::name_str).map(str::to_owned),
            reason: reason.into(),
            disposition: Disposition::Remove,
            used: None,
        }
    }

    pub(super) fn owner(&self) -> Option<WorkspaceId> {
        let user = User {
            subject: self.user.as_ref()?.parse().ok()?,
            issuer: self.issuer.as_ref()?.parse().ok()?,
        };
        let name = self.workspace.as_ref().map(|name| name.parse());
        let name = name.transpose().ok()?;
        Some(WorkspaceId { user, name })
    }
}

impl Gc {
    /// Lists the items to remove, and the volumes to keep with the reason.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn plan(&mut self, scope: Scope) -> Result<Vec<PlanItem>, GcError> {
        let mut items = Vec::new();
        for what in scope.kinds() {
            items.extend(self.plan_kind(*what).await?);
        }
        Ok(items)
    }

    pub(super) async fn plan_kind(&mut self, what: ResourceKind) -> Result<Vec<PlanItem>, GcError> {
        match what {
            ResourceKind::Container => self.containers().await,
            ResourceKind::Image => Ok(self.images().await),
            ResourceKind::Volume => self.volumes().await,
            ResourceKind::Shared => self.shared().await,
        }
    }

    async fn containers(&self) -> Result<Vec<PlanItem>, GcError> {
        let rows = self.rows().await?;
        let now = SystemTime::now();
        let abandoned = rows.iter().filter(|row| is_abandoned(row, now));
        let item = |row: &ContainerSummary| {
            let reason = "it was made but never started";
            let owner = owner(&row.labels);
            PlanItem::new(ResourceKind::Container, &row.id, owner.as_ref(), reason)
        };
        Ok(abandoned.map(item).collect())
    }

    /// Images that cannot be checked do not stop the clean-up of volumes: they are reported as
    /// failed.
    async fn images(&self) -> Vec<PlanItem> {
        let reason = "no server of this version makes containers from it";
        let item = |name: &str| PlanItem::new(ResourceKind::Image, name, None, reason);
        let unused = async {
            let keep = self.manager.prepared_images().await?;
            self.engine.unused_prepared(&keep).await
        };
        match unused.await {
            Ok(images) => images.iter().map(|image| item(image)).collect(),
            Err(error) => {
                let why = chain(&error);
                warn!(why, "unused images could not be determined");
                let disposition = Disposition::Failed(why);
                vec![PlanItem {
                    disposition,
                    ..item("all")
                }]
            }
        }
    }

    async fn volumes(&mut self) -> Result<Vec<PlanItem>, GcError> {
        let mut items = Vec::new();
        let config = self.manager.config().clone();
        let instance = &config.instance;
        let ours = [(labels::INSTANCE, instance.as_str())];
        let (rows, volumes) = (self.rows().await?, self.engine.list_volumes(&ours).await?);
        let held = held(&volumes);
        for (workspace, volume) in workspaces(instance, &volumes) {
            if self.stop.is_cancelled() {
                break;
            }
            let Some(retention) = config.retention_of(&workspace) else {
                continue;
            };
            let name = SandboxName::new(instance, &workspace);
            let is_held = held.contains(name.as_str());
            let item = self.volume(volume, &workspace, &rows, is_held, retention);
            items.push(item.await);
        }
        Ok(items)
    }

    async fn rows(&self) -> Result<Vec<ContainerSummary>, GcError> {
        let instance = self.manager.config().instance.as_str();
        let ours = [(labels::INSTANCE, instance)];
        Ok(self.engine.list_containers(&ours).await?)
    }

    async fn volume(
        &mut self,
        volume: &VolumeSummary,
        workspace: &WorkspaceId,
        rows: &[ContainerSummary],
        is_held: bool,
        retention: Duration,
    ) -> PlanItem {
        let reason = format!("unused for {}", humantime::format_duration(retention));
        let mut item = PlanItem::new(ResourceKind::Volume, &volume.name, Some(workspace), reason);
        let mut facts = VolumeFacts {
            is_held,
            is_bound: self.manager.snapshots(workspace).is_bound(),
            // Ephemeral containers have random names, so the labels decide whose it is.
            is_in_use: rows
                .iter()
                .any(|row| owner(&row.labels).as_ref() == Some(workspace)),
            has_backups: self.backup.is_some(),
            created: volume.created_at(),
            next_look: self.next_look.get(&volume.name).copied(),
            used: None,
        };
        let now = SystemTime::now();
        let mut verdict = rules::judge(&facts, retention, now);
        if verdict == Verdict::Look {
            facts.used = self.last_use(workspace).await;
            let next = rules::next_look(facts.used, retention, SystemTime::now());
            self.next_look.insert(volume.name.clone(), next);
            verdict = rules::judge(&facts, retention, now);
        }
        item.used = facts.used;
        item.disposition = match verdict {
            Verdict::Remove => Disposition::Remove,
            Verdict::Keep(why) => Disposition::Kept(why.to_owned()),
            Verdict::Look => Disposition::Kept("its last use is not known".to_owned()),
        };
        item
    }

    /// `None`: unknown, which counts as used now.
    async fn last_use(&self, workspace: &WorkspaceId) -> Option<SystemTime> {
        let used = self.manager.snapshots(workspace).last_use().await;
        used.unwrap_or_else(|error| {
            warn!(user = %workspace, why = chain(&error), "when the workspace was used last is not known");
            None
        })
    }
}
