//! Users with other settings than the rest.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::identity::Issuer;

const TWO: &str = r#"
memory = "1g"
pids = 100

[[users]]
user = "alice"
memory = "2g"

[[users]]
issuer = "https://issuer.example"
user = "alice"
mode = "ephemeral"
image = "debian:12"
cpus = 2
pids = 200
idle_timeout = "1m"
background_ttl = "2m"
calls_per_user = 3
ephemeral_live = 4
quota = "5g"
"#;

fn remote(subject: &str) -> User {
    User {
        issuer: "https://issuer.example".parse::<Issuer>().unwrap(),
        subject: subject.parse().unwrap(),
    }
}

fn error(content: &str) -> String {
    let file = TempFile::new("users", content);
    let error = load(&["--config", file.path()], &[])
        .unwrap_err()
        .to_string();
    error.replace(&format!("{:?}", file.0), "FILE")
}

#[test]
fn a_user_has_their_own_settings_and_for_the_rest_those_of_everybody() {
    let config = load_file("two", TWO).unwrap();
    let everybody = config.for_identity(&local("bob").into());
    assert_eq!((everybody.memory, everybody.pids), (Bytes(1 << 30), 100));

    let alice = SandboxSettings {
        memory: Bytes(2 << 30),
        ..(*everybody).clone()
    };
    assert_eq!(*config.for_identity(&local("alice").into()), alice);

    let remote_alice = SandboxSettings {
        mode: Mode::Ephemeral,
        image: "debian:12".parse().unwrap(),
        memory: Bytes(1 << 30),
        cpus: NanoCpus(2_000_000_000),
        pids: 200,
        idle_timeout: Duration::from_secs(60),
        background_ttl: Duration::from_secs(120),
        calls_per_user: 3,
        ephemeral_live: 4,
        quota: Bytes(5 << 30),
        ..(*everybody).clone()
    };
    assert_eq!(*config.for_identity(&remote("alice").into()), remote_alice);
}

#[test]
fn only_the_exact_user_is_meant() {
    let config = load_file("exact", TWO).unwrap();
    let everybody = config.for_identity(&local("bob").into());
    for user in [
        local("Alice"),
        local("alice "),
        local("alic"),
        remote("bob"),
    ] {
        assert_eq!(
            config.for_identity(&user.clone().into()),
            everybody,
            "{user}"
        );
    }
}

#[test]
fn what_is_a_users_own_goes_before_what_a_flag_says_for_everybody() {
    let file = TempFile::new("flag", TWO);
    let flags = ["--config", file.path(), "--memory", "3g", "--cpus", "4"];
    let config = load(&flags, &[("CASEMATE_PIDS", "300")]).unwrap();
    let of = |user: User| {
        let settings = config.for_identity(&user.clone().into());
        (settings.memory, settings.cpus, settings.pids)
    };
    assert_eq!(
        of(local("bob")),
        (Bytes(3 << 30), NanoCpus(4_000_000_000), 300)
    );
    assert_eq!(
        of(local("alice")),
        (Bytes(2 << 30), NanoCpus(4_000_000_000), 300)
    );
    assert_eq!(
        of(remote("alice")),
        (Bytes(3 << 30), NanoCpus(2_000_000_000), 200)
    );

    let path: Arc<std::path::Path> = file.0.as_path().into();
    let origins = |user: User| -> Vec<Origin> {
        let wanted = [
            Setting::Memory,
            Setting::Cpus,
            Setting::Pids,
            Setting::Image,
        ];
        let in_force = config.in_force(&user.clone().into()).into_iter();
        in_force
            .filter(|s| wanted.contains(&s.setting))
            .map(|s| s.origin)
            .collect()
    };
    let memory = FileLocation { path, line: 7 };
    assert_eq!(
        origins(local("alice")),
        [
            Origin::Default,
            Origin::Key("memory", memory),
            Origin::Flag("cpus"),
            Origin::Variable("pids"),
        ]
    );
    assert_eq!(origins(local("bob"))[1], Origin::Flag("memory"));
}

