//! The settings as flags, made from their table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::setting::{Group, Setting};

/// The flag that names the settings file.
pub const CONFIG_FLAG: &str = "config";

/// Below the list of flags.
const UNITS: &str = "\
A SIZE is a whole number of b, k, m, g or t (powers of 1024), such as 512m. A DURATION has units, \
such as 90s or 1h 30m.

Every setting has three names: --idle-timeout is CASEMATE_IDLE_TIMEOUT in the environment and \
idle_timeout in the file. A flag goes before the environment, the environment before the file, \
the file before the default.";

/// The settings as flags of a verb; flatten it into the verb's own arguments. Values are any bytes:
/// phase 1 says which one is not text.
#[derive(Debug, Clone, Default)]
pub struct SettingsArgs {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// What was given.
    pub given: BTreeMap<Setting, OsString>,
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        command
            .arg(config())
            .args(Setting::ALL.iter().map(|&setting| argument(setting)))
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
        for &setting in Setting::ALL {
            if let Some(value) = matches.get_one::<OsString>(setting.key()) {
                self.given.insert(setting, value.clone());
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
