//! The volumes of one user at the Engine: lists them, makes them with their uid, and checks them
//! before a container starts on one.

use std::sync::Arc;

use tracing::{Instrument as _, warn};

use super::context::ServerContext;
use super::error::SandboxError;
use super::generations::{Generations, sort};
use super::owners::workspaces;
use super::spec::Spec;
use super::uids::UidClaims;
use crate::engine::{ContainerSpec, Engine, EngineError, Labels, VolumeSummary, Workspace, labels};
use crate::identity::SandboxName;

/// Finds and makes the volumes of one user.
#[derive(Debug, Clone)]
pub struct Volumes {
    context: Arc<ServerContext>,
    engine: Engine,
    /// Of generation 0.
    name: SandboxName,
    labels: Labels,
    /// How many workspaces of the user may have a name.
    workspaces: u32,
    claims: UidClaims,
}

impl Volumes {
    pub fn new(context: &Arc<ServerContext>, spec: &Spec) -> Self {
        Self {
            context: context.clone(),
            engine: context.engine.clone(),
            name: spec.name.clone(),
            labels: spec.labels(),
            workspaces: spec.settings.workspaces_per_user,
            claims: UidClaims {
                engine: context.engine.clone(),
                instance: context.config.instance.clone(),
                in_use: context.uids_in_use.clone(),
                tasks: context.tasks.clone(),
            },
        }
    }

    /// The user's volumes as they are now.
    pub async fn list(&self) -> Result<Generations, SandboxError> {
        Ok(sort(self.name.as_str(), &self.rows().await?))
    }

    async fn rows(&self) -> Result<Vec<VolumeSummary>, SandboxError> {
        let mut rows = self.rows_of_user().await?;
        rows.retain(|row| self.labels.is_same_owner(&row.labels));
        Ok(rows)
    }

    /// In all workspaces of the user.
    async fn rows_of_user(&self) -> Result<Vec<VolumeSummary>, SandboxError> {
        let labels = &self.labels;
        let mut rows = self.engine.list_volumes(&labels.user_filter()).await?;
        rows.retain(|row| labels.is_same_user(&row.labels));
        Ok(rows)
    }

    /// Fails where the user has as many workspaces with a name as may be, and the next is another.
    async fn check_count(&self) -> Result<(), SandboxError> {
        if self.labels.workspace.is_none() {
            return Ok(());
        }
        let rows = self.rows_of_user().await?;
        let all = workspaces(&self.context.config.instance, &rows);
        let named = all.iter().filter(|(workspace, _)| workspace.name.is_some());
        let most = self.workspaces;
        if named.clone().count() < usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let oldest = named.min_by_key(|(_, volume)| volume.created_at());
        let oldest = oldest.and_then(|(workspace, _)| workspace.name.clone());
        Err(SandboxError::TooManyWorkspaces { most, oldest })
    }

    /// The last check before a container is started: a restore may have ended since the first
    /// one. After its failure the container is made again. Returns whether the volume was made
    /// for this container.
    pub async fn verify_current(&self, spec: &ContainerSpec) -> Result<bool, SandboxError> {
        let is_current = |volumes: &Generations, name: &str| volumes.current == name;
        self.verify(spec, is_current).await
    }

    /// As [`Self::verify_current`], for a volume that a restore fills: it must not be the workspace.
    pub async fn verify_pending(&self, spec: &ContainerSpec) -> Result<bool, SandboxError> {
        let is_pending = |volumes: &Generations, name: &str| volumes.is_pending(name);
        self.verify(spec, is_pending).await
    }

    /// Removes a volume that the Engine made in place of one that was gone, unless a container
    /// uses it by now: it has no owner, and it would be the user's workspace.
    pub async fn remove_remade(&self, spec: &ContainerSpec) {
        let Workspace::Volume(volume) = &spec.workspace else {
            return;
        };
        let found = self.engine.find_volume(volume, &spec.labels).await;
        if !found.is_ok_and(|found| found.is_some_and(|row| row.is_remade())) {
            return;
        }
        if let Err(error) = self.engine.remove_volume(volume).await {
            let error = &error as &dyn std::error::Error;
            warn!(volume, error, "an empty volume stays");
        }
    }

