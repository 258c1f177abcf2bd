//! The user that a verb is about.

use crate::engine::Engine;
use crate::identity::{Instance, Issuer, Subject, User};
use crate::ops::users::{self, UserError};

/// Which user's sandbox.
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    /// The user, exactly as `casemate ps` shows it.
    name: Subject,
    /// The issuer of the user, where more than one has a user of this name.
    #[arg(long)]
    issuer: Option<Issuer>,
}

impl UserArgs {
    /// The user of this name that has a container or a volume in the instance.
    ///
    /// # Errors
    /// [`UserError`] where there is none or more than one; the Engine's.
    pub async fn resolve(&self, engine: &Engine, instance: &Instance) -> anyhow::Result<User> {
        let known = users::on_engine(engine, instance, &self.name).await?;
        Ok(self.resolve_among(known, &place(instance))?)
    }

    /// The user of this name among `known`, who are from `place`.
    ///
    /// # Errors
    /// [`UserError`] where there is none or more than one.
    pub fn resolve_among(&self, known: Vec<User>, place: &str) -> Result<User, UserError> {
        users::resolve(&self.name, self.issuer.as_ref(), known, place)
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

/// Where users of the Engine are, for an error.
pub fn place(instance: &Instance) -> String {
    format!(
        "in instance {:?}; casemate ps shows who has a sandbox",
        instance.as_str()
    )
}
