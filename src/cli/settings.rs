//! `casemate settings`: the settings of one user's sandbox, and where each is from. No server and no
//! Engine is asked.

use std::io::Write as _;

use serde::Serialize;

use super::identity_args::IdentityArgs;
use super::{setup, table};
use crate::cli::json;
use crate::config::{
    Config, EffectiveSetting, GroupConfig, Members, ProcessEnvironment, Setting, SettingsArgs,
    TokenView,
};
use crate::identity::Identity;

/// Flags of `settings`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Print JSON: an object with the user, the groups and the settings.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Serialize)]
struct SettingsReport {
    user: String,
    issuer: String,
    group: Option<MatchedGroup>,
    /// Those that matched too, in the order of the file.
    other_groups: Vec<MatchedGroup>,
    settings: Vec<SettingRow>,
}

/// A group, and what makes the user one of it.
#[derive(Debug, Serialize)]
struct MatchedGroup {
    name: String,
    /// `users`, `delegate` or `claims`.
    by: &'static str,
    from: String,
}

#[derive(Debug, Serialize)]
struct SettingRow {
    key: &'static str,
    /// `None`: it has no default.
    value: Option<String>,
    from: String,
}

/// Prints the settings that a server that starts now has for this user.
///
/// # Errors
/// A wrong setting, a name at several issuers, or a group that depends on the token.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let identity = args.identity.resolve(&config)?;
    let claims = args.identity.claims();
    let view = match args.identity.has_claims() {
        true => TokenView::Claims(&claims),
        false => config.operators_view(&identity.user),
    };
    let report = SettingsReport::new(&config, &identity, view);
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &report)?;
    } else {
        write!(out, "{}", report.text())?;
    }
    Ok(())
}

impl SettingsReport {
    fn new(config: &Config, identity: &Identity, view: TokenView<'_>) -> Self {
        let groups = &config.groups;
        let is_in_force = |group: &&GroupConfig| Some(&group.name) == identity.group.as_ref();
        // A group whose condition is not certain did not match.
        let matches = |group: &&GroupConfig| {
            groups
                .is_member(group, &identity.user, view)
                .unwrap_or(false)
        };
        let others = groups.iter().filter(|group| !is_in_force(group));
        // These two have another name in the table of a user.
        let renamed = [Setting::EgressAllow, Setting::SharedData];
        let may_differ =
            |it: &EffectiveSetting| it.setting.is_per_user() || renamed.contains(&it.setting);
        let in_force = config.in_force(identity).into_iter().filter(may_differ);
        Self {
            user: identity.user.subject.as_str().to_owned(),
            issuer: identity.user.issuer.as_str().to_owned(),
            group: groups.iter().find(is_in_force).map(MatchedGroup::of),
            other_groups: others.filter(matches).map(MatchedGroup::of).collect(),
            settings: in_force.map(SettingRow::of).collect(),
        }
    }

    fn text(&self) -> String {
        let user = [self.user.as_str(), self.issuer.as_str()].map(crate::identity::shown);
        let mut text = format!("user     {}, issuer {}\n", user[0], user[1]);
        text += &match &self.group {
            Some(group) => format!("group    {}\n", group.text()),
            None => "group    none\n".to_owned(),
        };
        for other in &self.other_groups {
            text += &format!("also in  {}: not in force\n", other.text());
        }
        let rows = self.settings.iter().map(SettingRow::cells);
        format!(
            "{text}\n{}",
            table::align(["SETTING", "VALUE", "FROM"], rows)
        )
    }
}

impl MatchedGroup {
    fn of(group: &GroupConfig) -> Self {
        Self {
            name: group.name.as_str().to_owned(),
            by: match group.members {
                Members::Users(_) => "users",
                Members::Delegate(_) => "delegate",
                Members::Claims(_) => "claims",
            },
            from: group.place.to_string(),
        }
    }

    fn text(&self) -> String {
        format!("{}, by {}, {}", self.name, self.by, self.from)
    }
}

impl SettingRow {
    fn of(setting: EffectiveSetting) -> Self {
        Self {
            key: setting.setting.key(),
            value: setting.value,
            from: setting.origin.to_string(),
        }
    }

    fn cells(&self) -> [String; 3] {
        let value = self.value.clone().unwrap_or_else(|| "-".to_owned());
        [self.key.to_owned(), value, self.from.clone()]
    }
}
