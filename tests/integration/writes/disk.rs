//! Full disks, and temporary files that a killed sandbox left.

use serde_json::json;

use super::{SOON, kill, with_a_small_disk};
use crate::harness::{TestServer, docker, eventually};

#[tokio::test]
async fn on_a_full_disk_every_file_is_the_old_one_and_what_frees_space_works() {
    for options in ["size=4m", "size=64m,nr_inodes=40"] {
        let (server, _volume) = with_a_small_disk(options);
        let server = server.start().await;
        server.write("kept/file", "old\n").await;
        // Too many bytes for one disk, too many files for the other.
        let fill = "mkdir fill; head -c 50000000 /dev/zero > fill/bytes; \
                    for i in $(seq 60); do touch fill/$i; done";
        server.shell(fill).await;
        let large = "x".repeat(1 << 20);
        let writes = [
            (
                "write_file",
                json!({ "path": "kept/file", "content": large }),
            ),
            (
                "write_file",
                json!({ "path": "kept/new", "content": large, "mode": "create_new" }),
            ),
            (
                "write_file",
                json!({ "path": "kept/log", "content": large, "mode": "append" }),
            ),
            (
                "edit_file",
                json!({ "path": "kept/file", "old_text": "old", "new_text": large }),
            ),
        ];
        for (tool, arguments) in writes {
            let refused = server.call(tool, arguments).await;
            assert_eq!(refused.code(), "no_space", "{tool}: {}", refused.text());
        }
        if options == "size=4m" {
            let grow = json!({ "path": "kept/file", "content": large, "mode": "append" });
            assert_eq!(server.call("write_file", grow).await.code(), "no_space");
        }
        // Reading, listing and commands work, and nothing was left.
        assert_eq!(server.read("kept/file").await.text(), "old\n", "{options}");
        let listed = server.list("kept").await;
        assert_eq!(
            listed.field("entries").as_array().map(Vec::len),
            Some(1),
            "{}",
            listed.0
        );
        assert_eq!(
            server.shell("ls -A kept; rm -r fill").await.stdout(),
            "file\n"
        );
        let freed = server
            .call(
                "write_file",
                json!({ "path": "kept/file", "content": large }),
            )
            .await;
        assert!(!freed.is_error(), "{}", freed.text());
    }
}

#[tokio::test]
async fn old_temporary_files_of_a_killed_sandbox_are_removed_and_others_stay() {
    let server = TestServer::new().start().await;
    let made = server
        .shell(
            "mkdir -p a/b; touch a/.casemate-tmp-00000000000000ff; \
             touch -d '11 minutes ago' a/b/.casemate-tmp-0123456789abcdef a/b/.casemate-tmp-old; \
             ls -A a a/b | wc -l",
        )
        .await;
    assert_eq!(made.exit_code(), 0);
    // The next PID 1 sweeps after its start.
    kill(&[docker::pid(&server.instance.container())]);
    eventually("a sweep", SOON, async || {
        let seen = server.shell("ls -A a a/b").await;
        seen.stdout() == "a:\n.casemate-tmp-00000000000000ff\nb\n\na/b:\n.casemate-tmp-old\n"
    })
    .await;
}
