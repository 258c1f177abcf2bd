mod settings;

use super::*;

fn name(text: &str) -> HostName {
    HostName::parse(text).expect("a name")
}

fn settings(toml: &str) -> EgressSettings {
    toml::from_str(toml).expect("settings")
}

fn policy(toml: &str) -> EgressPolicy {
    settings(toml)
        .compile("egress.allow")
        .expect("valid settings")
}

fn rules(toml: &str) -> Rules {
    policy(toml).rules(&[])
}

fn error(toml: &str) -> RuleError {
    settings(toml)
        .compile("egress.allow")
        .expect_err("invalid settings")
}

/// The rule that allows it, spelled out.
fn allowed(rules: &Rules, host: &str, port: u16) -> Option<String> {
    match rules.check(&name(host), port) {
        Decision::Allowed { rule } => Some(format!("{rule:#}")),
        Decision::Refused { reason } => {
            assert_eq!(reason, Reason::NotAllowed);
            None
        }
    }
}

const EXAMPLE: &str = r#"
    allow = [
      "packages.example.com",
      "*.cdn.example.com:8443",
      "git.example.net:22/tcp",
      { host = "mirror.corp.example", port = 8081, protocol = "tcp", allow_cidrs = ["10.1.2.0/24"] },
      "@python",
    ]
    lists.python = ["index.example.org", "files.example.org:444"]
    deny = ["203.0.113.7/32", "2001:db8::1"]
    quiet = ["updates.example.com", "*.telemetry.example.com"]
    contact = "ask platform@example.com"
"#;

#[test]
fn each_kind_of_entry_allows_what_it_says() {
    let rules = rules(EXAMPLE);
    for (host, port, rule) in [
        (
            "packages.example.com",
            443,
            Some("packages.example.com:443/tls"),
        ),
        (
            "Packages.Example.com.",
            443,
            Some("packages.example.com:443/tls"),
        ),
        ("packages.example.com", 80, None),
        ("x.packages.example.com", 443, None),
        (
            "a.cdn.example.com",
            8443,
            Some("*.cdn.example.com:8443/tls"),
        ),
        (
            "a.b.c.cdn.example.com",
            8443,
            Some("*.cdn.example.com:8443/tls"),
        ),
        ("a.cdn.example.com", 443, None),
        ("git.example.net", 22, Some("git.example.net:22/tcp")),
        (
            "mirror.corp.example",
            8081,
            Some("mirror.corp.example:8081/tcp"),
        ),
        ("index.example.org", 443, Some("index.example.org:443/tls")),
        ("files.example.org", 444, Some("files.example.org:444/tls")),
        ("example.com", 443, None),
    ] {
        assert_eq!(
            allowed(&rules, host, port).as_deref(),
            rule,
            "{host}:{port}"
        );
    }
    let ports = rules.ports(&name("mirror.corp.example"));
    assert_eq!(
        ports[&8081].allow_cidrs,
        ["10.1.2.0/24".parse().expect("a network")]
    );
    assert!(rules.is_quiet(&name("updates.example.com")));
    assert!(rules.is_quiet(&name("eu.telemetry.example.com")));
    assert!(!rules.is_quiet(&name("telemetry.example.com")));
    assert_eq!(rules.contact(), Some("ask platform@example.com"));
    assert_eq!(policy(EXAMPLE).deny().len(), 2);
}

#[test]
fn a_wildcard_is_for_strict_subdomains() {
    let rules = rules(r#"allow = ["*.example.com"]"#);
    for (host, is_allowed) in [
        ("a.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        ("xexample.com", false),
        ("evil-example.com", false),
        ("example.com.evil.test", false),
        ("a.example.com.evil.test", false),
        ("aexample.com", false),
    ] {
        assert_eq!(allowed(&rules, host, 443).is_some(), is_allowed, "{host}");
    }
}

#[test]
fn rules_and_questions_meet_in_the_one_form() {
    let rules = rules(r#"allow = ["BÜCHER.Example.COM.", "*.Straße.example:8443"]"#);
    assert!(allowed(&rules, "xn--bcher-kva.example.com", 443).is_some());
    assert!(allowed(&rules, "bücher.EXAMPLE.com", 443).is_some());
    assert!(allowed(&rules, "bücher\u{3002}example\u{3002}com", 443).is_some());
    assert!(allowed(&rules, "bucher.example.com", 443).is_none());
    assert!(allowed(&rules, "a.xn--strae-oqa.example", 8443).is_some());
    assert!(allowed(&rules, "a.strasse.example", 8443).is_none());
}

#[test]
fn without_a_rule_nothing_is_allowed() {
    for toml in ["", "allow = []", r#"lists.python = ["index.example.org"]"#] {
        let rules = rules(toml);
        assert!(rules.is_empty());
        assert_eq!(allowed(&rules, "index.example.org", 443), None);
        assert!(rules.ports(&name("index.example.org")).is_empty());
        assert_eq!(rules.summary(), "There is no network.");
    }
    let rules = Rules::default();
    assert_eq!(allowed(&rules, "example.com", 443), None);
    assert_eq!(AllowEntry::from_variable(""), []);
    assert_eq!(AllowEntry::from_variable(" "), []);
}

#[test]
fn the_nearest_pattern_counts() {
    let rules = rules(
        r#"allow = ["*.example.com", "*.b.example.com:443/tcp", "a.b.example.com", "a.b.example.com:22/tcp"]"#,
    );
    assert_eq!(
        allowed(&rules, "x.example.com", 443).as_deref(),
        Some("*.example.com:443/tls")
    );
    assert_eq!(
        allowed(&rules, "x.b.example.com", 443).as_deref(),
        Some("*.b.example.com:443/tcp")
    );
    assert_eq!(
        allowed(&rules, "a.b.example.com", 443).as_deref(),
        Some("a.b.example.com:443/tls")
    );
    assert_eq!(
        rules
            .ports(&name("a.b.example.com"))
            .into_keys()
            .collect::<Vec<_>>(),
        [22, 443]
    );
}

#[test]
fn a_model_is_told_what_is_reached() {
    assert_eq!(
        rules(r#"allow = ["a.example.com", "*.c.example.com:8443"]"#).summary(),
        "The network reaches only: a.example.com, *.c.example.com:8443 (TLS). Bind servers to 127.0.0.1."
    );
    assert_eq!(
        rules(r#"allow = ["a.example.com", "b.example.com:22/tcp"]"#).summary(),
        "The network reaches only: a.example.com, b.example.com:22/tcp (TLS, except where /tcp is written). \
         Bind servers to 127.0.0.1."
    );
    assert_eq!(
        rules(r#"allow = ["b.example.com:22/tcp"]"#).summary(),
        "The network reaches only: b.example.com:22/tcp. Bind servers to 127.0.0.1."
    );
    let many: Vec<_> = (0..1000)
        .map(|n| format!("\"host-{n:04}.example.com:{}/tcp\"", n + 1))
        .collect();
    let text = rules(&format!("allow = [\"z.example.com\",{}]", many.join(","))).summary();
    assert!(
        text.len() <= SUMMARY_LIMIT && text.len() > SUMMARY_LIMIT - 80,
        "{} bytes",
        text.len()
    );
    let shown = text.matches("host-").count();
    assert!(
        text.contains(&format!(" and {} more (TLS, except", 1001 - shown)),
        "{text}"
    );
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}.example", "a".repeat(53));
    let text = rules(&format!(
        "allow = [\"{longest}:65535/tcp\", \"b.example.com\"]"
    ))
    .summary();
    assert!(text.contains(&longest) && text.len() <= SUMMARY_LIMIT);
}
