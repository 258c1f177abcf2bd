//! The arguments that name a user, and what gives the user a group.

use anyhow::Context as _;

use super::user_args::UserArgs;
use crate::config::{Config, GroupConfig, TokenClaims, TokenView};
use crate::identity::{GroupName, Identity, Issuer, User};

/// What to add where the settings alone do not give the group.
pub const GROUP_HINT: &str = "the user's group depends on the access token; name it with --group";

/// Which user, with which group.
#[derive(Debug, clap::Args)]
pub struct IdentityArgs {
    #[command(flatten)]
    user: UserArgs,
    /// A claim of the user's access token, for groups by claims; may be given several times.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, String)>,
    /// The group, instead of the one that the settings give.
    #[arg(long, value_name = "NAME", conflicts_with = "claims")]
    group: Option<GroupName>,
}

fn claim(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a claim is NAME=VALUE"),
    }
}

impl IdentityArgs {
    /// By the settings alone: the user need not exist. Without an issuer it is a local one, unless
    /// the settings name the same user at another issuer.
    ///
    /// # Errors
    /// A name at several issuers, an unknown group, or a group that depends on the token.
    pub fn resolve(&self, config: &Config) -> anyhow::Result<Identity> {
        let issuer = self.user.issuer().cloned().unwrap_or_else(Issuer::local);
        let subject = self.user.name().clone();
        let known = config
            .named_users()
            .cloned()
            .chain([User { issuer, subject }]);
        let user = self
            .user
            .resolve_among(known.collect(), "in the settings")?;
        if let Some(group) = &self.group {
            return in_group(config, user, group);
        }
        if self.claims.is_empty() {
            let named = config.named_by_operator(user);
            return named.context("add --claim NAME=VALUE as in the access token, or --group NAME");
        }
        let claims = self.claims();
        let group = config.groups.find(&user, TokenView::Claims(&claims))?;
        let group = group.map(|group| group.name.clone());
        Ok(Identity {
            group,
            ..Identity::from(user)
        })
    }

    /// The claims that were given.
    pub fn claims(&self) -> TokenClaims {
        self.claims.iter().cloned().collect()
    }

    /// Whether any were.
    pub fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }
}

/// `user` in the group of this name.
///
/// # Errors
/// The settings have no such group.
pub fn in_group(config: &Config, user: User, group: &GroupName) -> anyhow::Result<Identity> {
    let group = Some(find_group(config, group)?.name.clone());
    Ok(Identity {
        group,
        ..Identity::from(user)
    })
}

/// The group of this name.
///
/// # Errors
/// The settings have no such group.
pub fn find_group<'a>(config: &'a Config, name: &GroupName) -> anyhow::Result<&'a GroupConfig> {
    config.groups.get(name).with_context(|| {
        let known: Vec<_> = config.groups.iter().map(|it| it.name.as_str()).collect();
        let known = known.join(", ");
        format!("the settings have no group {name}; they have: {known}")
    })
}
