//! What the settings may say, and whose are in force.

use super::*;

#[test]
fn what_is_not_valid_is_refused_with_its_key() {
    use crate::NameError;
    for (entry, problem) in [
        (r#""*""#, Problem::Wildcard),
        (r#""*.""#, Problem::Name(NameError::EmptyLabel)),
        (r#""*.*.example.com""#, Problem::Wildcard),
        (r#""a.*.example.com""#, Problem::Wildcard),
        (r#""*example.com""#, Problem::Wildcard),
        (r#""*.com""#, Problem::PublicSuffix),
        (r#""*.COM.""#, Problem::PublicSuffix),
        (r#""*.co.uk""#, Problem::PublicSuffix),
        (r#""*.github.io""#, Problem::PublicSuffix),
        (r#""*.kawasaki.jp""#, Problem::PublicSuffix),
        (r#""*.公司.cn""#, Problem::PublicSuffix),
        (r#""*.unknown""#, Problem::PublicSuffix),
        (r#""*.localhost""#, Problem::PublicSuffix),
        (r#""build""#, Problem::Local),
        (r#""nas.local""#, Problem::Local),
        (r#""*.corp.internal""#, Problem::Local),
        (r#""host.docker.internal""#, Problem::Local),
        (r#""10.1.2.3""#, Problem::Name(NameError::Address)),
        (r#""0x7f.1:443""#, Problem::Name(NameError::Address)),
        (r#""2001:db8::1""#, Problem::Name(NameError::Address)),
        (r#""[::1]:443""#, Problem::Name(NameError::Address)),
        (r#""a@example.com""#, Problem::Name(NameError::Character)),
        (r#""https://example.com""#, Problem::Protocol),
        (r#""example.com/path""#, Problem::Protocol),
        (r#""example.com:443/udp""#, Problem::Protocol),
        (r#""example.com/tcp""#, Problem::PortMissing),
        (
            r#"{ host = "example.com", protocol = "tcp" }"#,
            Problem::PortMissing,
        ),
        (r#""example.com:0""#, Problem::Port),
        (r#"{ host = "example.com", port = 0 }"#, Problem::Port),
        (r#""example.com:65536""#, Problem::Port),
        (r#""example.com:+443""#, Problem::Port),
        (r#""example.com:""#, Problem::Port),
        (r#""""#, Problem::Name(NameError::EmptyLabel)),
        (
            r#"{ host = "example.com", protocol = "TLS" }"#,
            Problem::Protocol,
        ),
        (
            r#"{ host = "example.com", allow_cidrs = ["10.1.2.0/33"] }"#,
            Problem::Network,
        ),
        (
            r#"{ host = "example.com", allow_cidrs = ["0.0.0.0/0"] }"#,
            Problem::EveryAddress,
        ),
        (r#""@rust""#, Problem::UnknownList),
        (r#""good.example.com:443/tcp""#, Problem::Conflict),
        (
            r#"{ host = "good.example.com", allow_cidrs = ["10.0.0.0/8"] }"#,
            Problem::Conflict,
        ),
    ] {
        let found = error(&format!(r#"allow = ["good.example.com", {entry}]"#));
        assert_eq!(
            (found.key.as_str(), &found.problem),
            ("egress.allow[1]", &problem),
            "{entry}"
        );
    }
}

#[test]
fn every_part_is_checked_at_start() {
    for (toml, key) in [
        (
            r#"lists.python = ["a.example.com", "*.com"]"#,
            "egress.lists.python[1]",
        ),
        (r#"lists.a = ["@b"]"#, "egress.lists.a[0]"),
        (r#"deny = ["10.0.0.0/8", "example.com"]"#, "egress.deny[1]"),
        (r#"quiet = ["a b"]"#, "egress.quiet[0]"),
        ("contact = \"two\\nlines\"", "egress.contact"),
        (r#"contact = """#, "egress.contact"),
    ] {
        assert_eq!(error(toml).key, key, "{toml}");
    }
    let many: Vec<_> = (0..=RULE_LIMIT)
        .map(|n| format!("\"h{n}.example.com\""))
        .collect();
    let found = error(&format!("allow = [{}]", many.join(",")));
    assert_eq!(
        (found.key.as_str(), found.problem),
        ("egress.allow[1024]", Problem::TooMany)
    );
}

#[test]
fn unknown_keys_are_named() {
    for (toml, word) in [
        ("allowed = []", "allowed"),
        (
            r#"allow = [{ host = "a.example.com", ports = [1] }]"#,
            "ports",
        ),
        (r#"allow = [{ port = 443 }]"#, "host"),
        ("allow = [7]", "a host as in"),
        ("allow = \"a.example.com\"", "allow"),
    ] {
        let text = toml::from_str::<EgressSettings>(toml)
            .expect_err("refused")
            .to_string();
        assert!(text.contains(word), "{toml}: {text}");
    }
    assert!(toml::from_str::<LayerSettings>("deny = []").is_err());
}

#[test]
fn the_variable_is_a_list_with_commas() {
    let from = |text: &str| EgressSettings {
        allow: AllowEntry::from_variable(text),
        ..EgressSettings::default()
    };
    let rules = from("packages.example.com, git.example.net:22/tcp")
        .compile("CASEMATE_EGRESS_ALLOW")
        .expect("valid")
        .rules(&[]);
    assert!(allowed(&rules, "packages.example.com", 443).is_some());
    assert!(allowed(&rules, "git.example.net", 22).is_some());
    let found = from("a.example.com,,b.example.com")
        .compile("CASEMATE_EGRESS_ALLOW")
        .expect_err("empty");
    assert_eq!(
        found.to_string(),
        "CASEMATE_EGRESS_ALLOW[1]: \"\" is not valid"
    );
}

#[test]
fn what_is_nearer_the_user_replaces_or_extends() {
    let policy = policy(
        r#"
        allow = ["base.example.com", "both.example.com"]
        lists.l = ["listed.example.com"]
    "#,
    );
    let layer = |toml: &str| {
        let settings: LayerSettings = toml::from_str(toml).expect("settings");
        policy.layer("users[2].egress", &settings).expect("valid")
    };
    let replaces = layer(r#"allow = ["@l"]"#);
    let extends =
        layer("allow = [\"both.example.com:443/tcp\", \"more.example.com\"]\nextend = true");
    let empty = layer("");
    let shown = |layers: &[&Layer]| -> Vec<String> {
        policy
            .rules(layers)
            .rules
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(shown(&[]), ["base.example.com", "both.example.com"]);
    assert_eq!(shown(&[&replaces]), ["listed.example.com"]);
    assert_eq!(
        shown(&[&extends]),
        [
            "base.example.com",
            "both.example.com:443/tcp",
            "more.example.com"
        ]
    );
    assert_eq!(shown(&[&extends, &replaces]), ["listed.example.com"]);
    assert_eq!(
        shown(&[&replaces, &extends]),
        [
            "both.example.com:443/tcp",
            "listed.example.com",
            "more.example.com"
        ]
    );
    assert!(
        shown(&[&empty]).is_empty(),
        "an empty list is nothing, not what it replaces"
    );
    let bad: LayerSettings =
        toml::from_str(r#"allow = ["a.example.com", "@none"]"#).expect("settings");
    assert_eq!(
        policy
            .layer("users[2].egress", &bad)
            .expect_err("unknown list")
            .key,
        "users[2].egress.allow[1]"
    );
}

#[test]
fn the_hash_depends_on_what_is_said_and_not_on_how() {
    let hash = |toml: &str| rules(toml).hash();
    let base = hash(EXAMPLE);
    assert_eq!(
        base.to_string(),
        "3e5fca260fa1da0b",
        "stable over versions: two servers compare it"
    );
    let turned = r#"
        contact = "ask platform@example.com"
        quiet = ["*.Telemetry.example.com", "updates.example.com."]
        deny = ["2001:db8::1/128", "203.0.113.7"]
        allow = [
          { host = "mirror.corp.example", port = 8081, protocol = "tcp", allow_cidrs = ["10.1.2.9/24", "10.1.2.0/24"] },
          "files.example.org:444", "index.example.org", "index.example.org:443", "git.example.net:22/tcp",
          "*.CDN.example.com:8443", "packages.example.com:443/tls",
        ]
    "#;
    assert_eq!(hash(turned), base);
    for (from, to) in [
        ("packages.", "package."),
        (":8443", ":8444"),
        ("22/tcp", "22"),
        ("10.1.2.0/24", "10.1.2.0/25"),
        ("*.cdn", "cdn"),
        ("203.0.113.7/32", "203.0.113.8/32"),
        ("\"updates.example.com\", ", ""),
        ("ask ", ""),
    ] {
        assert_ne!(hash(&EXAMPLE.replacen(from, to, 1)), base, "{from}");
    }
}
