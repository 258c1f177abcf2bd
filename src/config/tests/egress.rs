//! What sandboxes may reach, and where it is given.

use std::path::Path;

use super::*;

const ALL: &str = r#"
[egress]
allow = [
  "packages.example.com",
  "*.cdn.example.com:8443",
  "git.example.net:22/tcp",
  { host = "mirror.corp.example", port = 8081, protocol = "tcp", allow_cidrs = ["10.1.2.0/24"] },
  "@python",
]
lists.python = ["index.example.org", "files.example.org"]
deny = ["203.0.113.7"]
quiet = ["updates.example.com"]
contact = "ask platform@example.com"

[[users]]
user = "alice"
egress = { allow = ["alice.example.com", "packages.example.com:443/tcp"], extend = true }

[[users]]
user = "bob"
egress = { allow = ["@python"] }

[[users]]
user = "carol"
egress = {}

[[users]]
user = "dave"
pids = 100
"#;

fn rules(config: &Config, user: &str) -> Vec<String> {
    let rules = config.egress.rules(&local(user).into());
    rules.iter().map(ToString::to_string).collect()
}

fn origin(config: &Config, user: &str) -> (Option<String>, Origin) {
    let in_force = config.in_force(&local(user).into()).into_iter();
    let mut found = in_force.filter(|it| it.setting == Setting::EgressAllow);
    let found = found.next().unwrap();
    (found.value, found.origin)
}

fn part(key: &str, file: &Path, line: usize) -> Origin {
    let path = file.into();
    Origin::Part(key.to_owned(), FileLocation { path, line })
}

const EVERYBODY: [&str; 6] = [
    "files.example.org",
    "git.example.net:22/tcp",
    "index.example.org",
    "mirror.corp.example:8081/tcp",
    "packages.example.com",
    "*.cdn.example.com:8443",
];

#[test]
fn without_settings_and_with_empty_ones_nothing_is_reached() {
    for content in [
        "",
        "[egress]",
        "[egress]\nallow = []",
        "egress_allow = \"\"",
        "egress_allow = \" \"",
        "[egress]\nlists.a = [\"a.example.com\"]",
        "[[users]]\nuser = \"alice\"\negress = { extend = true }",
    ] {
        let config = load_file("nothing", content).unwrap();
        assert!(config.egress.is_empty(), "{content}");
        assert!(
            config.egress.rules(&local("alice").into()).is_empty(),
            "{content}"
        );
        let value = origin(&config, "bob").0;
        assert_eq!(value.as_deref(), Some("nothing"), "{content}");
    }
    let own = "[[users]]\nuser = \"alice\"\negress.allow = [\"a.example.com\"]";
    let config = load_file("own", own).unwrap();
    assert!(!config.egress.is_empty());
    assert!(config.egress.rules(&local("bob").into()).is_empty());
}

#[test]
fn a_user_has_everybodys_rules_or_others_or_more() {
    let file = TempFile::new("all", ALL);
    let config = load(&["--config", file.path()], &[]).unwrap();
    for user in ["anybody", "dave"] {
        assert_eq!(rules(&config, user), EVERYBODY, "{user}");
        let place = part("egress.allow", &file.0, 3);
        assert_eq!(origin(&config, user).1, place, "{user}");
    }
    assert_eq!(
        rules(&config, "alice"),
        [
            "alice.example.com",
            "files.example.org",
            "git.example.net:22/tcp",
            "index.example.org",
            "mirror.corp.example:8081/tcp",
            "packages.example.com:443/tcp",
            "*.cdn.example.com:8443",
        ]
    );
    assert_eq!(
        rules(&config, "bob"),
        ["files.example.org", "index.example.org"]
    );
    assert_eq!(
        origin(&config, "bob"),
        (
            Some("files.example.org,index.example.org".to_owned()),
            part("egress", &file.0, 21)
        )
    );
    assert!(rules(&config, "carol").is_empty());
    assert_eq!(config.egress.deny(), ["203.0.113.7/32".parse().unwrap()]);
    let remote = Identity::from(User {
        issuer: "https://issuer.example".parse().unwrap(),
        subject: "alice".parse().unwrap(),
    });
    let everybody = config.egress.rules(&local("anybody").into());
    assert_eq!(config.egress.rules(&remote), everybody);
    assert!(Arc::ptr_eq(&config.egress.rules(&remote), &everybody));
    assert_eq!(everybody.contact(), Some("ask platform@example.com"));
    assert!(everybody.is_quiet(&casemate_egress::HostName::parse("updates.example.com").unwrap()));
}

