//! What a sandbox may do with shared data.

use serde_json::json;

use super::*;
use crate::harness::CallResult;

#[tokio::test]
async fn nobody_can_write_by_the_kernels_word_not_even_root() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let server = lab.start("ada").await;
    // Of an existing file the kernel looks first at the rights of who is not its owner.
    let by_others =
        "'mkdir new' 'rm value' 'mv value other' 'chmod 777 value' 'ln -s /etc link' 'touch .'";
    // gVisor's kernel looks at rights first.
    let refusal = match crate::harness::docker::on_gvisor() {
        true => "Read-only file system|Permission denied|Operation not permitted",
        false => "Read-only file system",
    };
    let by_its_owner = format!("'touch value' 'echo two >> value' {by_others}");
    let attempts = |which: &str| {
        format!(
            "cd {AT}; for attempt in {which}; do LC_ALL=C sh -c \"$attempt\" 2>&1 | \
             grep -o -E '{refusal}' || echo \"$attempt\"; done"
        )
    };
    let result = server.shell(&attempts(by_others)).await;
    let refused = result.stdout().lines();
    assert_eq!(refused.clone().count(), 6, "{}", result.0);
    for refused in refused {
        assert!(refusal.split('|').any(|it| it == refused), "{}", result.0);
    }
    let container = lab.instance.container();
    let as_root = docker::exec(&container, &attempts(&by_its_owner));
    assert_eq!(as_root, ["Read-only file system"; 8].join("\n"));
    // The mount's own flag, which mount(8) would have to change.
    let mount = format!("grep ' {AT} ' /proc/self/mountinfo | cut -d ' ' -f 6");
    let mount = server.shell(&mount).await;
    let options = mount.stdout().trim();
    assert!(options.split(',').any(|it| it == "ro"), "{}", mount.0);
    assert_eq!(value(&server).await, "one");
}

#[tokio::test]
async fn files_are_roots_and_readable_by_all_whatever_the_source_said() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let lab = Lab::new(FOR_ALL);
    let bits = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let tool = lab.file("tools/run", "#!/bin/sh\nid -u\n");
    chown(&tool, Some(1234), Some(1234)).expect("an owner");
    bits(&tool, 0o6710);
    bits(&lab.file("private", "p"), 0o600);
    bits(&Path::new(lab.data.text()).join("tools"), 0o3700);
    lab.put(&[]);
    let server = lab.start("ada").await;
    let seen =
        format!("cd {AT}; stat -c '%n %a %u %g' . private tools tools/run; cat private; tools/run");
    let result = server.shell(&seen).await;
    let uid = lab.instance_uid("ada");
    assert_eq!(
        result.stdout(),
        format!(". 755 0 0\nprivate 644 0 0\ntools 755 0 0\ntools/run 755 0 0\np{uid}\n"),
        "{}",
        result.0
    );
}

impl Lab {
    /// The uid that the code of a user runs as.
    fn instance_uid(&self, user: &str) -> String {
        let volumes = self.instance.volumes().into_iter();
        let volumes = volumes.map(|name| docker::inspect("volume", &name));
        let mut own = volumes.filter(|it| it["Labels"]["io.casemate.user"] == user);
        let own = own.next().expect("a workspace");
        own["Labels"]["io.casemate.uid"]
            .as_str()
            .expect("a uid")
            .to_owned()
    }
}

#[tokio::test]
async fn a_group_has_it_and_others_do_not() {
    let lab = Lab::with_value(
        "[[shared]]\nname = \"datasets\"\npath = \"/shared/datasets\"\n\
         [[groups]]\nname = \"analysts\"\nusers = [\"ada\", \"bob\"]\nshared = [\"datasets\"]\n\
         [[users]]\nuser = \"bob\"\nshared = []\n\
         [[users]]\nuser = \"eve\"\nshared = [\"datasets\"]\n",
        "one",
    );
    for (user, has_it) in [("ada", true), ("bob", false), ("eve", true), ("zoe", false)] {
        let server = lab.start(user).await;
        let result = server.shell("ls /shared/datasets 2> /dev/null; true").await;
        let expected = if has_it { "value\n" } else { "" };
        assert_eq!(result.stdout(), expected, "{user}: {}", result.0);
        let read = server.read(&format!("{AT}/value")).await;
        match has_it {
            true => assert_eq!(read.text(), "one", "{}", read.0),
            false => assert_eq!(read.code(), "outside_workspace", "{}", read.0),
        }
        let tools = server
            .rpc
            .request("tools/list", json!({}))
            .await
            .to_string();
        assert_eq!(
            tools.contains("Read-only shared data is in /shared/datasets."),
            has_it,
            "{user}"
        );
        let shown = lab.json(&["settings", user, "--json"]);
        let rows = shown["settings"].as_array().expect("a list");
        let row = rows
            .iter()
            .find(|row| row["key"] == "shared_data")
            .expect("a row");
        let given = if has_it {
            "datasets"
        } else if user == "bob" {
            ""
        } else {
            "none"
        };
        assert_eq!(row["value"], given, "{user}");
    }
}

fn paths(result: &CallResult) -> Vec<String> {
    let entries = result.field("entries").as_array().expect("entries").iter();
    entries
        .map(|entry| entry["path"].as_str().expect("a path").to_owned())
        .collect()
}

