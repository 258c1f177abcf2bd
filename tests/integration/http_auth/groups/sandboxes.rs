//! The sandbox of a user whose group changes.

use std::process::{Command, Output};

use serde_json::Value;

use super::super::super::audit;
use super::super::super::harness::{Application, Directory, Instance, docker};
use super::super::jwt::ISSUER;
use super::*;

const LABEL: &str = "io.casemate.group";

/// The kernel's limit of processes.
const PIDS: &str = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2> /dev/null";

fn label(instance: &Instance) -> Value {
    docker::inspect("container", &instance.container())["Config"]["Labels"][LABEL].clone()
}

fn ps(instance: &Instance) -> Value {
    let output = instance
        .command(&["ps", "--json"])
        .output()
        .expect("it runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A verb of the command line with the settings of the server.
fn verb(grouped: &Grouped, args: &[&str]) -> Output {
    let mut command: Command = grouped.server.instance.command(args);
    command
        .env("CASEMATE_CONFIG", grouped.settings.text())
        .env("CASEMATE_AUTH", "jwt")
        .env("CASEMATE_JWT_ISSUER", ISSUER)
        .env("CASEMATE_JWT_AUDIENCE", jwt::AUDIENCE)
        .env("CASEMATE_JWT_JWKS", "/srv/keys.json");
    command.output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn another_group_has_a_new_sandbox_with_the_same_files_once_the_old_one_is_idle() {
    let directory = Directory::new(0);
    let grouped = Grouped::on(SETTINGS, |server| {
        server
            .env("CASEMATE_AUDIT", directory.text())
            .env("CASEMATE_ADMIN", "127.0.0.1:0")
    })
    .await;
    let instance = &grouped.server.instance;
    let made = format!("{PIDS}; echo mine > file");
    let result = grouped.shell(&groups(&["analysts"]), &made).await;
    assert_eq!(result.stdout(), "104\n", "{}", result.0);
    assert_eq!(label(instance), "analysts");
    let volumes = instance.volumes();
    assert!(docker::inspect("volume", &volumes[0])["Labels"][LABEL].is_null());
    assert_eq!(ps(instance)[0]["group"], "analysts");

    // Something runs: the old sandbox stays, and nothing is done in it for the other group.
    let left = "sleep 1000 > /dev/null 2>&1 & echo $!";
    let left = grouped.shell(&groups(&["analysts"]), left).await;
    let (first, pid) = (instance.container(), left.stdout().trim().to_owned());
    for names in [&["ops"][..], &[]] {
        let result = grouped.shell(&groups(names), "touch wrong").await;
        assert_eq!(result.code(), "group_changed", "{}", result.0);
    }
    let kill = format!("ls; kill {pid}");
    let result = grouped.shell(&groups(&["analysts"]), &kill).await;
    assert_eq!(result.stdout(), "file\n", "{}", result.0);
    assert_eq!(instance.container(), first);

    let seen = format!("{PIDS}; cat file");
    for (names, pids, group) in [
        (&["ops"][..], "105", json!("ops")),
        (&[], "101", json!(null)),
        (&["analysts"], "104", json!("analysts")),
    ] {
        let mut result = grouped.shell(&groups(names), &seen).await;
        // A process that was killed may be there for another moment.
        for _ in 0..50 {
            if result.code() != "group_changed" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            result = grouped.shell(&groups(names), &seen).await;
        }
        assert_eq!(result.stdout(), format!("{pids}\nmine\n"), "{}", result.0);
        assert_eq!(label(instance), group);
        assert_eq!(ps(instance)[0]["group"], group);
    }
    assert_ne!(instance.container(), first);
    assert_eq!(instance.volumes(), volumes);

    let lines = audit::lines(&directory);
    let calls = lines.iter().filter(|line| line["kind"] == "call");
    let recorded: Vec<_> = calls.map(|line| line["user"]["group"].clone()).collect();
    for group in [json!("analysts"), json!("ops"), json!(null)] {
        assert!(recorded.contains(&group), "{recorded:?}");
    }
    let admin = grouped.server.admin.expect("an address");
    let request = grouped.server.request("GET", "/metrics");
    let metrics = grouped
        .server
        .send_to(admin, request, "")
        .await
        .text()
        .await;
    assert!(metrics.contains("casemate_"), "{metrics}");
    assert!(
        !metrics.contains("analysts"),
        "a group is no label of a metric"
    );
}

#[tokio::test]
async fn two_servers_and_two_groups_at_once_share_no_sandbox() {
    let grouped = Grouped::new(SETTINGS).await;
    let (key, instance) = (&grouped.key, &grouped.server.instance);
    let keys = SettingFile::new(&json!({ "keys": [key.jwk("a")] }).to_string());
    let second = TestServer::on(instance)
        .env("CASEMATE_AUTH", "jwt")
        .env("CASEMATE_JWT_ISSUER", ISSUER)
        .env("CASEMATE_JWT_AUDIENCE", jwt::AUDIENCE)
        .env("CASEMATE_JWT_JWKS", &keys.text())
        .env("CASEMATE_CONFIG", &grouped.settings.text())
        .start_http()
        .await;
    let servers = [&grouped.server, &second];
    let calls = (0..24).map(|at| {
        let (name, pids) = [("analysts", "104\n"), ("ops", "105\n")][at % 2];
        let bearer = grouped.bearer(&groups(&[name]));
        let server = servers[at / 2 % 2];
        async move {
            let headers = [("authorization", bearer.as_str())];
            let arguments = json!({ "command": PIDS });
            let result = call(server, &headers, "shell_exec", arguments).await;
            if result.is_error() {
                let code = result.code();
                assert!(
                    ["group_changed", "sandbox_unavailable"].contains(&code),
                    "{}",
                    result.0
                );
                return 0;
            }
            // Each command ran by the limits of its caller's group.
            if result.outcome() == "exited" {
                assert_eq!(result.stdout(), pids, "{}", result.0);
            }
            1
        }
    });
    let ran: usize = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .sum();
    assert!(ran > 0);
    assert!(instance.containers().len() <= 1);
    assert_eq!(instance.volumes().len(), 1);
}

#[tokio::test]
async fn an_operators_command_runs_in_the_group_of_the_container() {
    let grouped = Grouped::new(SETTINGS).await;
    let exec = |args: &[&str]| {
        let all = [&["exec", "alice", "--issuer", ISSUER], args, &["--", PIDS]].concat();
        verb(&grouped, &all)
    };
    grouped.shell(&groups(&["ops"]), "true").await;
    let container = grouped.server.instance.container();
    assert_eq!(out(&exec(&[])), "105\n");
    assert_eq!(grouped.server.instance.container(), container);
    docker::output(&["rm", "--force", &container]);

    // Without a container nothing shows the group, and it is not that of other users.
    let unknown = exec(&[]);
    let errors = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{errors}");
    assert!(errors.contains("--group"), "{errors}");
    assert!(grouped.server.instance.containers().is_empty());
    let wrong = exec(&["--group", "nobodys"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(out(&exec(&["--group", "analysts"])), "104\n");
    assert_eq!(label(&grouped.server.instance), "analysts");
}

#[tokio::test]
async fn a_delegates_users_are_a_group_and_its_neighbours_are_not() {
    let settings = SettingFile::new(
        "pids = 101\n[[groups]]\nname = \"listed\"\nissuer = \"app\"\nusers = [\"ada\"]\npids = 106\n\
         [[groups]]\nname = \"chat\"\ndelegate = \"app\"\npids = 107\n\
         [[groups]]\nname = \"other\"\ndelegate = \"app2\"\npids = 108\n",
    );
    let server = TestServer::new().env("CASEMATE_CONFIG", &settings.text());
    let app = Application::start(server).await;
    for (user, pids) in [("ada", "106\n"), ("Ada", "107\n"), ("app2", "107\n")] {
        let result = app.shell(user, PIDS).await;
        assert_eq!(result.stdout(), pids, "{user}: {}", result.0);
    }
}

#[test]
fn the_settings_of_a_user_are_shown_with_where_each_is_from() {
    let content = "memory = \"1g\"\n[[groups]]\nname = \"analysts\"\nusers = [\"ada\"]\nmemory = \"2g\"\n\
                   egress = { allow = [\"a.example.com\"] }\n\
                   [[groups]]\nname = \"chat\"\ndelegate = \"local2\"\n\
                   [[groups]]\nname = \"staff\"\nclaims = { groups = \"staff\" }\npids = 120\n\
                   [[groups]]\nname = \"leads\"\nclaims = { groups = \"leads\" }\n\
                   [[users]]\nuser = \"ada\"\npids = 130\n";
    let file = SettingFile::new(content);
    let path = file.text();
    let jwt = [
        ("CASEMATE_CONFIG", path.as_str()),
        ("CASEMATE_AUTH", "jwt"),
        ("CASEMATE_JWT_ISSUER", ISSUER),
        ("CASEMATE_JWT_AUDIENCE", "a"),
        ("CASEMATE_JWT_JWKS", "/srv/keys.json"),
    ];
    let (code, text, errors) = casemate(&["settings", "ada"], &jwt);
    assert_eq!(code, Some(0), "{errors}");
    let from = |line: usize| format!("line {line} of {path:?}");
    for expected in [
        "user     ada, issuer local".to_owned(),
        format!("group    analysts, by users, {}", from(2)),
        format!("key memory in {}", from(5)),
        format!("key pids in {}", from(19)),
        format!("key egress in {}", from(6)),
    ] {
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    assert!(!text.contains("also in"), "{text}");

    let show = |args: &[&str]| {
        let all = [&["settings", "--json", "bob", "--issuer", ISSUER], args].concat();
        casemate(&all, &jwt)
    };
    // Which group it is, only the token knows.
    let (code, text, errors) = show(&[]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("--claim"), "{errors}");
    let (code, text, _) = show(&["--claim", "groups=leads", "--claim", "groups=staff"]);
    assert_eq!(code, Some(0));
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        shown["group"],
        json!({ "name": "staff", "by": "claims", "from": from(10) })
    );
    assert_eq!(shown["other_groups"][0]["name"], "leads");
    let settings = shown["settings"].as_array().expect("a list");
    let pids = settings.iter().find(|row| row["key"] == "pids");
    let expected =
        json!({ "key": "pids", "value": "120", "from": format!("key pids in {}", from(13)) });
    assert_eq!(pids, Some(&expected));
    let (_, text, _) = show(&["--claim", "groups=none"]);
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(shown["group"], json!(null));
    let (code, ..) = show(&["--claim", "other=staff"]);
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_backup_a_restore_and_a_hold_need_no_claim_and_the_group_stays() {
    let grouped = Grouped::new(SETTINGS).await;
    let target = Directory::new(0);
    let ops = groups(&["ops"]);
    let done = |args: &[&str]| {
        let output = verb(&grouped, &[args, &["--issuer", ISSUER]].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        out(&output)
    };
    grouped.shell(&ops, "echo old > file").await;
    done(&["backup", "alice", "--to", target.text()]);
    assert_eq!(ps(&grouped.server.instance)[0]["group"], "ops");

    grouped.shell(&ops, "echo new > file").await;
    done(&["restore", "alice", "--from", target.text(), "--force"]);
    done(&["hold", "alice"]);
    let result = grouped.shell(&ops, &format!("cat file; {PIDS}")).await;
    assert_eq!(result.stdout(), "old\n105\n", "{}", result.0);
    assert_eq!(label(&grouped.server.instance), "ops");
}
