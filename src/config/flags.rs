//! The settings as flags, made from their table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::setting::{self, Group, OLD_KEYS, Setting};

/// The flag that names the settings file.
pub const CONFIG_FLAG: &str = "config";

/// Below the list of flags.
const UNITS: &str = "\
A SIZE is a whole number of b, k, m, g or t (powers of 1024), such as 512m. A DURATION has units, \
such as 90s or 1h 30m.

Every setting has three names: --idle-timeout is CASEMATE_IDLE_TIMEOUT in the environment and \
idle_timeout in the file. A flag overrides the environment, the environment the file, and the \
file the default.";

/// The settings as flags of a verb; flatten it into the verb's arguments. Values are any bytes:
/// phase 1 refuses those that are not UTF-8.
#[derive(Debug, Clone, Default)]
pub struct SettingsArgs {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// The given values, by key.
    pub given: BTreeMap<&'static str, OsString>,
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        // A verb about other users and workspaces has a flag of that name for them.
        let has_own = |setting: &&Setting| {
            let flag = setting.flag();
            command
                .get_arguments()
                .any(|own| own.get_long() == Some(&flag))
        };
        let settings: Vec<_> = Setting::ALL
            .iter()
            .filter(|setting| !has_own(setting))
            .collect();
        command
            .arg(config())
            .args(settings.into_iter().map(|&setting| argument(setting)))
            .args(OLD_KEYS.iter().map(|&(key, _)| old_argument(key)))
            .after_help(UNITS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(path) = matches.get_one::<PathBuf>(CONFIG_FLAG) {
            self.config = Some(path.clone());
        }
        let old = OLD_KEYS.iter().map(|&(key, _)| key);
        for key in Setting::ALL.iter().map(|setting| setting.key()).chain(old) {
            // Unknown where the verb's own flag is in its place.
            if let Ok(Some(value)) = matches.try_get_one::<OsString>(key) {
                self.given.insert(key, value.clone());
            }
        }
        Ok(())
    }
}

fn config() -> Arg {
    Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML file with settings (else CASEMATE_CONFIG)")
        .help_heading(Group::Server.heading())
}

fn argument(setting: Setting) -> Arg {
    let spec = setting.spec();
    let mut help = spec.what.to_owned();
    if let Some(range) = spec.value_kind.range() {
        help += &format!(" ({range})");
    }
    if let Some(default) = spec.value_kind.default() {
        help += &format!(" [default: {default}]");
    }
    Arg::new(setting.key())
        .long(setting.flag())
        .value_name(spec.value_kind.placeholder())
        .value_parser(value_parser!(OsString))
        // So that phase 2 refuses it, with the setting's bounds.
        .allow_negative_numbers(true)
        .help(help)
        .help_heading(spec.group.heading())
}

/// A flag under its old name: it works, and the help does not show it.
fn old_argument(key: &'static str) -> Arg {
    Arg::new(key)
        .long(setting::flag(key))
        .value_parser(value_parser!(OsString))
        .allow_negative_numbers(true)
        .hide(true)
}
