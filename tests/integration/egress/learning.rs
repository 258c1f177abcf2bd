//! `casemate egress denied` and `learn`: from refusals to rules.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::CLIENT;
use super::lab::Lab;
use super::said;
use crate::harness::{Directory, Instance, eventually};

/// Runs `casemate` in the server's namespace.
async fn casemate(lab: &Lab, instance: &Instance, args: &[&str]) -> Output {
    let entering = lab.here.entering();
    let casemate = instance.command(args);
    let mut command = Command::new(&entering[0]);
    command.args(&entering[1..]);
    command
        .arg(casemate.get_program())
        .args(casemate.get_args());
    for (name, value) in casemate.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command.output().await.expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn denied_lists_what_was_refused_lately_as_rules_to_paste() {
    let lab = Lab::new();
    let _allowed = lab.host("allowed.test", "93.184.1.1");
    let directory = Directory::new(0);
    let server = lab.server("[egress]\nallow = [\"allowed.test\"]\n");
    let server = server.env("CASEMATE_AUDIT", directory.text()).start().await;
    super::trust(&lab, &server).await;
    said(
        &server,
        "say([attempt(addresses, 'refused.test'), attempt(addresses, 'a..b'),
              attempt(tls, 'allowed.test', server_name='other.test'), attempt(tls, 'allowed.test')])",
    )
    .await;
    let denied = async |args: &[&str]| {
        let all = [&["egress", "denied", "--audit", directory.text()][..], args].concat();
        let output = casemate(&lab, &server.instance, &all).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    eventually("they are there", Duration::from_secs(5), async || {
        let said = denied(&[]).await;
        said.contains("  \"refused.test\",  # tester, 1x, last ") && said.contains("name_mismatch")
    })
    .await;
    let said = denied(&[]).await;
    let file: toml::Table = toml::from_str(&said).expect(&said);
    let rules = file["egress"]["allow"].as_array().expect("a list");
    assert_eq!(rules.len(), 1, "{said}");
    assert!(
        said.contains("\n# allowed.test:443: name_mismatch, tester, "),
        "{said}"
    );
    let json: Value = serde_json::from_str(&denied(&["--json", "tester"]).await).expect("JSON");
    assert!(
        json.as_array().is_some_and(|rows| rows.len() >= 2),
        "{json}"
    );
    assert!(denied(&["somebody"]).await.starts_with("# No host"));
    assert!(denied(&["--since", "0s"]).await.starts_with("# No host"));

    let without = casemate(&lab, &server.instance, &["egress", "denied"]).await;
    assert_eq!(without.status.code(), Some(1));
    assert!(
        text(&without.stderr).contains("CASEMATE_AUDIT"),
        "{}",
        text(&without.stderr)
    );
}

#[tokio::test]
async fn learn_runs_a_command_on_a_copy_and_prints_what_it_was_refused() {
    let lab = Lab::new();
    let one = lab.host("one.test", "93.184.1.1");
    let instance = Instance::new();
    let directory = Directory::new(0);
    let path = |name: &str| std::path::Path::new(directory.text()).join(name);
    std::fs::create_dir(path("sub")).expect("made");
    std::os::unix::fs::symlink("sub/try.py", path("link.py")).expect("made");
    std::fs::write(path("ca.pem"), lab.certificate()).expect("written");
    let script = "say([attempt(tls, 'one.test'), attempt(addresses, 'two.test')])
open('new', 'w').close()
print('to stderr', file=sys.stderr)";
    std::fs::write(path("sub/try.py"), format!("{CLIENT}\n{script}")).expect("written");
    let learn = async |allow: &[&str]| {
        let begin = ["egress", "learn", "--directory", directory.text()];
        let end = ["--", "python3", "link.py"];
        casemate(&lab, &instance, &[&begin[..], allow, &end[..]].concat()).await
    };
    let first = learn(&[]).await;
    assert_eq!(first.status.code(), Some(1), "{}", text(&first.stderr));
    let said = text(&first.stdout);
    assert!(
        said.contains("  \"one.test\",  # new\n  \"two.test\",  # new\n"),
        "{said}"
    );
    let output = text(&first.stderr);
    assert!(
        output.contains("EAI_NONAME") && output.contains("to stderr"),
        "{output}"
    );
    assert_eq!(one.count(), 0);

    let second = learn(&["--allow", "one.test"]).await;
    let said = text(&second.stdout);
    assert!(
        said.contains("  \"one.test\",\n  \"two.test\",  # new\n"),
        "{said}"
    );
    assert!(
        text(&second.stderr).contains("[\"ping\", "),
        "{}",
        text(&second.stderr)
    );
    toml::from_str::<toml::Table>(&said).expect(&said);

    let begin = ["egress", "learn", "--allow", "one.test", "--", "true"];
    let third = casemate(&lab, &instance, &begin).await;
    assert_eq!(third.status.code(), Some(0), "{}", text(&third.stderr));
    assert!(text(&third.stdout).starts_with("# Nothing was refused.\n"));

    // Neither the directory nor the Engine has anything of it.
    assert!(!path("new").exists());
    assert_eq!(instance.containers(), Vec::<String>::new());
    assert_eq!(instance.volumes(), Vec::<String>::new());
    for (args, words) in [
        (
            &["--allow", "*", "--", "true"][..],
            "--allow cannot be used",
        ),
        (
            &["--directory", "/nowhere-at-all", "--", "true"],
            "could not be copied",
        ),
    ] {
        let wrong = casemate(&lab, &instance, &[&["egress", "learn"], args].concat()).await;
        assert_eq!(wrong.status.code(), Some(1));
        assert!(
            text(&wrong.stderr).contains(words),
            "{}",
            text(&wrong.stderr)
        );
    }
    assert_eq!(instance.volumes(), Vec::<String>::new());
}

#[tokio::test]
async fn learn_for_a_group_has_its_limits_and_prints_its_table() {
    let lab = Lab::new();
    let instance = Instance::new();
    let directory = Directory::new(0);
    let file = format!("{}/casemate.toml", directory.text());
    let groups = "[[groups]]\nname = \"small\"\nusers = [\"ada\"]\nmemory = \"80m\"\n\
                  egress = { allow = [\"one.test\"] }\n";
    std::fs::write(&file, groups).expect("written");
    let learn = async |group: &str| {
        let script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; getent hosts one.test";
        let begin = ["egress", "learn", "--config", &file, "--group", group, "--"];
        casemate(&lab, &instance, &[&begin[..], &[script]].concat()).await
    };
    let first = learn("small").await;
    let (said, output) = (text(&first.stdout), text(&first.stderr));
    assert_eq!(first.status.code(), Some(1), "{output}");
    assert!(output.contains(&(80 << 20).to_string()), "{output}");
    let table: toml::Table = toml::from_str(&said).expect(&said);
    let group = &table["groups"][0];
    assert_eq!(group["name"].as_str(), Some("small"), "{said}");
    let rules = group["egress"]["allow"].as_array().expect("a list");
    assert_eq!(rules[0].as_str(), Some("one.test"), "{said}");

    let unknown = learn("large").await;
    assert_eq!(unknown.status.code(), Some(1));
    let message = text(&unknown.stderr);
    assert!(
        message.contains("no group large; they have: small"),
        "{message}"
    );
    assert_eq!(instance.volumes(), Vec::<String>::new());
}
