//! Versions: which container has which, and what makes one.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn ten_sandboxes_keep_reading_their_version_while_a_new_one_comes_and_the_next_has_it() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let users: Vec<String> = (0..10).map(|at| format!("user-{at}")).collect();
    let servers = join_all(users.iter().map(|user| lab.start(user))).await;
    let loops = servers.iter().map(async |server| {
        // Reads until it is told to stop, and counts what it read.
        let command = format!(
            "(while [ ! -e stop ]; do cat {AT}/value; echo; done > reads 2>&1 &) ; cat {AT}/value"
        );
        let begun = server.shell(&command).await;
        assert_eq!(begun.stdout(), "one", "{}", begun.0);
    });
    join_all(loops).await;
    let mut before = lab.instance.containers();
    before.sort();
    assert_eq!(before.len(), 10);

    let put = lab.put_value("two");
    assert_eq!(put["result"], "created");
    let looks = servers.iter().map(async |server| {
        let result = server
            .shell("touch stop; sleep 0.2; sort -u reads; grep -c one reads")
            .await;
        let lines: Vec<&str> = result.stdout().lines().collect();
        assert_eq!(lines[0], "one", "{}", result.0);
        // Nothing else, before, during and after.
        assert_eq!(lines.len(), 2, "{}", result.0);
        assert!(result.field("sandbox").is_null(), "{}", result.0);
    });
    join_all(looks).await;
    let mut after = lab.instance.containers();
    after.sort();
    assert_eq!(after, before, "a new version is no drift");

    let late = lab.start("late").await;
    assert_eq!(value(&late).await, "two");
    let rows = lab.list();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["version"], put["version"]);
    assert_eq!(rows[0]["newest"], true);
    let names = |row: &Value| -> Vec<String> {
        let sandboxes = row["sandboxes"].as_array().expect("a list").iter();
        let mut names: Vec<_> = sandboxes
            .map(|it| it["user"].as_str().expect("a user").to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&rows[0]), ["late"]);
    assert_eq!(names(&rows[1]), users);
    let table = lab.done(&["shared", "list"]);
    assert!(
        table.contains("10: user-0, user-1, user-2 and 7 more"),
        "{table}"
    );

    // One server that starts again adopts its sandbox as it is.
    let mut servers = servers;
    let first = servers.remove(0);
    assert!(first.end().await.success());
    let again = lab.start("user-0").await;
    let result = again.shell(&format!("cat {AT}/value")).await;
    assert_eq!(result.stdout(), "one", "{}", result.0);
    assert!(result.field("sandbox").is_null(), "{}", result.0);
}

#[tokio::test]
async fn put_now_ends_the_idle_sandboxes_and_names_the_busy_ones() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let (idle, busy) = (lab.start("idle").await, lab.start("busy").await);
    assert_eq!(value(&idle).await, "one");
    let begun = busy.shell("(sleep 1000 > /dev/null 2>&1 &)").await;
    assert_eq!(begun.outcome(), "exited", "{}", begun.0);
    lab.file("value", "two");
    let put = lab.put(&["--now"]);
    assert_eq!(put["retired"][0]["user"], "idle", "{put}");
    assert_eq!(put["busy"][0]["user"], "busy", "{put}");
    assert_eq!(value(&idle).await, "two");
    assert_eq!(value(&busy).await, "one");
    // Of the same content too: those that are idle by now.
    busy.shell("pkill sleep").await;
    eventually("it is idle", SOON, async || {
        let put = lab.put(&["--now"]);
        assert_eq!(put["result"], "unchanged");
        put["retired"].as_array().is_some_and(|it| !it.is_empty())
    })
    .await;
    assert_eq!(value(&busy).await, "two");
}

#[tokio::test]
async fn the_same_content_is_one_version_and_an_old_one_put_again_is_the_newest() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let first = lab.newest();
    let volumes = lab.instance.volumes();
    assert_eq!(volumes.len(), 2, "the version and its head: {volumes:?}");
    let again = lab.put_value("one");
    assert_eq!(
        (&again["result"], &again["version"]),
        (&Value::from("unchanged"), &first)
    );
    assert_eq!(lab.instance.volumes(), volumes);
    // By another way, in another order, with other owners, modes and times.
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o4600);
    header.set_uid(1234);
    header.set_mtime(1);
    header.set_size(3);
    archive
        .append_data(&mut header, "./value", &b"one"[..])
        .expect("an entry");
    let archive = archive.into_inner().expect("an archive");
    let output = lab.put_archive(&archive);
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed["result"], "unchanged", "{printed}");

    let two = lab.put_value("two");
    assert_ne!(two["version"], first);
    let back = lab.put_value("one");
    assert_eq!(
        (&back["result"], &back["version"]),
        (&Value::from("again"), &first)
    );
    assert_eq!(lab.newest(), first);
    assert_eq!(lab.list().len(), 2);
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
}