#[test]
fn each_rule_knows_the_layer_and_the_line_that_it_is_from() {
    let file = TempFile::new("layers", ALL);
    let config = load(&["--config", file.path()], &[]).unwrap();
    let alice = Identity::from(local("alice"));
    let rules = config.egress.rules(&alice);
    let from: Vec<_> = rules
        .iter()
        .map(|rule| config.egress.layer_of(&alice, rule))
        .collect();
    use RuleLayer::{Everybody as E, User as U};
    assert_eq!(from, [U, E, E, E, E, U, E]);
    let everybody = part("egress.allow", &file.0, 3);
    assert_eq!(config.egress_origin(&alice, E), everybody);
    assert_eq!(config.egress_origin(&alice, U), part("egress", &file.0, 17));
}

#[test]
fn a_flag_and_the_environment_replace_the_files_allow_and_nothing_else() {
    let file = TempFile::new("above", ALL);
    let config = ["--config", file.path()];
    let variable = [("CASEMATE_EGRESS_ALLOW", "v.example.com, @python")];
    let by_variable = load(&config, &variable).unwrap();
    let wanted = ["files.example.org", "index.example.org", "v.example.com"];
    assert_eq!(rules(&by_variable, "anybody"), wanted);
    let (value, from) = origin(&by_variable, "anybody");
    assert_eq!(value, Some(wanted.join(",")));
    assert_eq!(from, Origin::Variable("egress_allow"));
    assert_eq!(by_variable.egress.deny().len(), 1);
    assert_eq!(rules(&by_variable, "bob"), wanted[..2]);
    assert_eq!(rules(&by_variable, "alice").len(), 5);

    let flag = [&config[..], &["--egress-allow", "f.example.com"]].concat();
    let by_flag = load(&flag, &variable).unwrap();
    assert_eq!(rules(&by_flag, "anybody"), ["f.example.com"]);
    // Said on purpose: nothing.
    let none = [&config[..], &["--egress-allow", ""]].concat();
    assert!(rules(&load(&none, &variable).unwrap(), "anybody").is_empty());
    // A variable that is empty is not set.
    let unset = load(&config, &[("CASEMATE_EGRESS_ALLOW", "")]).unwrap();
    assert_eq!(rules(&unset, "anybody"), EVERYBODY);
}

#[test]
fn all_three_names_of_the_setting_mean_the_same_as_the_table() {
    let text = "egress_allow = \"a.example.com,b.example.com:22/tcp\"";
    let table = "[egress]\nallow = [\"a.example.com\", \"b.example.com:22/tcp\"]";
    let text = load_file("text", text).unwrap();
    assert_eq!(values(text), values(load_file("table", table).unwrap()));
}

#[test]
fn a_line_about_many_rules_shows_the_first() {
    let many: Vec<_> = (10..25).map(|n| format!("a{n}.example.com")).collect();
    let config = load(&["--egress-allow", &many.join(",")], &[]).unwrap();
    let line = format!("{} and 5 more: casemate egress show", many[..10].join(","));
    assert_eq!(origin(&config, "bob").0, Some(line));
}

#[test]
fn users_with_the_same_list_share_its_rules() {
    let everybody: Vec<_> = (0..1_000)
        .map(|n| format!("\"a{n}.example.com\""))
        .collect();
    let mut content = format!(
        "[egress]\nlists.a = [{}]\nallow = [\"@a\"]\n",
        everybody.join(",")
    );
    for n in 0..10_000 {
        content +=
            &format!("[[users]]\nuser = \"{n}\"\negress = {{ allow = [\"@a\"], extend = true }}\n");
    }
    let config = load_file("shared", &content).unwrap();
    let first = config.egress.rules(&local("0").into());
    assert_eq!(first.iter().count(), 1_000);
    assert!(Arc::ptr_eq(
        &first,
        &config.egress.rules(&local("9999").into())
    ));
}
