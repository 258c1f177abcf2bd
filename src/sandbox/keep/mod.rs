//! A workspace as a whole: copied out, and put back in place of another.
//!
//! ```text
//!  copy   the user's container, where one runs ── else an errand ─► archive, how it stood
//!  stage  mark, new volume, errand ─► fill ─► read it back ─► commit, or abandon
//! ```
//!
//! An errand is a container of ours on one volume: as hardened as the user's, but without
//! a largest file, never adopted, and no command runs in it. It ends 30 s after its
//! server is gone.

mod copy;
mod ending;
mod errand;
mod stage;
mod tidy;

use std::sync::Arc;
use std::time::Duration;

pub use copy::{Consistency, Copying, Moment, Part};
pub use stage::{Filling, ReadBack, StageError, Staged};

use super::bring_up::{Common, Maker};
use super::{Manager, SandboxError};
use crate::engine::labels;
use crate::identity::{Issuer, SandboxName, Subject, User};

/// How long nothing may come, or be taken: PID 1 looks at millions of entries without a
/// word, and a hole of a terabyte takes who hashes it this long. A connection that is
/// dead is found by its pings.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// One user's workspace as a whole.
#[derive(Debug, Clone)]
pub struct Keeper {
    maker: Maker,
}

impl Keeper {
    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.maker.user
    }

    /// What tells users apart in names.
    pub fn user_part(&self) -> &str {
        self.maker.name.user_part()
    }

    /// Whether there is a workspace: one of a directory of the host always is.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn exists(&self) -> Result<bool, SandboxError> {
        if self.maker.is_bound() {
            return Ok(true);
        }
        let volumes = self.maker.volumes().await?;
        Ok(self.maker.engine.has_volume(&volumes.current).await?)
    }
}

impl Manager {
    /// The keeper of `user`'s workspace. Does not reach for the Engine.
    pub fn keeper(&self, user: &User) -> Keeper {
        Keeper {
            maker: self.maker(user),
        }
    }

    /// All users who have a volume in this instance, sorted.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn users_with_a_volume(&self) -> Result<Vec<User>, SandboxError> {
        let common: &Arc<Common> = &self.common;
        let instance = &common.config.instance;
        let ours = [(labels::INSTANCE, instance.as_str())];
        let mut users = Vec::new();
        for row in common.engine.list_volumes(&ours).await? {
            let label = |name| row.labels.get(name).map(String::as_str);
            let subject = label(labels::USER).and_then(|text| text.parse::<Subject>().ok());
            let issuer = label(labels::ISSUER).and_then(|text| text.parse::<Issuer>().ok());
            let (Some(subject), Some(issuer)) = (subject, issuer) else {
                continue;
            };
            let user = User { issuer, subject };
            // Of our labels and another's name: nothing of ours.
            if row
                .name
                .starts_with(SandboxName::new(instance, &user).as_str())
            {
                users.push(user);
            }
        }
        users.sort();
        users.dedup();
        Ok(users)
    }
}
