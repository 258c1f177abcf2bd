//! Phase 2: values and their bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::limits::Bounds;
use super::*;

#[test]
fn nothing_given_is_the_documented_configuration() {
    let config = load(&[], &[("PATH", "/bin"), ("CASEMATE", "x")]).unwrap();
    let sandbox = SandboxSettings {
        mode: Mode::Persistent,
        profile: Profile::Standard,
        image: "casemate-tools:latest".parse().unwrap(),
        memory: Bytes(536_870_912),
        cpus: NanoCpus(1_000_000_000),
        pids: 256,
        idle_timeout: Duration::from_secs(900),
        background_ttl: Duration::from_secs(3_600),
        calls_per_user: 16,
        ephemeral_live: 2,
        quota: Bytes(10 << 30),
        sandboxes_per_user: 3,
        workspaces_per_user: 200,
        share_links: false,
        share_link_max: Duration::from_secs(86_400),
        shared: BTreeSet::new(),
    };
    assert_eq!(*config.for_identity(&local("anybody").into()), sandbox);
    let expected = Config {
        user: local("alice"),
        workspace: None,
        instance: "default".parse().unwrap(),
        results: Results::Both,
        tools: ToolSet::All,
        wait: Duration::from_secs(50),
        warm: true,
        upload_limit: Bytes(1_073_741_824),
        admin: None,
        admin_tokens_file: None,
        audit: None,
        audit_content: false,
        log: "info,rmcp=off".to_owned(),
        max_sandboxes: 100,
        volume_retention: None,
        workspace_retention: Some(Duration::from_secs(30 * 86_400)),
        min_free_disk: Bytes(1_073_741_824),
        runtime: "runsc".to_owned(),
        uids: Uids::from_layer(&Layer::default()).unwrap(),
        engine: EngineChoice::Auto,
        kubernetes: KubernetesSettings {
            namespace: None,
            storage_class: None,
            runtime_class: None,
            node_selector: std::collections::BTreeMap::new(),
            tolerations: Vec::new(),
            requests: 25,
            image_pull_secrets: Vec::new(),
            key_file: None,
            unreachable: Vec::new(),
            lost_channel_ttl: Duration::from_secs(900),
        },
        bind: None,
        backup: BackupSettings {
            target: None,
            every: None,
            keep: Retention {
                last: 7,
                daily: 7,
                weekly: 7,
            },
            verify: true,
        },
        egress: Arc::default(),
        egress_bytes_per_day: None,
        egress_source: EgressSource::default(),
        shared: Arc::default(),
        http: HttpSettings {
            auth: Auth::None,
            allowed_hosts: None,
            allowed_origins: None,
            workspace_header: "X-Casemate-Workspace".parse().unwrap(),
            session_key_file: None,
            sign_in: None,
            public_url: None,
            link_key_file: None,
            previews: PreviewSettings::default(),
        },
        state_directory: None,
        sandbox: Arc::new(sandbox),
        users: Users::default(),
        groups: Arc::default(),
        given: Layer::default(),
    };
    assert_eq!(values(config), expected);
}

