//! The arguments that select users.

use anyhow::ensure;

use crate::engine::Engine;
use crate::identity::{Instance, Issuer, Subject, User, WorkspaceId, WorkspaceName};
use crate::ops::users::{self, UserError};
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Which user's sandbox.
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    /// The user, exactly as `casemate ps` shows it.
    name: Subject,
    /// The user's issuer, needed if several issuers have a user of this name.
    #[arg(long)]
    issuer: Option<Issuer>,
}

/// Which of the user's workspaces.
#[derive(Debug, clap::Args)]
pub struct WorkspaceArgs {
    /// The workspace with this name, exactly as `casemate ps` shows it; default: the user's own.
    #[arg(long = "workspace", value_name = "NAME")]
    workspace_name: Option<WorkspaceName>,
}

impl WorkspaceArgs {
    /// That of this user.
    pub fn of(&self, user: User) -> WorkspaceId {
        let name = self.workspace_name.clone();
        WorkspaceId { user, name }
    }
}

/// Which users' workspaces.
#[derive(Debug, clap::Args)]
pub struct UsersArgs {
    /// Users, exactly as `casemate ps` and `casemate backup list` show them.
    #[arg(
        value_name = "USER",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    users: Vec<Subject>,
    /// The users' issuer, needed if several issuers have a user of this name.
    #[arg(long)]
    issuer: Option<Issuer>,
    /// Only the workspace with this name; default: all of the user's workspaces.
    #[arg(long = "workspace", value_name = "NAME", conflicts_with = "all")]
    workspace_name: Option<WorkspaceName>,
    /// All workspaces that are a volume in this instance.
    #[arg(long)]
    all: bool,
}

impl UserArgs {
    /// The user of this name that has a container or a volume in the instance.
    ///
    /// # Errors
    /// [`UserError`]: no such user, or several; the Engine's.
    pub async fn resolve(&self, engine: &Engine, instance: &Instance) -> anyhow::Result<User> {
        find_user(engine, instance, &self.name, self.issuer.as_ref()).await
    }

    /// The user of this name among `known`, who are from `search_scope`.
    ///
    /// # Errors
    /// [`UserError`]: no such user, or several.
    pub fn resolve_among(&self, known: Vec<User>, search_scope: &str) -> Result<User, UserError> {
        users::resolve(&self.name, self.issuer.as_ref(), known, search_scope)
    }

    /// The name that was given.
    pub fn name(&self) -> &Subject {
        &self.name
    }

    /// The issuer that was given.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }
}

impl UsersArgs {
    /// The workspaces of the named users, each found by `user`, or all that are a volume. `known`: all
    /// workspaces of a user.
    ///
    /// # Errors
    /// `--all` in mode bind; of `user` and `known`; the Engine's.
    pub async fn workspaces(
        &self,
        manager: &Manager,
        user: impl AsyncFn(&Subject, Option<&Issuer>) -> anyhow::Result<User>,
        known: impl AsyncFn(&User) -> anyhow::Result<Vec<WorkspaceId>>,
    ) -> anyhow::Result<Vec<Snapshots>> {
        if self.all {
            ensure!(
                !manager.config().all_users_bind(),
                "in mode bind no user has a volume, so --all selects no user: name the users"
            );
            let all = manager.workspaces_on_volumes().await?;
            return Ok(all.iter().map(|one| manager.snapshots(one)).collect());
        }
        let mut selected = Vec::new();
        for name in &self.users {
            let user = user(name, self.issuer.as_ref()).await?;
            if let Some(name) = &self.workspace_name {
                let name = Some(name.clone());
                selected.push(WorkspaceId { user, name });
                continue;
            }
            let theirs = known(&user).await?;
            match theirs.is_empty() {
                // A directory of the host, or an error that names the user.
                true => selected.push(user.into()),
                false => selected.extend(theirs),
            }
        }
        Ok(selected.iter().map(|one| manager.snapshots(one)).collect())
    }
}

/// The workspaces of a user that are a volume.
///
/// # Errors
/// The Engine's.
pub async fn on_volumes(manager: &Manager, user: &User) -> anyhow::Result<Vec<WorkspaceId>> {
    let mut all = manager.workspaces_on_volumes().await?;
    all.retain(|one| one.user == *user);
    Ok(all)
}

/// The user of this name that has a container or a volume in the instance.
///
/// # Errors
/// [`UserError`]: no such user, or several; the Engine's.
pub async fn find_user(
    engine: &Engine,
    instance: &Instance,
    name: &Subject,
    issuer: Option<&Issuer>,
) -> anyhow::Result<User> {
    let known = users::on_engine(engine, instance, name).await?;
    Ok(users::resolve(
        name,
        issuer,
        known,
        &search_scope(instance),
    )?)
}

/// The place of users on the Engine, for an error.
pub fn search_scope(instance: &Instance) -> String {
    format!(
        "in instance {:?}; casemate ps shows who has a sandbox",
        instance.as_str()
    )
}
