//! One user, one sandbox (SECURITY.md, cases 7, 9 and 11): whatever the id is
//! made of, whatever has the name already, and however many come at once.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use casemate::identity::{Instance as InstanceName, SandboxName, User};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{CallResult, Instance, Server, TOOLS_IMAGE, TestServer, docker};

/// Longest id, in bytes.
const LONGEST: usize = casemate::identity::ID_BYTES;

/// The name of a stdio user's container and volume.
fn sandbox_name(instance: &Instance, user: &str) -> String {
    let instance: InstanceName = instance.name().parse().expect("an instance");
    let user = User::local(user.parse().expect("a subject"));
    SandboxName::new(&instance, &user).to_string()
}

// Case 7.

/// Ids that a careless rule takes for one.
fn look_alikes() -> Vec<String> {
    let long = |last: char| format!("{}{last}", "l".repeat(LONGEST - 1));
    let mut users = [
        "a/b",
        "a_b",
        "a.b",
        "A/B",
        "a%2Fb",
        "a/b ",
        " a/b",
        "..",
        "caf\u{e9}",
        "cafe\u{301}",
    ]
    .map(str::to_owned)
    .to_vec();
    users.extend([long('1'), long('2')]);
    users
}

#[tokio::test]
async fn ids_that_look_alike_are_users_apart() {
    let instance = Instance::new();
    let mut servers = Vec::new();
    for user in look_alikes() {
        let server = TestServer::on(&instance).user(&user).start().await;
        let arguments = json!({ "command": "cat > who", "stdin": user });
        let wrote = server.call("shell_exec", arguments).await;
        assert_eq!(wrote.exit_code(), 0, "{}", wrote.0);
        servers.push((user, server));
    }
    for (user, server) in &servers {
        let seen = server.shell("cat who; ls").await;
        assert_eq!(seen.stdout(), format!("{user}who\n"));
        let name = sandbox_name(&instance, user);
        let container = docker::inspect("container", &name);
        let volume = docker::inspect("volume", &name);
        for labels in [&container["Config"]["Labels"], &volume["Labels"]] {
            assert_eq!(labels["io.casemate.user"], user.as_str());
            assert_eq!(labels["io.casemate.issuer"], "local");
            assert_eq!(labels["io.casemate.instance"], instance.name());
        }
        assert_eq!(container["Mounts"][0]["Name"], name.as_str());
    }
    assert_eq!(instance.containers().len(), servers.len());
    assert_eq!(instance.volumes().len(), servers.len());
}

#[tokio::test]
async fn all_clients_that_a_person_starts_as_the_readme_says_have_one_workspace() {
    let instance = Instance::new();
    let file = serde_json::from_str(include_str!("../../mcp.json"));
    let file: Value = file.expect("mcp.json is JSON");
    let entry = &file["mcpServers"]["casemate"];
    assert_eq!(entry["args"], json!(["serve"]));
    let of_the_file = TestServer::on(&instance).started_with(&entry["env"]);
    of_the_file.start().await.write("whose", "one").await;
    // `claude mcp add casemate -- casemate serve`
    let of_a_command = TestServer::on(&instance).started_with(&json!({}));
    let read = of_a_command.start().await.read("whose").await;
    assert_eq!(read.text(), "one", "{}", read.0);
}

/// What `casemate serve` says when it ends at once.
fn refused(arguments: &[&str], user: &str) -> Output {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_casemate"), "serve"])
        .args(arguments)
        .env("CASEMATE_USER", user)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null())
        .output()
        .expect("the server can be run");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    output
}

#[tokio::test]
async fn an_id_that_cannot_be_kept_exactly_is_refused_by_name() {
    let too_long = "l".repeat(LONGEST + 1);
    let ten_kilobytes = "l".repeat(10_000);
    for (user, problem) in [
        (ten_kilobytes.as_str(), "10000 bytes"),
        (&too_long, "1025 bytes"),
        (" ", "blank"),
        ("a\nb", "U+000A"),
        ("a\u{1b}[2Jb", "U+001B"),
        ("a\u{7f}", "U+007F"),
    ] {
        let output = refused(&[], user);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            error.contains("CASEMATE_USER") && error.contains(problem),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
        // Nothing of the value reaches the terminal as it is.
        assert!(
            !error.trim_end().contains(|c: char| c.is_control()),
            "{error:?}"
        );
    }

    // No variable can hold a NUL; a settings file can.
    let file = std::env::temp_dir().join(format!(
        "casemate-test-{}.toml",
        uuid::Uuid::new_v4().simple()
    ));
    std::fs::write(&file, "user = \"a\\u0000b\"\n").expect("a file");
    let output = refused(&["--config", &file.to_string_lossy()], "");
    std::fs::remove_file(&file).expect("it is there");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        error.contains("user") && error.contains("U+0000"),
        "{error}"
    );
}

#[tokio::test]
async fn an_empty_id_is_none_and_the_os_user_counts() {
    let os_user = Command::new("id").arg("-un").output().expect("id");
    let os_user = String::from_utf8(os_user.stdout).expect("UTF-8");
    let server = TestServer::new().user("").start().await;
    assert_eq!(server.shell("true").await.exit_code(), 0);
    docker::inspect(
        "container",
        &sandbox_name(&server.instance, os_user.trim_end()),
    );
}

// Case 9.

