//! Finds the user that a name on the command line means.
//!
//! The same name at two issuers is two users, and people rarely know the issuer. So a bare name
//! means the only existing user of that name.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::engine::{Engine, EngineError, labels};
use crate::identity::{Instance, Issuer, Subject, User, WorkspaceHash, WorkspaceId};
use crate::provision::{SHARED_ISSUER, owner};

/// Why a name does not identify a user.
#[derive(Debug, Error)]
pub enum UserError {
    /// No user has this name.
    #[error("there is no user {name:?} {place}{}", at(.issuer.as_ref()))]
    Unknown {
        /// The name.
        name: String,
        /// The issuer that was asked for.
        issuer: Option<String>,
        /// Where users were searched, with its preposition.
        place: String,
    },
    /// Several users have this name.
    #[error(
        "{name:?} is a name at {} issuers: {}; choose one with --issuer",
        .issuers.len(), .issuers.join(", ")
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// The issuers that have it.
        issuers: Vec<String>,
    },
}

fn at(issuer: Option<&String>) -> String {
    issuer.map_or_else(String::new, |issuer| format!(" of the issuer {issuer:?}"))
}

/// The user among `known` that `name` means. `place` says where they are from: "in instance x".
///
/// # Errors
/// No such user, or several without `issuer`.
pub fn resolve(
    name: &Subject,
    issuer: Option<&Issuer>,
    known: impl IntoIterator<Item = User>,
    place: &str,
) -> Result<User, UserError> {
    let fits =
        |user: &User| user.subject == *name && issuer.is_none_or(|issuer| user.issuer == *issuer);
    let found: BTreeSet<User> = known.into_iter().filter(fits).collect();
    let shown = || name.as_str().to_owned();
    let issuers = found.iter().map(|user| user.issuer.as_str().to_owned());
    let issuers: Vec<String> = issuers.collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(user), None) => Ok(user),
        (None, _) => Err(UserError::Unknown {
            name: shown(),
            issuer: issuer.map(|issuer| issuer.as_str().to_owned()),
            place: place.to_owned(),
        }),
        (Some(_), Some(_)) => Err(UserError::Ambiguous {
            name: shown(),
            issuers,
        }),
    }
}

/// The users of this name that have a container or a volume in the instance. The helper container of
/// a share is no user's.
///
/// # Errors
/// The Engine's.
pub async fn on_engine(
    engine: &Engine,
    instance: &Instance,
    name: &Subject,
) -> Result<Vec<User>, EngineError> {
    let filter = [
        (labels::INSTANCE, instance.as_str()),
        (labels::USER, name.as_str()),
    ];
    let containers = engine.list_containers(&filter).await?;
    let volumes = engine.list_volumes(&filter).await?;
    let containers = containers.into_iter().map(|row| row.labels);
    let labels = containers.chain(volumes.into_iter().map(|row| row.labels));
    let users = labels.filter_map(|labels| Some(owner(&labels)?.user));
    Ok(users
        .filter(|user| user.issuer.as_str() != SHARED_ISSUER)
        .collect())
}

/// Whether this workspace has a container or a volume in the instance.
///
/// # Errors
/// The Engine's.
pub async fn has_workspace(
    engine: &Engine,
    instance: &Instance,
    workspace: &WorkspaceId,
) -> Result<bool, EngineError> {
    let filter = labels::user_filter(instance, &workspace.user);
    let volumes = engine.list_volumes(&filter).await?;
    // In bind mode a workspace is a directory.
    let containers = engine.list_containers(&filter).await?;
    let volumes = volumes.iter().map(|row| &row.labels);
    let mut labels = volumes.chain(containers.iter().map(|row| &row.labels));
    Ok(labels.any(|labels| owner(labels).as_ref() == Some(workspace)))
}

/// The workspace with this hash that has a container or a volume in the instance.
///
/// # Errors
/// The Engine's.
pub async fn with_hash(
    engine: &Engine,
    instance: &Instance,
    hash: &WorkspaceHash,
) -> Result<Option<WorkspaceId>, EngineError> {
    let filter = [(labels::INSTANCE, instance.as_str())];
    let volumes = engine.list_volumes(&filter).await?.into_iter();
    let mut owners = volumes.filter_map(|row| owner(&row.labels));
    if let Some(found) = owners.find(|owner| owner.hash() == *hash) {
        return Ok(Some(found));
    }
    // In bind mode a workspace is a directory.
    let containers = engine.list_containers(&filter).await?.into_iter();
    let mut owners = containers.filter_map(|row| owner(&row.labels));
    Ok(owners.find(|owner| owner.hash() == *hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(issuer: &str, subject: &str) -> User {
        User {
            issuer: issuer.parse().unwrap(),
            subject: subject.parse().unwrap(),
        }
    }

    fn meant(name: &str, issuer: Option<&str>) -> Result<User, String> {
        let known = [
            user("local", "ada"),
            user("local", "ada"),
            user("local", "bob"),
            user("https://id.example.com", "bob"),
            user("https://id.example.com", "eve@example.com"),
        ];
        let issuer = issuer.map(|issuer| issuer.parse().unwrap());
        let name = name.parse().unwrap();
        resolve(&name, issuer.as_ref(), known, "in instance x").map_err(|error| error.to_string())
    }

    #[test]
    fn a_bare_name_is_the_only_user_of_that_name() {
        assert_eq!(meant("ada", None), Ok(user("local", "ada")));
        let eve = user("https://id.example.com", "eve@example.com");
        assert_eq!(meant("eve@example.com", None), Ok(eve));
        assert_eq!(meant("bob", Some("local")), Ok(user("local", "bob")));
    }

    #[test]
    fn several_are_listed_and_nobody_is_invented() {
        assert_eq!(
            meant("bob", None).unwrap_err(),
            "\"bob\" is a name at 2 issuers: https://id.example.com, local; choose one with --issuer"
        );
        assert_eq!(
            meant("ghost", None).unwrap_err(),
            "there is no user \"ghost\" in instance x"
        );
        assert_eq!(
            meant("ada", Some("https://id.example.com")).unwrap_err(),
            "there is no user \"ada\" in instance x of the issuer \"https://id.example.com\""
        );
    }
}
