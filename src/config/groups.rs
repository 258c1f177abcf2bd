//! Groups of users with other settings than the rest: the `[[groups]]` tables.
//!
//! ```text
//! users, delegate   by the user alone ───────────────┐
//! claims            by the access token of a request ┴─► the first table that matches
//! ```
//!
//! Invariants:
//!
//! - The first table in the order of the file holds. No later one is looked at.
//! - A table that asks for a claim which the token lacks ends the search with an error, unless
//!   [`GroupsClaim::Optional`]: the user may be in that group, and later ones may allow more.
//! - The order is user, group, everybody: a value in a user's own table goes before the group's.

mod claims;
mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thiserror::Error;

pub use claims::{ClaimMatch, TokenClaims};
pub use raw::identify;

use super::choices::GroupsClaim;
use super::error::ConfigError;
use super::layer::{Layer, RawGroup};
use super::origin::FileLocation;
use super::sandbox::SandboxSettings;
use crate::identity::{GroupName, Issuer, User};

/// All groups, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    list: Vec<GroupConfig>,
    is_claim_optional: bool,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its name.
    pub name: GroupName,
    /// Its members.
    pub members: Members,
    /// Where its table begins.
    pub place: FileLocation,
    /// Merged with the settings of all users.
    pub(super) settings: Arc<SandboxSettings>,
    /// Given in its table.
    pub(super) given: Layer,
}

/// The members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// These users.
    Users(BTreeSet<User>),
    /// All users of this delegate, whose name is their issuer.
    Delegate(Issuer),
    /// Those whose access token has all of these values.
    Claims(BTreeMap<String, String>),
}

/// The group of a user cannot be known: the token lacks a claim that decides it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the group {group} asks for the claim {claim}, which the token {}", if *.is_malformed {
    "has in a form that is not a text or a list of texts"
} else {
    "lacks or leaves out"
})]
pub struct GroupUnknown {
    /// The group that asks.
    pub group: GroupName,
    /// The claim, as the settings name it.
    pub claim: String,
    /// The token has it, and it cannot be read.
    pub is_malformed: bool,
}

/// A user's access token, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub enum TokenView<'a> {
    /// The user has none: no group by claims is theirs.
    None,
    /// These are its claims.
    Claims(&'a TokenClaims),
    /// The user has one, but it is not here: the operator acts.
    Unseen,
}

impl Groups {
    /// `all`: the settings for all users.
    ///
    /// # Errors
    ///
    /// A value that is not allowed.
    pub(super) fn from_raw(
        raw: Vec<(GroupName, Members, RawGroup)>,
        all: &Layer,
        claim: GroupsClaim,
    ) -> Result<Self, ConfigError> {
        let group = |(name, members, table): (GroupName, Members, RawGroup)| {
            let merged = table.settings.clone().over(all.clone());
            Ok(GroupConfig {
                name,
                members,
                place: table.place,
                settings: Arc::new(SandboxSettings::from_layer(&merged)?),
                given: table.settings,
            })
        };
        Ok(Self {
            list: raw.into_iter().map(group).collect::<Result<_, _>>()?,
            is_claim_optional: claim == GroupsClaim::Optional,
        })
    }

    /// The group of `user`.
    ///
    /// # Errors
    ///
    /// It depends on a claim that cannot be seen.
    pub fn find(
        &self,
        user: &User,
        token: TokenView<'_>,
    ) -> Result<Option<&GroupConfig>, GroupUnknown> {
        for group in &self.list {
            if self.is_member(group, user, token)? {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }

    /// The group of a user who has no access token.
    pub fn without_token(&self, user: &User) -> Option<&GroupConfig> {
        // Without a token no claim is asked for.
        self.find(user, TokenView::None).unwrap_or_default()
    }

    /// The groups in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &GroupConfig> {
        self.list.iter()
    }

    /// The settings of all groups.
    pub(super) fn all(&self) -> impl Iterator<Item = &SandboxSettings> {
        self.list.iter().map(|group| &*group.settings)
    }

    /// What each table gives.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.list.iter().map(|group| &group.given)
    }

    /// Whether `user` is in `group`, whichever group is the first.
    ///
    /// # Errors
    ///
    /// As [`Self::find`].
    pub fn is_member(
        &self,
        group: &GroupConfig,
        user: &User,
        token: TokenView<'_>,
    ) -> Result<bool, GroupUnknown> {
        let claims = match &group.members {
            Members::Users(users) => return Ok(users.contains(user)),
            Members::Delegate(issuer) => return Ok(user.issuer == *issuer),
            Members::Claims(claims) => claims,
        };
        let compare = |(claim, value): (&String, &String)| match token {
            TokenView::None => ClaimMatch::HasNot,
            TokenView::Unseen => ClaimMatch::Missing,
            TokenView::Claims(token) => token.compare(claim, value),
        };
        let compared: Vec<_> = claims.iter().map(compare).collect();
        // A certain one decides, also if others are missing.
        if compared.contains(&ClaimMatch::HasNot) {
            return Ok(false);
        }
        let is_optional = self.is_claim_optional && !matches!(token, TokenView::Unseen);
        let fails = |found: &ClaimMatch| match found {
            ClaimMatch::Has | ClaimMatch::HasNot => false,
            ClaimMatch::Missing => !is_optional,
            ClaimMatch::Malformed => true,
        };
        if let Some(nth) = compared.iter().position(fails) {
            let claim = claims.keys().nth(nth).cloned();
            return Err(GroupUnknown {
                group: group.name.clone(),
                claim: claim.unwrap_or_default(),
                is_malformed: compared[nth] == ClaimMatch::Malformed,
            });
        }
        Ok(compared.iter().all(|found| *found == ClaimMatch::Has))
    }

    /// The group of this name.
    pub fn get(&self, name: &GroupName) -> Option<&GroupConfig> {
        self.list.iter().find(|group| group.name == *name)
    }

    /// The users of all lists.
    pub fn listed_users(&self) -> impl Iterator<Item = &User> {
        let lists = self.list.iter().filter_map(|group| match &group.members {
            Members::Users(users) => Some(users),
            Members::Delegate(_) | Members::Claims(_) => None,
        });
        lists.flatten()
    }

    /// The first group that asks for a claim.
    pub fn by_claims(&self) -> Option<&GroupConfig> {
        let by_claims = |group: &&GroupConfig| matches!(group.members, Members::Claims(_));
        self.list.iter().find(by_claims)
    }

    /// A text that is another one when users may be in other groups. Empty without groups.
    pub fn membership_text(&self) -> String {
        let of = |group: &GroupConfig| format!("{} {:?}\n", group.name, group.members);
        let all: String = self.list.iter().map(of).collect();
        match all.is_empty() {
            true => all,
            false => format!("{all}{}", self.is_claim_optional),
        }
    }
}