/// Labels as `docker create` and `docker volume create` take them: of this user
/// and instance, but for one that is another or missing.
fn foreign_labels(instance: &Instance, user: &str) -> Vec<Vec<String>> {
    let own = [
        ("instance", instance.name()),
        ("user", user),
        ("issuer", "local"),
    ];
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let but = |other: &str, replaced: Option<&str>| -> Vec<String> {
        own.iter()
            .filter_map(|&(name, value)| match name == other {
                true => replaced.map(|value| label(name, value)),
                false => Some(label(name, value)),
            })
            .collect()
    };
    vec![
        Vec::new(),
        but("instance", Some("other")),
        but("user", Some("other")),
        but("user", Some("")),
        but("issuer", Some("https://issuer.example")),
        but("issuer", None),
    ]
}

async fn is_refused(server: &Server) {
    for result in [
        server.shell("echo taken > /workspace/taken").await,
        server.write("taken", "taken").await,
        server.list(".").await,
    ] {
        assert!(result.is_error());
        assert_eq!(result.code(), "foreign", "{}", result.text());
        assert!(
            result.text().contains("CASEMATE_INSTANCE"),
            "{}",
            result.text()
        );
    }
}

#[tokio::test]
async fn a_container_of_the_users_name_that_is_not_the_users_is_left_alone() {
    let server = TestServer::new().user("alice").start().await;
    let name = sandbox_name(&server.instance, "alice");
    for (number, labels) in foreign_labels(&server.instance, "alice").iter().enumerate() {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        // Running, and created only.
        let verb = if number % 2 == 0 {
            &["run", "--detach"][..]
        } else {
            &["create"]
        };
        let command = [
            "--network",
            "none",
            "--name",
            &name,
            TOOLS_IMAGE,
            "sleep",
            "1000",
        ];
        let guard = docker::Container(docker::output(&[verb, &labels, &command].concat()));
        let before = docker::inspect("container", &guard.0);
        is_refused(&server).await;
        assert_eq!(docker::inspect("container", &guard.0), before, "{labels:?}");
        assert_eq!(docker::output(&["diff", &guard.0]), "", "{labels:?}");
    }
    assert!(server.instance.volumes().is_empty());
    // The name is free now, and the same server goes on.
    assert_eq!(server.shell("echo mine").await.stdout(), "mine\n");
    assert_eq!(server.instance.volumes(), [name]);
}

#[tokio::test]
async fn a_volume_of_the_users_name_that_is_not_the_users_is_left_alone() {
    let server = TestServer::new().user("alice").start().await;
    let name = sandbox_name(&server.instance, "alice");
    for labels in foreign_labels(&server.instance, "alice") {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let create = ["volume", "create"];
        let guard = docker::Volume(docker::output(&[&create[..], &labels, &[&name]].concat()));
        let before = docker::inspect("volume", &guard.0);
        is_refused(&server).await;
        assert_eq!(docker::inspect("volume", &guard.0), before, "{labels:?}");
        assert!(
            docker::lines(&[
                "ps",
                "--all",
                "--quiet",
                "--filter",
                &format!("volume={name}")
            ])
            .is_empty()
        );
    }
    assert!(server.instance.containers().is_empty());
    assert_eq!(server.shell("echo mine").await.stdout(), "mine\n");
}

// Case 11.

/// Starts these commands at once and gives their results in order.
async fn at_once(server: &Server, commands: Vec<String>) -> Vec<CallResult> {
    join_all(
        commands
            .into_iter()
            .map(async |command| server.shell(&command).await),
    )
    .await
}

#[tokio::test]
async fn fifty_first_calls_at_once_make_one_container_and_one_volume() {
    let server = TestServer::new().env("CASEMATE_WARM", "off").start().await;
    let commands = (0..50)
        .map(|number| format!("echo {number} | tee file-{number}"))
        .collect();
    for (number, result) in at_once(&server, commands).await.iter().enumerate() {
        assert_eq!(result.stdout(), format!("{number}\n"), "{}", result.0);
        assert!(result.field("sandbox").is_null(), "{}", result.0);
    }
    assert_eq!(server.shell("ls | wc -l").await.stdout(), "50\n");
    assert_eq!(server.instance.containers().len(), 1);
    assert_eq!(
        server.instance.volumes(),
        [sandbox_name(&server.instance, "tester")]
    );
}

#[tokio::test]
async fn two_servers_of_one_user_share_a_container_and_lose_no_call() {
    const CALLS: usize = 100;
    let instance = Instance::new();
    let start = || TestServer::on(&instance).start();
    let (first, second) = tokio::join!(start(), start());
    let ids = |server: &str| -> Vec<String> {
        (0..CALLS)
            .map(|number| format!("{server}-{number}"))
            .collect()
    };
    let commands = |server: &str| {
        ids(server)
            .iter()
            .map(|id| format!("echo {id} | tee -a log"))
            .collect()
    };
    let (of_first, of_second) = tokio::join!(
        at_once(&first, commands("first")),
        at_once(&second, commands("second"))
    );
    let mut all = BTreeSet::new();
    for (results, ids) in [(of_first, ids("first")), (of_second, ids("second"))] {
        assert_eq!(results.len(), CALLS);
        for (result, id) in results.iter().zip(ids) {
            assert_eq!(result.stdout(), format!("{id}\n"), "{}", result.0);
            all.insert(id);
        }
    }
    assert_eq!(instance.containers().len(), 1);
    assert_eq!(instance.volumes().len(), 1);
    // Each was run once.
    let log = second.shell("cat log").await;
    let ran: Vec<&str> = log.stdout().lines().collect();
    assert_eq!(ran.len(), 2 * CALLS);
    assert_eq!(
        ran.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        all
    );
}
