//! The modes, servers with other settings, and what is an error at the start.

use casemate::config::Mode;

use super::*;

#[tokio::test]
async fn in_ephemeral_mode_each_command_after_the_next_spare_has_the_newest() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let server = lab.server("ada").mode(Mode::Ephemeral).start().await;
    assert_eq!(value(&server).await, "one");
    assert_eq!(server.read(&format!("{AT}/value")).await.text(), "one");
    eventually("a spare waits", SOON, async || {
        lab.instance.containers().len() == 1
    })
    .await;
    // The spare that waits is of the version before, unless it is ended.
    lab.file("value", "two");
    let put = lab.put(&["--now"]);
    assert_eq!(put["retired"][0]["user"], "ada", "{put}");
    assert_eq!(value(&server).await, "two");
    lab.put_value("three");
    eventually("the spares are of the newest", SOON, async || {
        value(&server).await == "three"
    })
    .await;
    assert_eq!(server.read(&format!("{AT}/value")).await.text(), "three");
}

#[tokio::test]
async fn in_bind_mode_it_is_beside_the_directory() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let directory = Directory::new(1000);
    let server = lab
        .server("ada")
        .mode(Mode::Bind)
        .env("CASEMATE_BIND_DIR", directory.text())
        .start()
        .await;
    let result = server.shell(&format!("cp {AT}/value own; cat own")).await;
    assert_eq!(result.stdout(), "one", "{}", result.0);
    assert_eq!(server.read(&format!("{AT}/value")).await.text(), "one");
    let own = std::fs::read_to_string(Path::new(directory.text()).join("own"));
    assert_eq!(own.expect("a file"), "one");
}

#[tokio::test]
async fn without_a_version_a_sandbox_begins_without_it_and_doctor_says_so() {
    let lab = Lab::new(FOR_ALL);
    let server = lab.start("ada").await;
    let result = server.shell(&format!("ls {AT} 2>&1; true")).await;
    assert!(result.stdout().contains("No such file"), "{}", result.0);
    let read = server.read(&format!("{AT}/value")).await;
    assert_eq!(read.code(), "not_found", "{}", read.0);
    let findings = lab
        .command(&["doctor", "--json"])
        .output()
        .expect("it runs");
    let findings: Value = serde_json::from_slice(&findings.stdout).expect("JSON");
    let findings = findings.to_string();
    assert!(
        findings.contains("casemate shared put datasets DIR"),
        "{findings}"
    );

    // The first version is a new one as any other.
    let container = lab.instance.container();
    lab.put_value("one");
    let again = server.shell("echo as before").await;
    assert!(again.field("sandbox").is_null(), "{}", again.0);
    assert_eq!(lab.instance.container(), container);
    let other = lab.start("bob").await;
    assert_eq!(value(&other).await, "one");
}

#[tokio::test]
async fn a_server_that_does_not_give_it_never_uses_a_sandbox_that_has_it() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let giving = lab.start("ada").await;
    assert_eq!(value(&giving).await, "one");
    let first = lab.instance.container();
    let other = TestServer::on(&lab.instance).user("ada").start().await;
    // Idle, it makes room for one without.
    let result = other
        .shell(&format!("ls {AT} 2> /dev/null; echo none"))
        .await;
    assert_eq!(result.stdout(), "none\n", "{}", result.0);
    assert_ne!(lab.instance.container(), first);
    // The older of the two uses it as it is.
    let result = giving
        .shell(&format!("ls {AT} 2> /dev/null; echo none"))
        .await;
    assert_eq!(result.stdout(), "none\n", "{}", result.0);
    // Busy, it is an error.
    docker::output(&["rm", "--force", &lab.instance.container()]);
    // A list is repeated where the server learns of the end only now, and a command is not.
    giving.list(".").await;
    assert_eq!(value(&giving).await, "one");
    giving.shell("(sleep 1000 > /dev/null 2>&1 &)").await;
    let refused = other.shell("true").await;
    assert!(refused.is_error(), "{}", refused.0);
    assert_eq!(value(&giving).await, "one");
}

#[test]
fn names_and_paths_that_clash_are_errors_at_the_start() {
    let table = |name: &str, path: &str| format!("[[shared]]\nname = {name:?}\npath = {path:?}\n");
    for (settings, part) in [
        (
            table("a", "/workspace/a"),
            "no shared data may be in the workspace",
        ),
        (table("a", "/usr/share/a"), "in a directory of the system"),
        (table("a", "/etc"), "in a directory of the system"),
        (table("a", "/proc/a"), "in a directory of the system"),
        (table("a", "/casemate-init"), "in a directory of the system"),
        (table("a", "a"), "an absolute path"),
        (table("A", "/shared/a"), "the name of shared data has"),
        (
            table("a", "/shared/a") + &table("a", "/shared/b"),
            "a has a [[shared]] table already",
        ),
        (
            table("a", "/shared/a") + &table("b", "/shared/a/b"),
            "no share may be in another",
        ),
        (
            "shared_data = \"a\"\n".to_owned(),
            "\"a\" has no [[shared]] table",
        ),
    ] {
        for mode in ["persistent", "ephemeral", "bind"] {
            let lab = Lab::new(&settings);
            let mut command = lab.command(&["serve"]);
            command.env("CASEMATE_MODE", mode);
            command.env("CASEMATE_BIND_DIR", lab.data.text());
            if mode != "bind" {
                command.env_remove("CASEMATE_BIND_DIR");
            }
            let output = command.output().expect("it runs");
            let errors = text(&output.stderr);
            assert!(
                !output.status.success() && errors.contains(part),
                "{settings}{mode}: {errors}"
            );
        }
    }
}

#[tokio::test]
async fn pid_1_does_not_begin_where_shared_data_can_be_written() {
    // As a server would make it, but without the one flag.
    let lab = Lab::with_value(FOR_ALL, "one");
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
    let stored = docker::inspect("container", &lab.instance.container());
    let volume = lab.list()[0]["volume"]
        .as_str()
        .expect("a volume")
        .to_owned();
    let image = stored["Image"].as_str().expect("an image");
    let run = |mode: &str, uid: &str| {
        let mount = format!("type=volume,source={volume},target={AT}{mode}");
        let user = format!("{uid}:{uid}");
        let output = Command::new("timeout")
            .args([
                "60",
                "docker",
                "run",
                "--rm",
                "--network=none",
                "--read-only",
            ])
            .args(["--user", &user, "--mount", &mount])
            .args(["--tmpfs", &format!("/workspace:uid={uid},mode=0700")])
            .args(["--entrypoint", "/casemate-init", image, "pid1"])
            .args(["--idle-timeout-ms=100", "--background-ttl-ms=0", "--spec=a"])
            .arg(format!("--shared={AT}"))
            .output();
        let output = output.expect("docker");
        (output.status.code(), text(&output.stderr))
    };
    for uid in ["0", "70000"] {
        let (code, errors) = run("", uid);
        assert_eq!(code, Some(80), "{uid}: {errors}");
        assert!(
            errors.contains("/shared/datasets can be written"),
            "{errors}"
        );
        // With the flag it begins, and ends because it is idle.
        let (code, errors) = run(",readonly", uid);
        assert_eq!(code, Some(76), "{uid}: {errors}");
    }
    assert_eq!(value(&server).await, "one");
    let names = server.shell(&format!("ls -A {AT}")).await;
    assert_eq!(names.stdout(), "value\n", "nothing is left of the attempt");
}
