//! Phase 1: names, places and their order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::*;

/// Values for each setting, two that differ, neither its default.
const OTHERS: [(Setting, [&str; 2]); 72] = [
    (Setting::User, ["bob", "carol"]),
    (Setting::Workspace, ["chat-1", "chat-2"]),
    (Setting::WorkspaceHeader, ["X-Chat", "X-Conversation"]),
    (Setting::SandboxesPerUser, ["1", "2"]),
    (Setting::WorkspacesPerUser, ["0", "5"]),
    (Setting::WorkspaceRetention, ["off", "1h"]),
    (Setting::Instance, ["ci", "cd"]),
    (Setting::UploadLimit, ["2g", "1m"]),
    (Setting::Wait, ["5s", "0s"]),
    (Setting::Admin, ["9464", "0.0.0.0:9465"]),
    (Setting::Audit, ["/srv/a", "/srv/b"]),
    (Setting::AuditContent, ["on", "off"]),
    (Setting::Log, ["warn,casemate=debug", "error"]),
    (Setting::Runtime, ["runsc-kvm", "io.containerd.runsc.v1"]),
    (Setting::Image, ["debian:12", "debian:13"]),
    (Setting::Memory, ["1g", "2g"]),
    (Setting::Cpus, ["1.5", "2"]),
    (Setting::Pids, ["100", "200"]),
    (Setting::Quota, ["1g", "2g"]),
    (Setting::IdleTimeout, ["1h 30m", "1s"]),
    (Setting::BackgroundTtl, ["0s", "1s"]),
    (Setting::CallsPerUser, ["2", "3"]),
    (Setting::EphemeralLive, ["1", "64"]),
    (Setting::MaxSandboxes, ["1", "2"]),
    (Setting::VolumeRetention, ["30d", "1h"]),
    (Setting::MinFreeDisk, ["0", "10g"]),
    (Setting::UidCount, ["0", "16"]),
    (Setting::UidBase, ["30000", "70000"]),
    (Setting::Engine, ["docker", "kubernetes"]),
    (Setting::KubernetesNamespace, ["a", "b"]),
    (Setting::KubernetesStorageClass, ["a", "b"]),
    (Setting::KubernetesRuntimeClass, ["a", "b"]),
    (Setting::KubernetesNodeSelector, ["a=b", "a=c,d=e"]),
    (
        Setting::KubernetesTolerations,
        ["a=b:NoSchedule", "a:NoExecute"],
    ),
    (Setting::KubernetesRequests, ["1", "100"]),
    (Setting::KubernetesImagePullSecrets, ["a", "a,b"]),
    (Setting::KubernetesKeyFile, ["/srv/a", "b"]),
    (
        Setting::KubernetesUnreachable,
        ["10.0.0.1:443", "[fd00::1]:53"],
    ),
    (Setting::KubernetesLostChannelTtl, ["1m", "1h"]),
    (Setting::BindRoot, ["/srv/a", "/srv/b"]),
    (Setting::BindDir, ["/srv/a", "/srv/b"]),
    (Setting::TokensFile, ["/srv/a", "b.toml"]),
    (Setting::AdminTokensFile, ["/srv/a", "b.toml"]),
    (
        Setting::JwtIssuer,
        ["https://a.example", "https://b.example"],
    ),
    (Setting::JwtAudience, ["https://a.example/mcp", "b"]),
    (
        Setting::JwtJwks,
        ["https://a.example/keys", "/srv/keys.json"],
    ),
    (Setting::SessionKeyFile, ["/srv/a", "b"]),
    (Setting::OidcClientId, ["a", "b"]),
    (Setting::OidcClientSecretFile, ["/srv/a", "b"]),
    (Setting::OidcScopes, ["openid a", "b"]),
    (
        Setting::PublicUrl,
        ["https://a.example", "https://b.example"],
    ),
    (Setting::LinkKeyFile, ["/srv/a", "b"]),
    (
        Setting::PreviewDomain,
        ["preview.example.com", "localhost:8080"],
    ),
    (
        Setting::PreviewFrameAncestors,
        ["https://a.example", "https://b.example"],
    ),
    (Setting::ShareLinkMax, ["1h", "1m"]),
    (Setting::AllowedHosts, ["a.example", "b.example:80,c"]),
    (
        Setting::AllowedOrigins,
        ["https://a.example", "https://b.example"],
    ),
    (
        Setting::EgressAllow,
        ["a.example.com", "*.b.example.com,c.example.com:22/tcp"],
    ),
    (Setting::EgressBytesPerDay, ["1g", "off"]),
    (Setting::SharedData, ["a,b", "b"]),
    (Setting::BackupTarget, ["/srv/a", "s3://bucket/b"]),
    (Setting::BackupEvery, ["1h", "30d"]),
    (Setting::BackupKeepLast, ["1", "2"]),
    (Setting::BackupKeepDaily, ["0", "1"]),
    (Setting::BackupKeepWeekly, ["0", "1"]),
    // Of two words one is the default: where it is the lower source, it must not hold.
    (Setting::Results, ["text", "both"]),
    (Setting::Tools, ["core", "all"]),
    (Setting::Warm, ["off", "on"]),
    (Setting::Profile, ["high", "standard"]),
    (Setting::ShareLinks, ["on", "off"]),
    (Setting::BackupVerify, ["off", "on"]),
    (Setting::GroupsClaim, ["optional", "required"]),
];

