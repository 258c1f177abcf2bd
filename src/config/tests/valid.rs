//! Phase 2: values and their bounds.

use clap::Args;
use proptest::prelude::*;

use super::*;

#[test]
fn nothing_given_is_the_documented_configuration() {
    let config = load(&[], &[("PATH", "/bin"), ("CASEMATE", "x")]).unwrap();
    let expected = Config {
        user: User::local("alice".parse().unwrap()),
        mode: Mode::Persistent,
        image: "casemate-tools:latest".parse().unwrap(),
        instance: "default".parse().unwrap(),
        memory: Bytes(536_870_912),
        cpus: NanoCpus(1_000_000_000),
        pids: 256,
        idle_timeout: Duration::from_secs(900),
        background_ttl: Duration::from_secs(3_600),
        calls_per_user: 16,
        results: Results::Both,
        tools: ToolSet::All,
        warm: true,
        log: "info".to_owned(),
    };
    assert_eq!(config, expected);
}

#[test]
fn the_help_says_the_defaults_and_bounds_that_hold() {
    let mut command = SettingsArgs::augment_args(clap::Command::new("verb")).term_width(0);
    let help = command.render_long_help().to_string();
    let time = humantime::format_duration;
    let range =
        |bounds: Bounds<Duration>| format!("{} to {}", time(bounds.least), time(bounds.most));
    for fact in [
        format!("[default: {}]", limits::IMAGE),
        format!(
            "from {} [default: {}]",
            limits::MEMORY.least,
            limits::MEMORY.default
        ),
        format!(
            "{} to {} [default: {}]",
            limits::CPUS.least,
            limits::CPUS.most,
            limits::CPUS.default
        ),
        format!(
            "{} to {} [default: {}]",
            limits::PIDS.least,
            limits::PIDS.most,
            limits::PIDS.default
        ),
        format!(
            "{} to {} [default: {}]",
            limits::CALLS_PER_USER.least,
            limits::CALLS_PER_USER.most,
            limits::CALLS_PER_USER.default
        ),
        format!(
            "{} [default: {}]",
            range(limits::IDLE_TIMEOUT),
            time(limits::IDLE_TIMEOUT.default)
        ),
        format!(
            "{} [default: {}]",
            range(limits::BACKGROUND_TTL),
            time(limits::BACKGROUND_TTL.default)
        ),
        format!("[default: {}]", limits::LOG),
    ] {
        assert!(help.contains(&fact), "{fact:?} is not in\n{help}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_place_and_its_bounds() {
    assert_eq!(
        refused(&["--memory", "16m"], &[]),
        r#"flag --memory: "16m" is not allowed: it goes from 32m to 1024t"#
    );
    assert_eq!(
        refused(&[], &[("CASEMATE_IDLE_TIMEOUT", "8d")]),
        r#"variable CASEMATE_IDLE_TIMEOUT: "8d" is not allowed: it goes from 1s to 7days"#
    );
    let error = load_file("bad", "cpus = 0.001").unwrap_err().to_string();
    assert!(error.starts_with("key cpus in \""), "{error}");
    assert!(
        error.ends_with(r#".toml": "0.001" is not allowed: it goes from 0.01 to 256"#),
        "{error}"
    );
}

#[test]
fn bounds_are_inclusive_and_firm() {
    for (setting, good, bad) in [
        (Setting::Memory, "32m", "33554431"),
        (Setting::Memory, "1024t", "1025t"),
        (Setting::Cpus, "0.01", "0.009999999"),
        (Setting::Cpus, "256", "256.000000001"),
        (Setting::Pids, "16", "15"),
        (Setting::Pids, "32768", "32769"),
        (Setting::Pids, "32768", "99999999999999999999999"),
        (Setting::IdleTimeout, "1s", "999ms"),
        (Setting::IdleTimeout, "7d", "7d 1ns"),
        (Setting::BackgroundTtl, "7d", "1M"),
        (Setting::CallsPerUser, "1", "0"),
        (Setting::CallsPerUser, "256", "257"),
        (Setting::Mode, "persistent", "Persistent"),
        (Setting::Warm, "on", "yes"),
        (Setting::Results, "both", "json"),
        (Setting::Tools, "core", "four"),
        (Setting::IdleTimeout, "90s", "90"),
        (Setting::Instance, "a_b-c", "A"),
        (Setting::Log, "casemate=debug", "casemate=loud"),
    ] {
        let flag = setting.flag();
        assert!(load(&[&flag, good], &[]).is_ok(), "{flag} {good}");
        let error = load(&[&flag, bad], &[]).unwrap_err();
        assert!(matches!(error, ConfigError::BadValue { .. }), "{error}");
    }
}

#[test]
fn a_mode_that_is_not_there_yet_says_so() {
    for mode in ["bind", "ephemeral"] {
        assert_eq!(
            refused(&["--mode", mode], &[]),
            format!(
                "flag --mode: {mode:?} is not allowed: this mode is not there yet; `persistent` is"
            )
        );
    }
}

#[test]
fn numbers_and_booleans_of_toml_are_taken_and_other_types_are_not() {
    let config = load_file(
        "types",
        "cpus = 0.1\npids = 100\nwarm = false\nmemory = 67108864",
    )
    .unwrap();
    assert_eq!(config.cpus, NanoCpus(100_000_000));
    assert_eq!(config.pids, 100);
    assert!(!config.warm);
    assert_eq!(config.memory, Bytes(64 << 20));

    for content in [
        "memory = [\"1g\"]",
        "[memory]\nmax = 1",
        "memory = 1979-05-27",
    ] {
        let error = load_file("wrong", content).unwrap_err();
        assert!(matches!(error, ConfigError::WrongType { .. }), "{error}");
    }
}

#[test]
fn an_os_user_that_is_no_subject_is_told_what_to_set() {
    let mut environment = environment(&[]);
    environment.os_user = "a\u{7f}".to_owned();
    let error = Config::load(SettingsArgs::default(), &environment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "name of the OS user (set CASEMATE_USER): \"a\\u{7f}\" is not allowed: \
         the subject contains the control character U+007F"
    );
}

#[test]
fn an_error_repeats_little_of_a_long_value_and_escapes_it() {
    let long = "\u{1b}[2J".to_owned() + &"é".repeat(10_000);
    let error = refused(&["--memory", &long], &[]);
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
}

proptest! {
    #[test]
    fn no_value_panics_and_what_is_accepted_is_in_its_bounds(text: String, index in 0..Setting::ALL.len()) {
        let setting = Setting::ALL[index];
        if let Ok(config) = load(&[], &[(&setting.variable(), &text)]) {
            prop_assert!(limits::MEMORY.contains(&config.memory));
            prop_assert!(limits::CPUS.contains(&config.cpus));
            prop_assert!(limits::PIDS.contains(&config.pids));
            prop_assert!(limits::IDLE_TIMEOUT.contains(&config.idle_timeout));
            prop_assert!(limits::BACKGROUND_TTL.contains(&config.background_ttl));
        }
    }
}