#[test]
fn a_table_that_cannot_be_used_is_named_with_its_line() {
    for (content, message) in [
        (
            "\n[[users]]\nmemory = \"1g\"",
            "line 2 of FILE: a [[users]] table needs the key user",
        ),
        (
            "[[users]]\nuser = \"a\"\nmemroy = \"1g\"",
            "unknown key \"memroy\" in line 3 of FILE; the nearest known one is memory",
        ),
        (
            "[[users]]\nuser = \"a\"\nisuer = \"1g\"",
            "unknown key \"isuer\" in line 3 of FILE; the nearest known one is issuer",
        ),
        (
            "[[users]]\nuser = \"a\"\nlog = \"info\"",
            "key log in line 3 of FILE: it holds for all users; a user may have: mode, profile, image, \
             memory, cpus, pids, quota, idle_timeout, background_ttl, calls_per_user, ephemeral_live, \
             sandboxes_per_user, workspaces_per_user, share_links, share_link_max, egress, shared",
        ),
        (
            "[[users]]\nuser = \"a\"\n\nmemory = \"1m\"",
            "key memory in line 4 of FILE: \"1m\" is not allowed: it goes from 32m to 1024t",
        ),
        (
            "[[users]]\nuser = \" \"",
            "key user in line 2 of FILE: \" \" is not allowed: the subject is blank",
        ),
        (
            "[[users]]\nuser = \"a\"\nissuer = \"\"",
            "key issuer in line 3 of FILE: \"\" is not allowed: the issuer is blank",
        ),
        (
            "[[users]]\nuser = \"a\"\n[[users]]\nissuer = \"local\"\nuser = \"a\"",
            "line 3 of FILE: \"a\" of \"local\" has a [[users]] table already, in line 1",
        ),
        (
            "\n[users]\nuser = \"a\"",
            "line 2 of FILE: users are [[users]] tables, found table",
        ),
        (
            "users = [\n1]",
            "line 2 of FILE: users are [[users]] tables, found integer",
        ),
    ] {
        assert_eq!(error(content), message);
    }
}

#[test]
fn the_line_is_right_also_far_down_in_a_file_full_of_users() {
    let tables: String = (0..30_000)
        .map(|n| format!("[[users]]\nuser = \"{n}\"\n"))
        .collect();
    let message = error(&format!("{tables}pids = 7"));
    assert!(
        message.starts_with("key pids in line 60001 of FILE"),
        "{message}"
    );
    let config = load_file("many", &format!("{tables}pids = 77")).unwrap();
    assert_eq!(config.for_identity(&local("29999").into()).pids, 77);
    assert_eq!(config.for_identity(&local("29998").into()).pids, 256);
}

proptest! {
    /// Each of three settings given to everybody or not and to the user or not: the user's own,
    /// else everybody's, else the default, and nothing of one user for another.
    #[test]
    fn merging_takes_each_setting_from_the_nearest_layer(
        all in prop::array::uniform3(prop::option::of(16..100_u32)),
        own in prop::array::uniform3(prop::option::of(16..100_u32)),
    ) {
        let keys = ["pids", "calls_per_user", "ephemeral_live"];
        let lines = |values: [Option<u32>; 3]| -> String {
            let given = keys.into_iter().zip(values);
            given.filter_map(|(key, value)| Some(format!("{key} = {}\n", value?.min(64)))).collect()
        };
        let content = format!("{}[[users]]\nuser = \"a\"\n{}", lines(all), lines(own));
        let config = load_file("merge", &content).unwrap();
        let of = |user: User| {
            let settings = config.for_identity(&user.clone().into());
            [settings.pids, settings.calls_per_user, settings.ephemeral_live]
        };
        let defaults = [256, 16, 2];
        let value = |n: usize, layers: &[[Option<u32>; 3]]| {
            let given = layers.iter().find_map(|layer| layer[n]);
            given.map_or(defaults[n], |value| value.min(64))
        };
        prop_assert_eq!(of(local("a")), [0, 1, 2].map(|n| value(n, &[own, all])));
        prop_assert_eq!(of(local("b")), [0, 1, 2].map(|n| value(n, &[all])));
    }
}
