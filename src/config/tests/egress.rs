//! What sandboxes may reach: where it is given, and what is refused with its place.

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
    let rules = config.egress.rules(&local(user));
    rules.iter().map(ToString::to_string).collect()
}

fn origin(config: &Config, user: &str) -> (Option<String>, Origin) {
    let in_force = config.in_force(&local(user)).into_iter();
    let mut found = in_force.filter(|it| it.setting == Setting::EgressAllow);
    let found = found.next().unwrap();
    (found.value, found.origin)
}

fn part(key: &str, file: &Path, line: usize) -> Origin {
    let path = file.into();
    Origin::Part(key.to_owned(), FileLocation { path, line })
}

/// The message, without the path.
fn error(content: &str) -> String {
    let file = TempFile::new("egress", content);
    let error = refused(&["--config", file.path()], &[]);
    error.replace(&format!("{:?}", file.0), "FILE")
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
        assert!(config.egress.rules(&local("alice")).is_empty(), "{content}");
        let value = origin(&config, "bob").0;
        assert_eq!(value.as_deref(), Some("nothing"), "{content}");
    }
    let own = "[[users]]\nuser = \"alice\"\negress.allow = [\"a.example.com\"]";
    let config = load_file("own", own).unwrap();
    assert!(!config.egress.is_empty());
    assert!(config.egress.rules(&local("bob")).is_empty());
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
    let remote = User {
        issuer: "https://issuer.example".parse().unwrap(),
        subject: "alice".parse().unwrap(),
    };
    let everybody = config.egress.rules(&local("anybody"));
    assert_eq!(config.egress.rules(&remote), everybody);
    assert!(Arc::ptr_eq(&config.egress.rules(&remote), &everybody));
    assert_eq!(everybody.contact(), Some("ask platform@example.com"));
    assert!(everybody.is_quiet(&casemate_egress::HostName::parse("updates.example.com").unwrap()));
}