    /// After the create call the volume cannot be removed. If it was removed before, the Engine
    /// has made another of its name, which is never used.
    async fn verify(
        &self,
        spec: &ContainerSpec,
        holds: impl FnOnce(&Generations, &str) -> bool,
    ) -> Result<bool, SandboxError> {
        let Workspace::Volume(volume) = &spec.workspace else {
            return Ok(false);
        };
        let rows = self.rows().await?;
        let row = rows.iter().find(|row| row.name == *volume);
        let row = row.filter(|row| !row.is_remade());
        match row.filter(|_| holds(&sort(self.name.as_str(), &rows), volume)) {
            Some(row) => Ok(row.labels.get(labels::MADE_FOR) == Some(&spec.made_for)),
            None => Err(missing(volume)),
        }
    }

    /// Finds the volume of `spec` or makes it, and sets the user that code runs as in `spec`.
    pub async fn ensure(&self, spec: &mut ContainerSpec) -> Result<(), SandboxError> {
        let Workspace::Volume(volume) = &spec.workspace else {
            return Ok(());
        };
        match self.engine.find_volume(volume, &spec.labels).await? {
            Some(found) if found.is_remade() => self.engine.remove_volume(volume).await?,
            Some(found) => {
                spec.run_as = found.run_as();
                return Ok(());
            }
            None => {}
        }
        self.check_count().await?;
        let own = self.uid_to_keep().await?;
        self.make(spec, &[], own).await
    }

    /// Makes the volume of `spec`, with `more` labels, gives it to its user, and sets that user in
    /// `spec`. Its uid is `own`, if no other user has that by now, or a free one; its label names none
    /// where all users share one. If another server is faster, the volume is as that server made it.
    ///
    /// # Errors
    /// [`SandboxError::NoUid`], and the Engine's.
    pub async fn make(
        &self,
        spec: &mut ContainerSpec,
        more: &[(&str, String)],
        mut own: Option<u32>,
    ) -> Result<(), SandboxError> {
        let Workspace::Volume(volume) = spec.workspace.clone() else {
            return Ok(());
        };
        loop {
            let mut claim = match own {
                Some(_) => None,
                None => self.claims.claim(self.context.uids().await?).await?,
            };
            let uid = own.or(claim.as_ref().map(|claim| claim.uid()));
            let label = uid.map(|uid| (labels::UID, uid.to_string()));
            let made_for = [(labels::MADE_FOR, spec.made_for.clone())];
            let all: Vec<_> = more.iter().cloned().chain(made_for).chain(label).collect();
            if let Some(claim) = &mut claim {
                claim.is_asked_for = true;
            }
            let made = self
                .engine
                .ensure_volume(&volume, &spec.labels, &all, spec.volume_size);
            let made = made.await?;
            spec.run_as = made.run_as();
            // If another server has made it, it belongs to that server.
            let is_ours = made.labels.get(labels::MADE_FOR) == Some(&spec.made_for);
            if let Some(uid) = own
                && is_ours
                && !self.is_alone_with(uid, &volume).await?
            {
                self.engine.remove_volume(&volume).await?;
                own = None;
                continue;
            }
            if let Some(claim) = &mut claim {
                let still_holds = claim.holds().await?;
                claim.is_asked_for = false;
                if is_ours && !still_holds {
                    // It is empty, and another user may have its number.
                    self.engine.remove_volume(&volume).await?;
                    continue;
                }
            }
            return self.give_to_user(spec).await;
        }
    }