/// All except mode and auth, which have other tests: their other values need more settings.
#[test]
fn the_table_of_values_has_every_setting() {
    let known: Vec<_> = Setting::ALL
        .iter()
        .filter(|&&s| s != Setting::Mode && s != Setting::Auth)
        .collect();
    assert_eq!(known.len(), OTHERS.len());
    assert!(OTHERS.iter().all(|(setting, _)| known.contains(&setting)));
}

/// Where a value can be given, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Flag,
    Variable,
    File,
}

/// What [`Setting::SharedData`] names.
const SHARES: &str = "
[[shared]]
name = \"a\"
path = \"/shared/a\"
[[shared]]
name = \"b\"
path = \"/shared/b\"
";

/// What a setting is an error without.
fn companions(setting: Setting) -> &'static [(&'static str, &'static str)] {
    const ISSUER: (&str, &str) = ("CASEMATE_JWT_ISSUER", "https://c.example");
    const AUDIENCE: (&str, &str) = ("CASEMATE_JWT_AUDIENCE", "c");
    const JWKS: (&str, &str) = ("CASEMATE_JWT_JWKS", "/srv/c");
    const PUBLIC: (&str, &str) = ("CASEMATE_PUBLIC_URL", "https://c.example");
    const CLIENT: (&str, &str) = ("CASEMATE_OIDC_CLIENT_ID", "c");
    const JWT: (&str, &str) = ("CASEMATE_AUTH", "jwt");
    match setting {
        Setting::BindRoot | Setting::BindDir => &[("CASEMATE_MODE", "bind")],
        Setting::BackupEvery => &[("CASEMATE_BACKUP_TARGET", "/srv")],
        Setting::TokensFile => &[("CASEMATE_AUTH", "tokens")],
        Setting::AdminTokensFile => &[("CASEMATE_ADMIN", "9464")],
        Setting::JwtIssuer => &[JWT, AUDIENCE, JWKS],
        Setting::JwtAudience => &[JWT, ISSUER, JWKS],
        Setting::JwtJwks => &[JWT, ISSUER, AUDIENCE],
        Setting::SessionKeyFile => &[
            ("CASEMATE_AUTH", "tokens"),
            ("CASEMATE_TOKENS_FILE", "/srv/c"),
        ],
        Setting::OidcClientId => &[JWT, ISSUER, AUDIENCE, JWKS, PUBLIC],
        Setting::OidcClientSecretFile | Setting::OidcScopes => {
            &[JWT, ISSUER, AUDIENCE, JWKS, PUBLIC, CLIENT]
        }
        _ => &[],
    }
}

/// The configuration with `setting` given like this, and where it then says the setting is from.
fn given(setting: Setting, places: &[(Source, &str)]) -> (Config, Source) {
    let (mut flags, mut variables, mut lines) = (Vec::new(), Vec::new(), String::new());
    for &(source, value) in places {
        match source {
            Source::Flag => flags.extend([flag(setting), value.to_owned()]),
            Source::Variable => variables.push((setting.variable(), value.to_owned())),
            Source::File => lines += &format!("\n{} = {value:?}\n", setting.key()),
        }
    }
    for (name, value) in companions(setting) {
        variables.push(((*name).to_owned(), (*value).to_owned()));
    }
    if setting == Setting::SharedData {
        lines += SHARES;
    }
    let file = TempFile::new(setting.key(), lines);
    variables.push(("CASEMATE_CONFIG".to_owned(), file.path().to_owned()));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let pairs = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let config = load(&flags, &pairs.collect::<Vec<_>>()).unwrap();

    let in_force = config.in_force(&config.user.clone().into());
    let origin = in_force
        .into_iter()
        .find(|s| s.setting == setting)
        .unwrap()
        .origin;
    let path = file.0.as_path().into();
    let in_file = Origin::Key(setting.key(), FileLocation { path, line: 2 });
    let source = match origin {
        Origin::Flag(key) if key == setting.key() => Source::Flag,
        Origin::Variable(key) if key == setting.key() => Source::Variable,
        origin if origin == in_file => Source::File,
        origin => panic!("{setting:?} is from {origin}"),
    };
    (config, source)
}