#[test]
fn each_rule_knows_the_layer_and_the_line_that_it_is_from() {
    let file = TempFile::new("layers", ALL);
    let config = load(&["--config", file.path()], &[]).unwrap();
    let alice = local("alice");
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
fn what_is_not_valid_is_refused_with_file_line_key_and_reason() {
    for (content, message) in [
        (
            "[egress]\nallow = [\n  \"a.example.com\",\n  \"*.co.uk\",\n]",
            "key egress.allow[1] in line 4 of FILE: \"*.co.uk\" is not allowed: anybody can \
             register a name below this public suffix: name the hosts",
        ),
        (
            "[egress]\nallow = [\"a.example.com\"]\ndeny = [\n\"10.0.0.0/8\", \"10/8\"]",
            "key egress.deny[1] in line 4 of FILE: \"10/8\" is not allowed: a network is written \
             as in `10.1.2.0/24`",
        ),
        (
            "[egress]\nlists.a = [\"a.example.com\"]\nlists.\"b.c[0]\" = [\n\"d.example.com:0\"]",
            "key egress.lists.b.c[0][0] in line 4 of FILE: \"d.example.com:0\" is not allowed: a \
             port is a number from 1 to 65535",
        ),
        (
            "[egress]\nallow = [\"@python\"]",
            "key egress.allow[0] in line 2 of FILE: \"@python\" is not allowed: no such list in \
             [egress.lists]",
        ),
        (
            "[egress]\n\ncontact = \"a\\nb\"",
            "key egress.contact in line 3 of FILE: \"a\\nb\" is not allowed: one line of at most \
             200 characters",
        ),
        (
            "egress_allow = \"a.example.com,b\"",
            "key egress_allow in line 1 of FILE: \"b\" is not allowed: names of one part, names \
             that begin with wpad., and names under .localhost, .local, .internal and .arpa are \
             never looked up",
        ),
        (
            "[[users]]\nuser = \"a\"\n\n[users.egress]\nallow = [\"a.example.com\",\n\"b/tcp\"]",
            "key egress.allow[1] in line 6 of FILE: \"b/tcp\" is not allowed: names of one part, \
             names that begin with wpad., and names under .localhost, .local, .internal and .arpa \
             are never looked up",
        ),
    ] {
        assert_eq!(error(content), message);
    }
    for address in ["127.0.0.1", "0x7f000001:443", "[::1]:443", "::1", "127.1"] {
        let message = error(&format!("[egress]\nallow = [{address:?}]"));
        let start = format!("key egress.allow[0] in line 2 of FILE: {address:?} is not allowed: ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn the_variable_and_the_flag_are_named_with_the_entry_that_is_wrong() {
    let variable = [("CASEMATE_EGRESS_ALLOW", "a.example.com,*.com")];
    let reason = "anybody can register a name below this public suffix: name the hosts";
    assert_eq!(
        refused(&[], &variable),
        format!("variable CASEMATE_EGRESS_ALLOW: \"*.com\" is not allowed: {reason}")
    );
    assert_eq!(
        refused(&["--egress-allow", "*.com"], &[]),
        format!("flag --egress-allow: \"*.com\" is not allowed: {reason}")
    );
    // Of the table's other parts the place is still the file's.
    let file = TempFile::new("deny", "[egress]\ndeny = [\"a\"]");
    let message = refused(
        &["--config", file.path()],
        &[("CASEMATE_EGRESS_ALLOW", "a.example.com")],
    );
    assert!(
        message.starts_with("key egress.deny[0] in line 2 of "),
        "{message}"
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_with_line_and_key() {
    for (content, message) in [
        (
            "[egress]\nalow = []",
            "unknown key \"alow\" in line 2 of FILE; the nearest known one is allow",
        ),
        (
            "[egress]\nallow = [\n{ host = \"a.example.com\",\n  prot = 1 }]",
            "unknown key \"prot\" in line 4 of FILE; the nearest known one is port",
        ),
        (
            "[egress]\nlists.a = [{ hots = 1 }]",
            "unknown key \"hots\" in line 2 of FILE; the nearest known one is host",
        ),
        (
            "[[users]]\nuser = \"a\"\negress = { deny = [] }",
            "unknown key \"deny\" in line 3 of FILE; the nearest known one is extend",
        ),
        (
            "[egres]",
            "unknown key \"egres\" in line 1 of FILE; the nearest known one is egress",
        ),
        (
            "\negress = [\"a.example.com\"]",
            "line 2 of FILE: egress is a table, found array",
        ),
        (
            "[egress]\nallow = \"a.example.com\"",
            "key egress.allow in line 2 of FILE: invalid type: string \"a.example.com\", expected \
             a sequence",
        ),
        (
            "[egress]\nallow = [\n\"a.example.com\",\n7]",
            "key egress.allow[1] in line 4 of FILE: invalid type: integer `7`, expected a host as \
             in \"example.com:443\", or a table with `host`",
        ),
        (
            "[egress]\nallow = [{ host = \"a.example.com\", port = 70000 }]",
            "key egress.allow[0].port in line 2 of FILE: invalid value: integer `70000`, expected \
             u16",
        ),
        (
            "[egress]\nallow = [{ port = 7 }]",
            "key egress.allow[0] in line 2 of FILE: missing field `host`",
        ),
        (
            "[[users]]\nuser = \"a\"\negress_allow = \"a.example.com\"",
            "key egress_allow in line 3 of FILE: it holds for all users; a user may have: mode, \
             image, memory, cpus, pids, quota, idle_timeout, background_ttl, calls_per_user, \
             ephemeral_live, egress",
        ),
        (
            "egress_allow = \"a.example.com\"\n[egress]\nallow = []",
            "key egress_allow in line 1 of FILE: allow in [egress] is the same setting: line 3 of \
             FILE",
        ),
    ] {
        assert_eq!(error(content), message);
    }
}

#[test]
fn an_error_about_a_long_text_is_short() {
    let long = "é".repeat(100_000);
    for content in [
        format!("[egress]\nallow = [\"{long}\"]"),
        format!("[egress]\nallow = \"{long}\""),
        format!("[egress]\nlists.\"{long}\" = [\"-\"]"),
        format!("[egress]\nlists.\"{long}\" = 7"),
        format!("[[users]]\nuser = \"a\"\negress.extend = \"{long}\""),
    ] {
        let message = error(&content);
        assert!(message.len() < 1_000, "{message}");
    }
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
    let first = config.egress.rules(&local("0"));
    assert_eq!(first.iter().count(), 1_000);
    assert!(Arc::ptr_eq(&first, &config.egress.rules(&local("9999"))));
}
