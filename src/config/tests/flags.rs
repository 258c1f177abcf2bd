//! The flags and their help, both made from the table.

use clap::Args;

use super::*;

#[test]
fn every_setting_has_its_flag() {
    let command = SettingsArgs::augment_args(clap::Command::new("verb"));
    let mut flags: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    let mut known: Vec<_> = Setting::ALL.iter().map(|setting| setting.flag()).collect();
    known.extend(["config", "disk-floor"].map(str::to_owned));
    flags.sort();
    known.sort();
    assert_eq!(flags, known);
}

#[test]
fn the_help_has_a_line_for_every_setting_below_the_heading_of_its_group() {
    let mut command = SettingsArgs::augment_args(clap::Command::new("verb")).term_width(0);
    let help = command.render_help().to_string();
    for &setting in Setting::ALL {
        let spec = setting.spec();
        let heading = format!("\n{}:\n", spec.group.heading());
        let (_, group) = help.split_once(&heading).expect("its heading");
        let (group, _) = group.split_once("\n\n").unwrap_or((group, ""));
        let start = format!("--{} <{}>", setting.flag(), spec.value_kind.placeholder());
        let line = group
            .lines()
            .find(|line| line.trim_start().starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("{start:?} is not in\n{group}"));
        let range = spec.value_kind.range().map(|range| format!("({range})"));
        let default = spec
            .value_kind
            .default()
            .map(|default| format!("[default: {default}]"));
        for fact in [Some(spec.what.to_owned()), range, default]
            .into_iter()
            .flatten()
        {
            assert!(line.contains(&fact), "{fact:?} is not in {line:?}");
        }
    }
}

#[test]
fn the_help_reads_like_this() {
    let mut command = SettingsArgs::augment_args(clap::Command::new("verb")).term_width(0);
    let help = command.render_help().to_string();
    for part in [
        "--memory <SIZE>                 Memory, swap included (32m to 1024t) [default: 512m]\n",
        "--idle-timeout <DURATION>       How long an idle sandbox stays (1s to 7days) [default: 15m]\n",
        "--bind-dir <DIR>                          Mode bind over stdio: exactly the directory to use\n",
        "A SIZE is a whole number of b, k, m, g or t",
    ] {
        assert!(help.contains(part), "{part:?} is not in\n{help}");
    }
}