#[test]
fn of_two_sources_the_stronger_holds_for_every_setting_and_says_so() {
    use Source::*;
    for (setting, [high, low]) in OTHERS {
        let expected = values(given(setting, &[(Flag, high)]).0);
        assert_ne!(expected, values(load(&[], &[]).unwrap()), "{setting:?}");
        for places in [
            &[(Flag, high)][..],
            &[(Variable, high)],
            &[(File, high)],
            &[(Flag, high), (Variable, low)],
            &[(Flag, high), (File, low)],
            &[(Variable, high), (File, low)],
            &[(Flag, high), (Variable, low), (File, low)],
        ] {
            let (config, source) = given(setting, places);
            assert_eq!(source, places[0].0, "{setting:?}: {places:?}");
            assert_eq!(values(config), expected, "{setting:?}: {places:?}");
        }
    }
}

#[test]
fn a_setting_that_is_not_given_is_from_the_os_or_a_default() {
    let config = load(&[], &[]).unwrap();
    for in_force in config.in_force(&config.user.clone().into()) {
        let wanted = match in_force.setting {
            Setting::User => (Some("alice".to_owned()), Origin::OsUser),
            setting => (setting.spec().value_kind.default(), Origin::Default),
        };
        assert_eq!((in_force.value, in_force.origin), wanted);
    }
}

#[test]
fn the_file_of_the_flag_is_read_and_the_one_of_the_variable_is_not() {
    let file = TempFile::new("chosen", "pids = 100");
    let flags = ["--config", file.path()];
    let config = load(&flags, &[("CASEMATE_CONFIG", "/nonexistent")]).unwrap();
    assert_eq!(config.sandbox.pids, 100);
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
fn a_value_that_is_not_text_is_refused_by_name() {
    let bytes: OsString = OsStr::from_bytes(b"\xff").to_owned();
    let mut args = SettingsArgs::default();
    args.given.insert("user", bytes.clone());
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

#[test]
fn a_setting_under_its_old_name_works_and_is_warned_of() {
    let file = TempFile::new("old", "\ndisk_floor = \"2g\"");
    let config = ["--config", file.path()];
    let place = format!("key disk_floor in line 2 of {:?}", file.0);
    for (flags, variables, origin) in [
        (&["--disk-floor", "2g"][..], &[][..], "flag --disk-floor"),
        (
            &[],
            &[("CASEMATE_DISK_FLOOR", "2g")],
            "variable CASEMATE_DISK_FLOOR",
        ),
        (&config, &[], &place),
    ] {
        let config = load(flags, variables).unwrap();
        assert_eq!(config.min_free_disk, Bytes(2 << 30), "{origin}");
        let renamed: Vec<_> = config.renamed().collect();
        let warning = "this setting is now called min_free_disk; the old name still works";
        assert_eq!(renamed, [format!("{origin}: {warning}")]);
    }
    assert_eq!(
        refused(&[], &[("CASEMATE_DISK_FLOOR", "much")]),
        "variable CASEMATE_DISK_FLOOR: \"much\" is not allowed: \
         a size is a whole number of b, k, m, g or t (powers of 1024), such as 512m"
    );
}

#[test]
fn of_both_names_in_one_source_the_present_one_wins() {
    let file = TempFile::new("both", "min_free_disk = \"3g\"\ndisk_floor = \"2g\"");
    let old = ("CASEMATE_DISK_FLOOR", "2g");
    let new = ("CASEMATE_MIN_FREE_DISK", "3g");
    for (flags, variables) in [
        (
            &["--disk-floor", "2g", "--min-free-disk", "3g"][..],
            &[][..],
        ),
        (&["--min-free-disk", "3g", "--disk-floor", "2g"], &[]),
        (&[], &[old, new]),
        (&["--config", file.path()], &[]),
    ] {
        let config = load(flags, variables).unwrap();
        assert_eq!(
            config.min_free_disk,
            Bytes(3 << 30),
            "{flags:?} {variables:?}"
        );
        assert_eq!(config.renamed().count(), 0);
    }
}