    /// The uid for the next volume: that of the workspace, else the lowest of the user's other
    /// workspaces. One user's workspaces share a uid, and with it what the kernel counts by uid.
    /// `None` where no label names one in the range of the settings.
    pub async fn uid_to_keep(&self) -> Result<Option<u32>, SandboxError> {
        let uids = self.context.uids().await?;
        let rows = self.rows_of_user().await?;
        let (own, others): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| self.labels.is_same_owner(&row.labels));
        let own = sort(self.name.as_str(), &own).uid;
        let others = others.iter().filter_map(VolumeSummary::uid);
        let own = own.filter(|uid| uids.contains(*uid));
        Ok(own.or(others.filter(|uid| uids.contains(*uid)).min()))
    }

    /// Whether no other user has the uid of this new volume. The user's last other volume may have
    /// gone since it was seen, and the number may be another's by now.
    async fn is_alone_with(&self, uid: u32, volume: &str) -> Result<bool, SandboxError> {
        let rows = self.engine.volumes_with_uid().await?;
        let mut rows: Vec<_> = rows.iter().filter(|row| row.uid() == Some(uid)).collect();
        rows.retain(|row| row.name != volume);
        Ok(is_users_alone(&self.labels, &rows))
    }

    /// Gives an empty volume to its user. It completes even if the caller gives up: the container
    /// of an interrupted step would keep the volume in use.
    pub async fn give_to_user(&self, spec: &ContainerSpec) -> Result<(), SandboxError> {
        let (engine, spec) = (self.engine.clone(), spec.clone());
        let give = async move { engine.give_to_user(&spec).await };
        let given = self.context.tasks.spawn(give.in_current_span()).await;
        // Dropped with the runtime.
        given.map_err(|_| SandboxError::Ending)?.map_err(Into::into)
    }

    /// Whether the Engine's disk has the space for a user who has no workspace yet, where this
    /// machine can see that disk.
    ///
    /// # Errors
    /// [`SandboxError::DiskFull`], and the Engine's.
    pub async fn check_disk(&self, volume: &str) -> Result<(), SandboxError> {
        let floor = self.context.config.min_free_disk.0;
        if floor == 0 {
            return Ok(());
        }
        let Some(free) = self.engine.disk_free().await? else {
            return Ok(());
        };
        if free >= floor || self.engine.has_volume(volume).await? {
            return Ok(());
        }
        Err(SandboxError::DiskFull { free, floor })
    }
}

/// Whether a uid is this user's, by the other volumes that have it. While the user has another volume
/// with it, no claim of another user can end in one; a claim that is there was this user's own.
fn is_users_alone(labels: &Labels, rows: &[&VolumeSummary]) -> bool {
    let is_theirs = |row: &VolumeSummary| labels.is_same_user(&row.labels);
    let has_another = rows.iter().any(|row| is_theirs(row));
    let mut others = rows.iter().filter(|row| !is_theirs(row));
    others.all(|row| has_another && row.labels.contains_key(labels::CLAIM))
}

/// The error for a volume that is gone, or not what it has to be.
pub fn missing(volume: &str) -> SandboxError {
    let (kind, name) = ("volume", volume.to_owned());
    EngineError::Missing { kind, name }.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(all: &[(&str, &str)]) -> VolumeSummary {
        let labels = all
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        VolumeSummary {
            name: "v".to_owned(),
            labels: labels.collect::<BTreeMap<_, _>>(),
            created: None,
        }
    }

    #[test]
    fn a_uid_is_the_users_while_another_volume_of_theirs_has_it_or_nobody_has() {
        let labels = Labels {
            instance: "default".to_owned(),
            user: "ada".to_owned(),
            issuer: "local".to_owned(),
            workspace: Some("chat".to_owned()),
            group: None,
            mode: "persistent".to_owned(),
            version: "0.1.0".to_owned(),
            node: "n".to_owned(),
            epoch: 0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        };
        let of = |user: &str, instance: &str| {
            row(&[
                (labels::INSTANCE, instance),
                (labels::ISSUER, "local"),
                (labels::USER, user),
            ])
        };
        let (own, bob) = (of("ada", "default"), of("bob", "default"));
        let (elsewhere, claim) = (of("ada", "other"), row(&[(labels::CLAIM, "default/1")]));
        let is_alone = |rows: &[&VolumeSummary]| is_users_alone(&labels, rows);
        assert!(is_alone(&[]) && is_alone(&[&own]) && is_alone(&[&own, &claim]));
        assert!(!is_alone(&[&claim]) && !is_alone(&[&bob]) && !is_alone(&[&elsewhere]));
        assert!(!is_alone(&[&own, &bob]) && !is_alone(&[&own, &claim, &bob]));
    }
}
