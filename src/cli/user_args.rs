//! The arguments that select users.

use anyhow::ensure;

use crate::engine::Engine;
use crate::identity::{Instance, Issuer, Subject, User};
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
    /// All users that have a volume in this instance.
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
    /// The workspaces of the named users, each found by `user`, or of all users that have a volume.
    ///
    /// # Errors
    /// `--all` in mode bind; of `user`; the Engine's.
    pub async fn workspaces(
        &self,
        manager: &Manager,
        user: impl AsyncFn(&Subject, Option<&Issuer>) -> anyhow::Result<User>,
    ) -> anyhow::Result<Vec<Snapshots>> {
        let users = if self.all {
            ensure!(
                !manager.config().all_users_bind(),
                "in mode bind no user has a volume, so --all selects no user: name the users"
            );
            manager.users_with_a_volume().await?
        } else {
            let mut users = Vec::new();
            for name in &self.users {
                users.push(user(name, self.issuer.as_ref()).await?);
            }
            users
        };
        Ok(users.iter().map(|user| manager.snapshots(user)).collect())
    }
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
