//! The checks of `[[groups]]` tables, before their settings are looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::Members;
use crate::config::error::{ConfigError, Excerpt};
use crate::config::layer::{RawGroup, RawMembers, RawValue};
use crate::config::origin::FileLocation;
use crate::config::setting::Setting;
use crate::identity::{GroupName, Issuer, User};

/// The tables with their names and members, in the order of the file.
///
/// # Errors
///
/// Text that is no name or no user, a name that two groups have, or a user in two lists.
pub fn identify(raw: Vec<RawGroup>) -> Result<Vec<(GroupName, Members, RawGroup)>, ConfigError> {
    let mut names: BTreeMap<GroupName, usize> = BTreeMap::new();
    let mut users = ListedUsers::default();
    let mut is_after_claims = false;
    let identify = |table: RawGroup| {
        let name: GroupName = table.name.parse(|text| Ok(text.parse()?))?;
        if let Some(line) = names.insert(name.clone(), table.place.line) {
            let problem = format!("{name} has a [[groups]] table already, in line {line}");
            return Err(ConfigError::file(&table.place, problem));
        }
        let members = match &table.members {
            RawMembers::Users {
                issuer,
                users: list,
            } => {
                let users = users.add(issuer.as_ref(), list)?;
                let local = Issuer::local();
                if is_after_claims && users.iter().any(|user| user.issuer != local) {
                    reject_mode(&table, "put this group before those with claims")?;
                }
                Members::Users(users)
            }
            RawMembers::Delegate(delegate) => Members::Delegate(delegate_issuer(delegate)?),
            RawMembers::Claims(claims) => {
                reject_mode(&table, "leave it out of a group with claims")?;
                is_after_claims = true;
                Members::Claims(claims.clone())
            }
        };
        Ok((name, members, table))
    };
    raw.into_iter().map(identify).collect()
}

/// The users of all lists so far, with the line of each.
#[derive(Default)]
struct ListedUsers(BTreeMap<User, FileLocation>);

impl ListedUsers {
    fn add(
        &mut self,
        issuer: Option<&RawValue>,
        list: &[(RawValue, FileLocation)],
    ) -> Result<BTreeSet<User>, ConfigError> {
        let issuer = match issuer {
            Some(given) => given.parse(|text| Ok(text.parse()?))?,
            None => Issuer::local(),
        };
        let user = |(subject, place): &(RawValue, FileLocation)| {
            let subject = subject.parse(|text| Ok(text.parse()?))?;
            let issuer = issuer.clone();
            let user = User { issuer, subject };
            if let Some(other) = self.0.insert(user.clone(), place.clone()) {
                let problem = format!(
                    "{user} is in the list of a group already, in line {}",
                    other.line
                );
                return Err(ConfigError::file(place, problem));
            }
            Ok(user)
        };
        list.iter().map(user).collect()
    }
}

/// A delegate is named by its token, whose names are as those of groups, except `local`.
fn delegate_issuer(given: &RawValue) -> Result<Issuer, ConfigError> {
    let name: Result<GroupName, _> = given.value.parse();
    let issuer = name.ok().and_then(|name| name.as_str().parse().ok());
    issuer
        .filter(|issuer| *issuer != Issuer::local())
        .ok_or_else(|| {
            let shown = Excerpt::of(&given.value);
            let problem = format!("{shown} is not the name of a delegate's token");
            ConfigError::setting(&given.origin, problem)
        })
}

/// The operator's verbs have no token, and must find the workspace.
fn reject_mode(table: &RawGroup, next: &str) -> Result<(), ConfigError> {
    let Some(mode) = table.settings.get(Setting::Mode) else {
        return Ok(());
    };
    let problem =
        format!("the mode says where the workspace is, which no token may decide: {next}");
    Err(ConfigError::setting(&mode.origin, problem))
}
