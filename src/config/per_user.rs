//! What counts for one user: the group, the settings, and where each is from.

use std::sync::Arc;

use super::groups::{GroupConfig, GroupUnknown, TokenView};
use super::http::Auth;
use super::layer::Layer;
use super::origin::Origin;
use super::sandbox::SandboxSettings;
use super::setting::Setting;
use super::{Config, RuleLayer};
use crate::identity::{Identity, User};

/// A setting with the value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Which.
    pub setting: Setting,
    /// As given, or the default in words; `None`: it has no default.
    pub value: Option<String>,
    /// Where the value is from.
    pub origin: Origin,
}

impl Config {
    /// The settings of this user's sandbox: the user's own values, then those of the group, then
    /// those of everybody.
    pub fn for_identity(&self, identity: &Identity) -> Arc<SandboxSettings> {
        let group = self.group_of(identity);
        match (self.users.given(&identity.user), group) {
            (Some(_), Some(_)) => {
                let merged = SandboxSettings::from_layer(&self.layer_of(identity));
                // Each value was checked at the start, and none depends on another.
                Arc::new(merged.expect("values that are valid one by one"))
            }
            (Some(_), None) => self
                .users
                .settings(&identity.user)
                .unwrap_or(&self.sandbox)
                .clone(),
            (None, Some(group)) => group.settings.clone(),
            (None, None) => self.sandbox.clone(),
        }
    }

    /// The group, if the settings have it.
    fn group_of(&self, identity: &Identity) -> Option<&GroupConfig> {
        self.groups.get(identity.group.as_ref()?)
    }

    /// The values given for this user: of each setting the nearest.
    fn layer_of(&self, identity: &Identity) -> Layer {
        let group = self.group_of(identity).map(|group| &group.given);
        let own = self.users.given(&identity.user);
        let nearer = [group, own].into_iter().flatten().cloned();
        nearer.fold(self.given.clone(), |below, layer| layer.over(below))
    }

    /// A user who has no access token: with auth `none` and `tokens`, and over stdio.
    pub fn without_token(&self, user: User) -> Identity {
        let group = self.groups.without_token(&user);
        let group = group.map(|group| group.name.clone());
        Identity { user, group }
    }

    /// A user that the operator names. The users of the issuer of access tokens have one, which is
    /// not here.
    ///
    /// # Errors
    ///
    /// The group depends on the token.
    pub fn named_by_operator(&self, user: User) -> Result<Identity, GroupUnknown> {
        let group = self.groups.find(&user, self.operators_view(&user))?;
        let group = group.map(|group| group.name.clone());
        Ok(Identity { user, group })
    }

    /// The users that the settings name: in a table `[[users]]`, or in the list of a group.
    pub fn named_users(&self) -> impl Iterator<Item = &User> {
        self.users.names().chain(self.groups.listed_users())
    }

    /// What an operator who names `user` knows of the user's token.
    pub fn operators_view(&self, user: &User) -> TokenView<'static> {
        match &self.http.auth {
            Auth::Jwt(jwt) if jwt.issuer == user.issuer => TokenView::Unseen,
            _ => TokenView::None,
        }
    }

    /// Where a rule in force for this user was given.
    pub fn egress_origin(&self, identity: &Identity, layer: RuleLayer) -> Origin {
        let given = match layer {
            RuleLayer::Everybody => None,
            RuleLayer::Group => self.group_of(identity).map(|group| &group.given),
            RuleLayer::User => self.users.given(&identity.user),
        };
        given.unwrap_or(&self.given).origin(Setting::EgressAllow)
    }

    /// All settings in force for this user, in the order of [`Setting::ALL`].
    pub fn in_force(&self, identity: &Identity) -> Vec<EffectiveSetting> {
        let layer = self.layer_of(identity);
        let in_force = |&setting: &Setting| match layer.get(setting) {
            Some(given) => EffectiveSetting {
                setting,
                value: Some(match setting {
                    // A user's list may be added to that of the group, and that to everybody's.
                    Setting::EgressAllow => self.egress.excerpt(identity),
                    _ => given.value.clone(),
                }),
                origin: given.origin.clone(),
            },
            None => EffectiveSetting {
                setting,
                value: setting.spec().value_kind.default(),
                origin: Origin::Default,
            },
        };
        Setting::ALL.iter().map(in_force).collect()
    }
}
