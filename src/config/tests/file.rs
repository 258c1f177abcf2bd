//! The settings file: TOML's types, keys that are not known, invalid files.

use proptest::prelude::*;

use super::*;

fn error(content: impl AsRef<[u8]>) -> String {
    let file = TempFile::new("error", content);
    let error = load(&["--config", file.path()], &[])
        .unwrap_err()
        .to_string();
    error.replace(&format!("{:?}", file.0), "FILE")
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    for (key, nearest) in [
        ("idle-timeout", "idle_timeout"),
        ("Memory", "memory"),
        ("pid", "pids"),
        ("user-s", "users"),
        ("bind_directory", "bind_dir"),
    ] {
        assert_eq!(
            error(format!("# a comment\n\nwarm = true\n{key} = 1\nother = 1")),
            format!("unknown key {key:?} in line 4 of FILE; the nearest known one is {nearest}")
        );
    }
}

#[test]
fn the_topmost_error_is_told_first() {
    for (content, key, line) in [
        ("zzz = 1\naaa = 1", "zzz", 1),
        ("aaa = 1\nzzz = 1", "aaa", 1),
        ("pids = 99\nzzz.aaa = 1", "zzz", 2),
        ("[zzz]\naaa = 1", "zzz", 1),
    ] {
        let error = error(content);
        let start = format!("unknown key {key:?} in line {line} of FILE");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn a_key_of_any_length_is_answered_shortly() {
    let key = "é".repeat(400_000);
    let error = error(format!("\"{key}\" = 1"));
    assert!(error.len() < 400, "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    assert_eq!(
        refused(&["--config", "/nonexistent/a.toml"], &[]),
        "cannot read the settings file \"/nonexistent/a.toml\""
    );
    for (content, start) in [
        ("pids = 100\n\nmemory = \n", "line 3 of FILE: "),
        ("pids = 100\npids = 100\n", "line 2 of FILE: duplicate key"),
        (
            "[[users]]\nuser = \"a\"\n[users]\n",
            "line 3 of FILE: duplicate key",
        ),
    ] {
        let error = error(content);
        assert!(error.starts_with(start), "{error}");
    }
    for content in [
        &b"user = \"\xe9\""[..],
        "#".repeat((1 << 20) + 1).as_bytes(),
    ] {
        assert_eq!(error(content), "cannot read the settings file FILE");
    }
}

#[test]
fn numbers_and_booleans_are_taken_as_their_text() {
    let content = "cpus = 0.1\npids = 0x1_00\nwarm = false\nmemory = 67_108_864\n\
                   calls_per_user = +8\nmin_free_disk = 0\nuser = 7";
    let config = load_file("types", content).unwrap();
    assert_eq!(config.sandbox.cpus, NanoCpus(100_000_000));
    assert_eq!(config.sandbox.pids, 256);
    assert!(!config.warm);
    assert_eq!(config.sandbox.memory, Bytes(64 << 20));
    assert_eq!(config.sandbox.calls_per_user, 8);
    assert_eq!(config.min_free_disk, Bytes(0));
    assert_eq!(config.user, local("7"));

    let config = load_file("floats", "cpus = +1_0.5\nwarm = true").unwrap();
    assert_eq!(config.sandbox.cpus, NanoCpus(10_500_000_000));
    assert!(config.warm);
}

#[test]
fn numbers_that_a_setting_does_not_take_are_errors_like_others() {
    for (content, reason) in [
        (
            "pids = -5",
            "\"-5\" is not allowed: a whole number is needed",
        ),
        (
            "pids = 1e3",
            "\"1e3\" is not allowed: a whole number is needed",
        ),
        ("pids = 99999999999999999999", "it goes from 16 to 32768"),
        ("cpus = nan", "a number of CPUs has at most 9 decimals"),
        (
            "idle_timeout = 900",
            "a duration has a unit, such as 90s or 15m",
        ),
        ("memory = true", "a size is a whole number of"),
    ] {
        let error = error(content);
        assert!(error.contains(reason), "{content}: {error}");
    }
}

#[test]
fn other_types_are_refused_by_name_and_line() {
    for (content, found) in [
        ("\nmemory = [\"1g\"]", "array"),
        ("\n[memory]\nmax = 1", "table"),
        ("\nmemory.max = 1", "table"),
        ("\nmemory = 1979-05-27", "datetime"),
    ] {
        assert_eq!(
            error(content),
            format!(
                "key memory in line 2 of FILE: expected text, a number or true or false, \
                 found {found}"
            )
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = super::super::file::parse("a".as_ref(), &text);
    }

    /// Text that is often nearly a settings file.
    #[test]
    fn no_arrangement_of_tokens_panics(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "users", "user", "memory", "mode", "[", "]", "[[users]]\n", "{", "}", "=", ".", ",",
                "\"a\"", "\"bind\"", "1", "-0x1", "1e9", "nan", "true", "1979-05-27", "\n", "#", "é",
                "'", "\"",
            ]),
            0..24,
        ),
    ) {
        let _ = super::super::file::parse("a".as_ref(), &tokens.concat());
    }
}
