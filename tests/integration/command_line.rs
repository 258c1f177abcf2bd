//! Output of the verbs, on a terminal and into a pipe.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use crate::harness::{Directory, Instance};

/// A user who is not in the Engine's group.
const STRANGER: u32 = 65_533;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(instance: &Instance, args: &[&str]) -> Output {
    instance.command(args).output().expect("it runs")
}

#[test]
fn a_user_who_may_not_open_the_socket_is_told_which_group_may() {
    let directory = Directory::new(0);
    let socket = format!("{}/docker.sock", directory.text());
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    // The group of this number has this name on every Linux.
    let (group, gid) = ("daemon", 1);
    std::os::unix::fs::chown(&socket, Some(0), Some(gid)).expect("a group");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).expect("a mode");
    let instance = Instance::new();
    let ps = instance
        .command(&["ps"])
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .uid(STRANGER)
        .gid(STRANGER)
        .output()
        .expect("it runs");
    let said = text(&ps.stderr);
    assert_eq!(ps.status.code(), Some(1), "{said}");
    for words in [
        "permission denied",
        &format!("usermod -aG {group}"),
        &socket,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("hyper"), "{said}");
}

#[test]
fn a_token_that_is_piped_into_the_file_does_not_store_the_secret() {
    let instance = Instance::new();
    let piped = run(&instance, &["token", "--user", "ada"]);
    let (table, secret) = (text(&piped.stdout), text(&piped.stderr));
    assert!(table.starts_with("[[tokens]]\n"), "{table}");
    assert!(
        !table.contains("cm_") && secret.contains("cm_"),
        "{table}{secret}"
    );
}

#[test]
fn a_token_is_appended_to_its_file_which_only_its_owner_can_read() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let file = format!("{}/tokens.toml", directory.text());
    for user in ["ada", "bob"] {
        let made = run(&instance, &["token", "--user", user, "--append", &file]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let secret = text(&made.stdout);
        assert!(
            secret.starts_with("cm_") && secret.lines().count() == 1,
            "{secret}"
        );
    }
    let content = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(content.matches("[[tokens]]").count(), 2, "{content}");
    assert!(!content.contains("cm_"), "{content}");
    let mode = std::fs::metadata(&file)
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let instance = Instance::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ps = instance
        .command(&["ps", "--json"])
        .stdout(writer)
        .output()
        .expect("it runs");
    assert_eq!(text(&ps.stderr), "");
    assert_eq!(ps.status.code(), Some(141));
}

#[test]
fn a_port_alone_is_one_of_loopback_for_both_addresses() {
    let instance = Instance::new();
    for address in ["0", ":0", "localhost:0", "127.0.0.1:0"] {
        let mut serve = instance
            .command(&["serve", "--http", address, "--admin", address])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(
            serve.stderr.take().expect("stderr"),
        ));
        for words in ["metrics on 127.0.0.1:", "listening on 127.0.0.1:"] {
            let line = lines.next().expect("a line").expect("text");
            assert!(line.starts_with(words), "{address}: {line}");
        }
        serve.kill().expect("it is killed");
        serve.wait().expect("it ends");
    }
    let refused = run(&instance, &["serve", "--http", "example.com:80"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[test]
fn serve_tells_a_person_at_a_terminal_what_it_waits_for() {
    let instance = Instance::new();
    let serve = instance.command(&["serve"]);
    let program = serve.get_program().to_string_lossy().into_owned();
    // script(1) gives it a terminal; the end of its input is the end of the session.
    let output = Command::new("script")
        .args([
            "--quiet",
            "--command",
            &format!("{program} serve"),
            "/dev/null",
        ])
        .env("CASEMATE_INSTANCE", instance.name())
        .stdin(Stdio::null())
        .output()
        .expect("script(1) runs");
    let said = text(&output.stdout);
    assert!(said.contains("waits for an MCP client"), "{said}");
}
