//! Phase 1: names, places and their order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use super::*;

#[test]
fn every_setting_has_its_flag() {
    let command = SettingsArgs::augment_args(clap::Command::new("verb"));
    let mut flags: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let mut known = Setting::ALL.map(Setting::flag).to_vec();
    known.push("--config".to_owned());
    flags.sort();
    known.sort();
    assert_eq!(flags, known);
}

/// A value for each setting that is not its default.
const OTHER: [(Setting, &str); 13] = [
    (Setting::User, "bob"),
    (Setting::Image, "debian:12"),
    (Setting::Instance, "ci"),
    (Setting::Memory, "1g"),
    (Setting::Cpus, "1.5"),
    (Setting::Pids, "100"),
    (Setting::IdleTimeout, "1h 30m"),
    (Setting::BackgroundTtl, "0s"),
    (Setting::CallsPerUser, "2"),
    (Setting::Results, "text"),
    (Setting::Tools, "core"),
    (Setting::Warm, "off"),
    (Setting::Log, "warn,casemate=debug"),
];

#[test]
fn every_setting_is_the_same_as_flag_variable_and_key() {
    for (setting, value) in OTHER {
        let by_flag = load(&[&setting.flag(), value], &[]).unwrap();
        let by_variable = load(&[], &[(&setting.variable(), value)]).unwrap();
        let line = format!("{} = {value:?}", setting.key());
        let by_key = load_file(setting.key(), &line).unwrap();
        assert_ne!(by_flag, load(&[], &[]).unwrap(), "{setting:?}");
        assert_eq!(by_flag, by_variable);
        assert_eq!(by_flag, by_key);
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = TempFile::new("order", "memory = \"1g\"\npids = 100\ncpus = 2\n");
    let path = file.0.to_str().unwrap();
    let variables = [
        ("CASEMATE_CONFIG", path),
        ("CASEMATE_MEMORY", "2g"),
        ("CASEMATE_PIDS", "200"),
    ];
    let config = load(&["--memory", "3g"], &variables).unwrap();
    assert_eq!(config.memory, Bytes(3 << 30));
    assert_eq!(config.pids, 200);
    assert_eq!(config.cpus, NanoCpus(2_000_000_000));
}

#[test]
fn the_file_of_the_flag_is_read_and_the_one_of_the_variable_is_not() {
    let file = TempFile::new("chosen", "pids = 100");
    let flags = ["--config", file.0.to_str().unwrap()];
    let config = load(&flags, &[("CASEMATE_CONFIG", "/nonexistent")]).unwrap();
    assert_eq!(config.pids, 100);
}

#[test]
fn an_empty_variable_is_as_if_not_set() {
    let variables = [
        ("CASEMATE_MEMORY", ""),
        ("CASEMATE_CONFIG", ""),
        ("CASEMATE_NEW", ""),
    ];
    assert_eq!(load(&[], &variables).unwrap(), load(&[], &[]).unwrap());
    // A flag is said on purpose.
    assert_eq!(
        refused(&["--user", ""], &[]),
        r#"flag --user: "" is not allowed: the subject is blank"#
    );
}

#[test]
fn a_value_that_lost_is_not_judged() {
    assert!(load(&["--pids", "99"], &[("CASEMATE_PIDS", "many")]).is_ok());
}

#[test]
fn an_unknown_variable_is_named_with_the_nearest_known_one() {
    for (name, nearest) in [
        ("CASEMATE_MEMROY", "CASEMATE_MEMORY"),
        ("CASEMATE_IDLETIMEOUT", "CASEMATE_IDLE_TIMEOUT"),
        ("CASEMATE_cpus", "CASEMATE_CPUS"),
        ("CASEMATE_CONF", "CASEMATE_CONFIG"),
        ("CASEMATE_LOGS", "CASEMATE_LOG"),
    ] {
        assert_eq!(
            refused(&[], &[(name, "1")]),
            format!("unknown variable {name:?}; the nearest known one is {nearest}")
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    for (key, nearest) in [
        ("idle-timeout", "idle_timeout"),
        ("Memory", "memory"),
        ("pid", "pids"),
    ] {
        let error = load_file("unknown", &format!("{key} = 1"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("unknown key {key:?} in ")),
            "{error}"
        );
        assert!(
            error.ends_with(&format!("nearest known one is {nearest}")),
            "{error}"
        );
    }
    // What comes with later versions is not taken for something else.
    assert!(load_file("later", "[users.bob]\nmode = \"bind\"").is_err());
    assert!(load(&[], &[("CASEMATE_BIND_ROOT", "/srv")]).is_err());
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    assert_eq!(
        refused(&["--config", "/nonexistent/a.toml"], &[]),
        "cannot read the settings file \"/nonexistent/a.toml\""
    );
    let error = load_file("syntax", "pids = 100\n\nmemory = \n")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("line 3 of \""), "{error}");
    let error = load_file("twice", "pids = 100\npids = 100\n")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("line 2 of \""), "{error}");

    let big = TempFile::new("big", "#".repeat(1 << 20) + "\n");
    let latin = TempFile::new("latin", b"user = \"\xe9\"");
    for file in [big, latin] {
        let error = load(&["--config", file.0.to_str().unwrap()], &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn a_value_that_is_not_text_is_refused_by_name() {
    let bytes: OsString = OsStr::from_bytes(b"\xff").to_owned();
    let args = SettingsArgs {
        user: Some(bytes.clone()),
        ..SettingsArgs::default()
    };
    let error = Config::load(args, &environment(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flag --user: the value is not valid UTF-8"
    );

    let mut environment = environment(&[]);
    environment.variables.insert("CASEMATE_USER".into(), bytes);
    let error = Config::load(SettingsArgs::default(), &environment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "variable CASEMATE_USER: the value is not valid UTF-8"
    );
}