/// The shell program of docs/shared-data.md.
#[test]
fn the_hash_is_the_one_that_the_docs_compute() {
    let docs = include_str!("../../../docs/shared-data.md");
    let (_, program) = docs
        .split_once("With a shell:\n\n```sh\n")
        .expect("a program");
    let (program, _) = program.split_once("```").expect("its end");
    let lab = Lab::new(FOR_ALL);
    lab.file("datasets/b/c.txt", "c\n");
    lab.file("datasets/a", "");
    lab.file("datasets/B with a blank\nand a line", "1");
    let tool = lab.file("datasets/b/tool", "#!/bin/sh\n");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o750)).expect("a mode");
    std::os::unix::fs::symlink("b/c.txt", Path::new(lab.data.text()).join("datasets/link"))
        .expect("a link");
    std::fs::create_dir(Path::new(lab.data.text()).join("datasets/empty")).expect("a directory");
    let output = Command::new("bash")
        .args(["-c", program])
        .current_dir(lab.data.text())
        .output()
        .expect("bash");
    let expected = text(&output.stdout);
    let source = format!("{}/datasets", lab.data.text());
    let put = lab.json(&["shared", "put", "datasets", &source, "--json"]);
    let hash = put["sha256"].as_str().expect("a hash");
    assert_eq!(
        expected.split(' ').next(),
        Some(hash),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(put["entries"], 7);
    let name = format!(
        "casemate-{}-shared-datasets-{}",
        lab.instance.name(),
        &hash[..12]
    );
    assert_eq!(put["volume"], name);
    assert!(lab.instance.volumes().contains(&name));
}

#[tokio::test]
async fn two_puts_at_once_are_two_versions_and_of_the_same_content_one() {
    let lab = Lab::new(FOR_ALL);
    let sources: Vec<Directory> = (0..3).map(|_| Directory::new(0)).collect();
    for (source, value) in sources.iter().zip(["a", "b", "b"]) {
        std::fs::write(Path::new(source.text()).join("value"), value).expect("a file");
    }
    let children: Vec<_> = sources
        .iter()
        .map(|source| {
            let mut command = lab.command(&["shared", "put", "datasets", source.text()]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("it runs")
        })
        .collect();
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        match output.status.success() {
            true => done += 1,
            // Of two with the same content one may be told of the other.
            false => {
                let errors = text(&output.stderr);
                assert!(errors.contains("of the same content runs"), "{errors}");
            }
        }
    }
    assert!(done >= 2);
    let rows = lab.list();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row["newest"] == true).count(), 1);
    let server = lab.start("ada").await;
    assert!(["a", "b"].contains(&value(&server).await.as_str()));
}

/// A head is lost, as by `docker volume prune --all`: what runs goes on with the version that it has,
/// also with a server that starts again, and a new sandbox has none.
#[tokio::test]
async fn without_a_head_running_sandboxes_keep_their_version() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
    let container = lab.instance.container();
    assert!(server.end().await.success());
    let head = format!("casemate-{}-shared-datasets.1", lab.instance.name());
    docker::output(&["volume", "rm", &head]);

    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
    assert_eq!(lab.instance.container(), container, "it is another one");
    let other = lab.start("bob").await;
    let none = other.shell(&format!("ls {AT}")).await;
    assert_ne!(none.exit_code(), 0, "{}", none.0);
    // What they have is not made the newest unseen. Without them the data is put again, for all.
    let put = ["shared", "put", "datasets", lab.data.text()];
    let refused = lab.refused(&put);
    assert!(refused.contains("its head was lost"), "{refused}");
    for id in lab.instance.containers() {
        docker::output(&["rm", "--force", &id]);
    }
    assert_eq!(lab.put_value("one")["result"], "created");
    let late = lab.start("late").await;
    assert_eq!(value(&late).await, "one");
    assert_eq!(value(&server).await, "one");
}
