//! `casemate egress`: what sandboxes may reach, by the settings.

mod running;

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{Instance, SettingFile};

const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

const SETTINGS: &str = r#"
[egress]
allow = [
  "packages.example.com",
  "*.cdn.example.com:8443",
  { host = "mirror.corp.example", port = 8081, protocol = "tcp", allow_cidrs = ["10.1.2.0/24"] },
]
deny = ["203.0.113.7"]
contact = "ask platform@example.com"

[[users]]
user = "ada"
egress = { allow = ["git.example.net:22/tcp"], extend = true }

[[users]]
user = "eve"
issuer = "https://issuer.example"
egress = {}
"#;

/// Settings in a file; no verb here needs an Engine.
struct Settings {
    instance: Instance,
    file: SettingFile,
}

impl Settings {
    fn new(content: &str) -> Self {
        Self {
            instance: Instance::new(),
            file: SettingFile::new(content),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.instance.command(args);
        command
            .env("CASEMATE_CONFIG", self.file.path())
            .env("DOCKER_HOST", NO_ENGINE);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    /// Exit code and standard output, with `FILE` for the file's name.
    fn says(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        let file = format!("{:?}", self.file.path());
        (
            output.status.code(),
            text(&output.stdout).replace(&file, "FILE"),
        )
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_check_names_the_rule_and_its_place_or_the_reason() {
    let settings = Settings::new(SETTINGS);
    for (user, target, said) in [
        (
            "bob",
            "Packages.Example.COM.:443",
            "allowed: packages.example.com:443: TLS with this server name, at public addresses\n\
             \x20        by packages.example.com, key egress.allow in line 3 of FILE\n",
        ),
        (
            "bob",
            "packages.example.com",
            "allowed: packages.example.com:443: TLS with this server name, at public addresses\n\
             \x20        by packages.example.com, key egress.allow in line 3 of FILE\n",
        ),
        (
            "bob",
            "mirror.corp.example:8081",
            "allowed: mirror.corp.example:8081: any bytes, at public addresses and in 10.1.2.0/24\n\
             \x20        by mirror.corp.example:8081/tcp, key egress.allow in line 3 of FILE\n",
        ),
        (
            "ada",
            "git.example.net:22",
            "allowed: git.example.net:22: any bytes, at public addresses\n\
             \x20        by git.example.net:22/tcp, key egress in line 13 of FILE\n",
        ),
        (
            "ada",
            "a.b.cdn.example.com:8443",
            "allowed: a.b.cdn.example.com:8443: TLS with this server name, at public addresses\n\
             \x20        by *.cdn.example.com:8443, key egress.allow in line 3 of FILE\n",
        ),
    ] {
        let wanted = (Some(0), said.to_owned());
        assert_eq!(settings.says(&["egress", "check", user, target]), wanted);
    }
    for (user, target, said) in [
        (
            "bob",
            "git.example.net:22",
            "refused: git.example.net:22: no rule allows it (not_allowed); ask \
             platform@example.com\n",
        ),
        (
            "bob",
            "packages.example.com:80",
            "refused: packages.example.com:80: no rule allows it (not_allowed); allowed ports: 443; \
             ask platform@example.com\n",
        ),
        (
            "bob",
            "cdn.example.com:8443",
            "refused: cdn.example.com:8443: no rule allows it (not_allowed); ask \
             platform@example.com\n",
        ),
    ] {
        let wanted = (Some(1), said.to_owned());
        assert_eq!(settings.says(&["egress", "check", user, target]), wanted);
    }
    for address in [
        "10.1.2.3:8081",
        "[::1]:443",
        "::1",
        "0x0a010203:8081",
        "a%b.example.com",
    ] {
        let (code, said) = settings.says(&["egress", "check", "bob", address]);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.starts_with("refused: ") && said.ends_with("(invalid_name)\n"),
            "{said}"
        );
    }
    let usage = settings.run(&["egress", "check", "bob", "packages.example.com:0"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn show_lists_the_rules_in_force_and_the_environment_goes_before_the_file() {
    let settings = Settings::new(SETTINGS);
    let (code, said) = settings.says(&["egress", "show", "ada"]);
    assert_eq!(code, Some(0));
    let (table, hash) = said.split_once("hash     ").expect("a hash");
    assert_eq!(
        table,
        "\
RULE                           CONTENT     ALSO AT       FROM
git.example.net:22/tcp         any bytes   -             key egress in line 13 of FILE
mirror.corp.example:8081/tcp   any bytes   10.1.2.0/24   key egress.allow in line 3 of FILE
packages.example.com           TLS         -             key egress.allow in line 3 of FILE
*.cdn.example.com:8443         TLS         -             key egress.allow in line 3 of FILE

never    203.0.113.7/32
contact  ask platform@example.com
"
    );
    assert!(
        hash.len() == 17 && hash.trim_end().bytes().all(|b| b.is_ascii_hexdigit()),
        "{hash}"
    );
    // Everybody without a list has the same rules, and others than ada.
    let hash_of = |user: &str| {
        let (_, said) = settings.says(&["egress", "show", user]);
        said.rsplit_once(' ').expect("a hash").1.to_owned()
    };
    assert_eq!(hash_of("bob"), hash_of("carol"));
    assert_ne!(hash_of("bob"), hash);

    let shown = settings
        .command(&["egress", "show", "ada", "--json"])
        .env("CASEMATE_EGRESS_ALLOW", "v.example.com")
        .output()
        .expect("it runs");
    let mut shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_ne!(shown["hash"].take(), json!(hash.trim_end()));
    assert!(shown["rules"][0]["from"].take().is_string());
    assert_eq!(
        shown,
        json!({
            "user": "ada",
            "issuer": "local",
            "proxy": null,
            "rules": [
                {
                    "rule": "git.example.net:22/tcp", "host": "git.example.net", "port": 22,
                    "protocol": "tcp", "allow_cidrs": [], "layer": "user", "from": null,
                },
                {
                    "rule": "v.example.com", "host": "v.example.com", "port": 443,
                    "protocol": "tls", "allow_cidrs": [], "layer": "everybody",
                    "from": "variable CASEMATE_EGRESS_ALLOW",
                },
            ],
            "deny": ["203.0.113.7/32"],
            "contact": "ask platform@example.com",
            "summary": "The network reaches only: git.example.net:22/tcp, v.example.com (TLS, \
                        except where /tcp is written). Bind servers to 127.0.0.1.",
            "hash": null,
        })
    );
}

#[test]
fn a_name_that_has_rules_at_another_issuer_is_not_guessed() {
    let settings = Settings::new(SETTINGS);
    let output = settings.run(&["egress", "show", "eve"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("local") && said.contains("--issuer"),
        "{said}"
    );
    let issuer = ["--issuer", "https://issuer.example"];
    let (_, said) = settings.says(&[&["egress", "show", "eve"][..], &issuer].concat());
    assert!(
        said.starts_with("No rule: nothing can be reached.\n"),
        "{said}"
    );
    let local = ["egress", "show", "eve", "--issuer", "local"];
    assert!(settings.says(&local).1.contains("packages.example.com"));
}

#[test]
fn settings_that_are_wrong_end_verb_and_server_with_file_line_and_key() {
    let settings = Settings::new("[egress]\nallow = [\n  \"*.co.uk\",\n]\n");
    for verb in [&["egress", "show", "bob"][..], &["serve"]] {
        let output = settings.run(verb);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let place = format!(
            "key egress.allow[0] in line 3 of {:?}: \"*.co.uk\"",
            settings.file.path()
        );
        assert!(said.contains(&place) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}