/// What the table says, said as a flag, is what holds without it; and its bounds are the ones.
#[test]
fn the_defaults_and_bounds_that_the_table_names_are_those_that_hold() {
    fn ends<T: Quantity>(bounds: Bounds<T>) -> Vec<String> {
        vec![bounds.least.show(), bounds.most.show()]
    }
    let plain = values(load(&[], &[]).unwrap());
    for &setting in Setting::ALL.iter().filter(|&&s| s != Setting::User) {
        let (flag, takes) = (flag(setting), setting.spec().value_kind);
        // Words for what depends on the address or the Engine, not values.
        let in_words = matches!(
            setting,
            Setting::AllowedHosts
                | Setting::AllowedOrigins
                | Setting::EgressAllow
                | Setting::KubernetesNamespace
                | Setting::KubernetesRuntimeClass
                | Setting::KubernetesStorageClass
                | Setting::LinkKeyFile
                | Setting::PreviewDomain
                | Setting::PublicUrl
                | Setting::SessionKeyFile
                | Setting::SharedData
                | Setting::UidBase
                | Setting::Workspace
        );
        // Any value is an error without a client's id: `http` tests its default.
        let is_alone = setting != Setting::OidcScopes;
        if let Some(default) = takes.default().filter(|_| !in_words && is_alone) {
            assert_eq!(
                values(load(&[&flag, &default], &[]).unwrap()),
                plain,
                "{flag}"
            );
        }
        let allowed = match takes {
            ValueKind::Text(..) => continue,
            ValueKind::Words(words) => words.iter().map(ToString::to_string).collect(),
            ValueKind::Number(bounds) => ends(bounds),
            ValueKind::Size(bounds) => ends(bounds),
            ValueKind::Cpus(bounds) => ends(bounds),
            ValueKind::Time(bounds) => ends(bounds),
        };
        for value in allowed {
            let needed: &[&str] = match value.as_str() {
                "bind" => &["--bind-dir", "/srv"],
                "tokens" => &["--tokens-file", "/srv/tokens.toml"],
                "jwt" => &http::JWT,
                _ => &[],
            };
            let flags = [&[flag.as_str(), &value], needed].concat();
            assert!(load(&flags, &[]).is_ok(), "{flags:?}");
        }
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
    let file = TempFile::new("bad", "pids = 256\n\ncpus = 0.001");
    assert_eq!(
        refused(&["--config", file.path()], &[]),
        format!(
            r#"key cpus in line 3 of {:?}: "0.001" is not allowed: it goes from 0.01 to 256"#,
            file.0
        )
    );
    assert_eq!(
        refused(&["--mode", "chaos"], &[]),
        r#"flag --mode: "chaos" is not allowed: it is one of: persistent, ephemeral, bind"#
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
        (Setting::EphemeralLive, "64", "65"),
        (Setting::MaxSandboxes, "10000", "10001"),
        (Setting::MaxSandboxes, "1", "0"),
        (Setting::MinFreeDisk, "0", "-1"),
        (Setting::MinFreeDisk, "1024t", "1025t"),
        (Setting::Mode, "ephemeral", "Persistent"),
        (Setting::Warm, "on", "yes"),
        (Setting::Results, "both", "json"),
        (Setting::IdleTimeout, "90s", "90"),
        (Setting::Instance, "a_b-c", "A"),
        (Setting::Log, "casemate=debug", "casemate=loud"),
    ] {
        let flag = flag(setting);
        assert!(load(&[&flag, good], &[]).is_ok(), "{flag} {good}");
        let error = load(&[&flag, bad], &[]).unwrap_err();
        assert!(matches!(error, ConfigError::BadValue { .. }), "{error}");
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

#[test]
fn a_log_filter_may_have_white_space_around_its_directives() {
    let log = |text| load(&[], &[("CASEMATE_LOG", text)]).map(|config| config.log);
    assert_eq!(
        log(" info, rmcp = warn").ok(),
        None,
        "within one it means something"
    );
    assert_eq!(log(" info, rmcp=warn ").unwrap(), "info,rmcp=warn");
    let in_another_script = log(" \u{ed0}=");
    assert_eq!(in_another_script.unwrap(), "\u{ed0}=");
}

proptest! {
    #[test]
    fn no_value_panics_and_what_is_accepted_is_in_its_bounds(
        text: String,
        index in 0..Setting::ALL.len(),
    ) {
        let setting = Setting::ALL[index];
        if let Ok(config) = load(&[], &[(&setting.variable(), &text)]) {
            let sandbox = config.for_identity(&config.user.clone().into());
            prop_assert!(limits::MEMORY.contains(&sandbox.memory));
            prop_assert!(limits::CPUS.contains(&sandbox.cpus));
            prop_assert!(limits::PIDS.contains(&sandbox.pids));
            prop_assert!(limits::IDLE_TIMEOUT.contains(&sandbox.idle_timeout));
            prop_assert!(limits::BACKGROUND_TTL.contains(&sandbox.background_ttl));
            prop_assert!(limits::MIN_FREE_DISK.contains(&config.min_free_disk));
        }
    }
}