#[tokio::test]
async fn read_file_and_list_files_reach_it_and_no_other_file_call_does() {
    let lab = Lab::new(FOR_ALL);
    for name in [
        "a.csv",
        "b.csv",
        "deep/c.csv",
        "deep/.hidden",
        "caf\u{e9}.txt",
    ] {
        lab.file(name, &format!("{name}\n"));
    }
    let top = Path::new(lab.data.text());
    std::os::unix::fs::symlink("deep/c.csv", top.join("link")).expect("a link");
    lab.put(&[]);
    let server = lab.start("ada").await;
    let read = async |path: &str| server.read(path).await;
    assert_eq!(
        read("/shared/datasets/deep/c.csv").await.text(),
        "deep/c.csv\n"
    );
    assert_eq!(read("/shared/datasets/link").await.text(), "deep/c.csv\n");
    let twin = read("/shared/datasets/cafe\u{301}.txt").await;
    assert!(twin.text().contains("looks the same"), "{}", twin.0);
    assert_eq!(read("/shared/datasets/none").await.code(), "not_found");
    assert_eq!(read("/shared/datasets/deep").await.code(), "is_directory");
    for out in [
        "/shared/datasets/../../etc/passwd",
        "/shared",
        "/etc/passwd",
        "/shared/datasets2",
    ] {
        assert_eq!(read(out).await.code(), "outside_workspace", "{out}");
    }
    let base64 = json!({ "path": "/shared/datasets/a.csv", "encoding": "base64" });
    assert_eq!(server.call("read_file", base64).await.text(), "YS5jc3YK");

    let listed = server.list(AT).await;
    let all = ["a.csv", "b.csv", "caf\u{e9}.txt", "deep", "link"];
    assert_eq!(
        paths(&listed),
        all.map(|name| format!("{AT}/{name}")),
        "{}",
        listed.0
    );
    let pattern = json!({ "path": "/shared/datasets/", "pattern": "*.csv", "limit": 2 });
    let first = server.call("list_files", pattern.clone()).await;
    assert_eq!(
        paths(&first),
        [format!("{AT}/a.csv"), format!("{AT}/b.csv")],
        "{}",
        first.0
    );
    let mut next = pattern;
    next["cursor"] = first.field("next_cursor").clone();
    let second = server.call("list_files", next).await;
    assert_eq!(paths(&second), [format!("{AT}/deep/c.csv")], "{}", second.0);
    // The listed files can be read.
    for path in paths(&server.list(&format!("{AT}/deep")).await) {
        assert!(!read(&path).await.is_error(), "{path}");
    }

    let edit = json!({ "path": "/shared/datasets/a.csv", "old_text": "a", "new_text": "b" });
    for refused in [
        server.write("/shared/datasets/a.csv", "x").await,
        server.write("/shared/datasets/deep/../new", "x").await,
        server.call("edit_file", edit).await,
    ] {
        assert_eq!(refused.code(), "permission_denied", "{}", refused.0);
        assert!(
            refused
                .text()
                .contains("is in shared data, which is read-only"),
            "{}",
            refused.0
        );
    }
    let share = json!({ "path": "/shared/datasets/a.csv" });
    assert_eq!(
        server.call("share", share).await.code(),
        "outside_workspace"
    );
    let result = server.shell(&format!("cat {AT}/a.csv; ls -A {AT}")).await;
    assert_eq!(
        result.stdout(),
        "a.csv\na.csv\nb.csv\ncaf\u{e9}.txt\ndeep\nlink\n"
    );
}

#[tokio::test]
async fn it_is_in_no_backup_and_a_restore_leaves_it() {
    let marker = format!("marker-{}", uuid::Uuid::new_v4().simple());
    let lab = Lab::new(FOR_ALL);
    lab.file(&marker, &marker);
    lab.put(&[]);
    let server = lab.start("ada").await;
    let copied = server
        .shell(&format!("ls {AT} > own; echo kept >> own"))
        .await;
    assert_eq!(copied.outcome(), "exited", "{}", copied.0);
    let target = Directory::new(0);
    // Of a sandbox that runs, and of the volume alone.
    lab.done(&["backup", "ada", "--to", target.text()]);
    server.shell("rm own; echo other > own").await;
    docker::output(&["rm", "--force", &lab.instance.container()]);
    lab.done(&["backup", "--all", "--to", target.text()]);
    let lists = Command::new("sh")
        .args(["-c", "find \"$1\" -name '*.zst' -exec zstd -dc {} + | grep -ac \"$2\"; find \"$1\" -name manifest.json | wc -l", "sh"])
        .args([target.text(), &marker])
        .output()
        .expect("sh");
    // Once: the user's own file, in the first archive.
    assert_eq!(text(&lists.stdout), "1\n2\n");
    let listed = lab.done(&["backup", "list", "--from", target.text()]);
    assert!(!listed.contains("casemate:shared"), "{listed}");

    lab.done(&["rm", "ada", "--volume"]);
    lab.done(&["restore", "ada", "--from", target.text()]);
    let after = server.shell(&format!("cat own; ls {AT}")).await;
    assert_eq!(after.stdout(), format!("other\n{marker}\n"), "{}", after.0);
    assert_eq!(lab.list().len(), 1);
}
