//! What is there and what becomes of it. Removes nothing; looking into a volume may make
//! its container.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::rules::{self, Facts, Verdict};
use super::{Gc, GcError, Scope, hold};
use crate::engine::{Row, VolumeRow, labels};
use crate::identity::{SandboxName, User};
use crate::sandbox::{is_abandoned, owner, workspaces};

/// What may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A container that never ran.
    Container,
    /// An image that was prepared from another.
    Image,
    /// All files of a user.
    Volume,
}

impl What {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
        }
    }
}

/// What becomes of it, or became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is to be removed.
    Remove,
    /// It was removed.
    Removed,
    /// It stays, and why.
    Kept(String),
    /// It should have been removed and is still there, or that is not known.
    Failed(String),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Which kind.
    pub what: What,
    /// On the Engine: of a container its id.
    pub name: String,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Who vouches for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Why it is to be removed.
    pub reason: String,
    /// What becomes of it.
    pub fate: Fate,
    /// When the workspace was used last.
    #[serde(skip)]
    pub(super) used: Option<SystemTime>,
}

impl Item {
    fn new(what: What, name: &str, user: Option<&User>, reason: impl Into<String>) -> Self {
        Self {
            what,
            name: name.to_owned(),
            user: user.map(|user| user.subject.as_str().to_owned()),
            issuer: user.map(|user| user.issuer.as_str().to_owned()),
            reason: reason.into(),
            fate: Fate::Remove,
            used: None,
        }
    }

    pub(super) fn owner(&self) -> Option<User> {
        Some(User {
            subject: self.user.as_ref()?.parse().ok()?,
            issuer: self.issuer.as_ref()?.parse().ok()?,
        })
    }
}

impl Gc {
    /// What would be removed, and which volumes would be kept and why.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn plan(&mut self, scope: Scope) -> Result<Vec<Item>, GcError> {
        let instance = self.manager.config().instance.clone();
        let ours = [(labels::INSTANCE, instance.as_str())];
        let rows = self.engine.list_containers(&ours).await?;
        let now = SystemTime::now();
        let abandoned = rows.iter().filter(|row| is_abandoned(row, now));
        let mut items: Vec<Item> = abandoned
            .map(|row| {
                let reason = "it was made and never started";
                Item::new(
                    What::Container,
                    &row.id,
                    owner(&row.labels).as_ref(),
                    reason,
                )
            })
            .collect();
        if scope == Scope::Containers {
            return Ok(items);
        }
        let keep = self.manager.prepared_images().await?;
        for image in self.engine.unused_prepared(&keep).await? {
            let reason = "no server of this version makes containers from it";
            items.push(Item::new(What::Image, &image, None, reason));
        }
        if let Some(retention) = self.manager.config().volume_retention {
            let volumes = self.engine.list_volumes(&ours).await?;
            let held = hold::held(&volumes);
            for (user, volume) in workspaces(&instance, &volumes) {
                let name = SandboxName::new(&instance, &user);
                let is_held = held.contains(name.as_str());
                let item = self.volume(volume, &user, &rows, is_held, retention);
                items.push(item.await);
            }
        }
        Ok(items)
    }

    async fn volume(
        &mut self,
        volume: &VolumeRow,
        user: &User,
        rows: &[Row],
        is_held: bool,
        retention: Duration,
    ) -> Item {
        let reason = format!("unused for {}", humantime::format_duration(retention));
        let mut item = Item::new(What::Volume, &volume.name, Some(user), reason);
        let created = volume.created.as_deref();
        let mut facts = Facts {
            is_held,
            is_bound: self.manager.keeper(user).is_bound(),
            // An ephemeral one has a name of its own: what counts is whose it is.
            is_in_use: rows
                .iter()
                .any(|row| owner(&row.labels).as_ref() == Some(user)),
            has_backups: self.backup.is_some(),
            created: created.and_then(|text| humantime::parse_rfc3339(text).ok()),
            next_look: self.next_look.get(&volume.name).copied(),
            used: None,
        };
        let now = SystemTime::now();
        let mut verdict = rules::judge(&facts, retention, now);
        if verdict == Verdict::Look {
            facts.used = self.last_use(user).await;
            let used = facts.used.unwrap_or(now);
            self.next_look.insert(volume.name.clone(), used + retention);
            verdict = rules::judge(&facts, retention, now);
        }
        item.used = facts.used;
        item.fate = match verdict {
            Verdict::Remove => Fate::Remove,
            Verdict::Keep(why) => Fate::Kept(why.to_owned()),
            Verdict::Look => Fate::Kept("its last use is not known".to_owned()),
        };
        item
    }
}
