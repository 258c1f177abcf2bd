//! Full disks: the Engine's, and that of a workspace with a size. Calls say so and name the
//! limit, a full sandbox still starts, lists, reads and deletes, other users are not affected,
//! and deleting files frees the space.

mod engine;
mod workspace;

use serde_json::{Value, json};

use crate::harness::{CallResult, Engine, Server, TestServer};

/// Content that does not fit on a full disk, and is below all other limits: 1 MiB.
fn large() -> String {
    "x".repeat(1 << 20)
}

/// A server for `user` on this Engine, without a floor of free space.
async fn server(engine: &Engine, instance: &crate::harness::Instance, user: &str) -> Server {
    let server = TestServer::on(instance).user(user);
    server
        .env("DOCKER_HOST", &engine.uri())
        .env("CASEMATE_MIN_FREE_DISK", "0")
        .env("CASEMATE_QUOTA", "64m")
        .env("CASEMATE_WARM", "off")
        .env("CASEMATE_LOG", "error")
        .start()
        .await
}

/// Fills the disk until the kernel refuses, next to the file `kept`.
async fn fill(server: &Server) {
    // The large file may need a block for its map where a small one does not: those end it.
    let fill = "echo kept > kept; head -c 1G /dev/zero > fill; echo $?; \
        n=0; while echo . > ~/$n; do n=$((n+1)); done 2> /dev/null; echo more > more; cat more";
    let full = server.shell(fill).await;
    assert_eq!(
        (full.outcome(), full.stdout()),
        ("exited", "1\n"),
        "{}",
        full.0
    );
    assert_eq!(
        full.stderr().matches("No space left on device").count(),
        2,
        "{}",
        full.0
    );
}

fn is_no_space(refused: &CallResult) {
    assert!(refused.is_error(), "{}", refused.0);
    assert_eq!(refused.code(), "no_space", "{}", refused.0);
}

/// Asserts that every way of writing is refused with the limit's name; returns one of the errors.
async fn nothing_is_written(server: &Server) -> String {
    let calls = [
        ("write_file", json!({ "path": "kept", "content": large() })),
        ("write_file", json!({ "path": "new", "content": large() })),
        (
            "write_file",
            json!({ "path": "kept", "content": large(), "mode": "append" }),
        ),
        (
            "edit_file",
            json!({ "path": "kept", "old_text": "kept", "new_text": large() }),
        ),
    ];
    let mut told = String::new();
    for (tool, arguments) in calls {
        let refused = server.call(tool, arguments).await;
        is_no_space(&refused);
        told = refused.text().to_owned();
        assert!(told.contains(" MiB are free"), "{told}");
    }
    told
}

/// Reads, lists and runs commands, even with long output.
async fn the_rest_works(server: &Server) {
    assert_eq!(server.read("kept").await.text(), "kept\n");
    let listed = server.list(".").await;
    let entries = listed
        .field("entries")
        .as_array()
        .cloned()
        .unwrap_or_default();
    let named = |entry: &Value| ["kept", "fill"].map(|name| entry["path"] == name);
    assert!(entries.iter().any(|entry| named(entry)[0]), "{}", listed.0);
    assert!(entries.iter().any(|entry| named(entry)[1]), "{}", listed.0);
    let much = server.shell("cat kept; seq 100000; cat kept").await;
    assert_eq!(much.outcome(), "exited", "{}", much.0);
    assert!(much.stdout().starts_with("kept\n"), "{}", much.0);
    assert!(much.stdout().ends_with("kept\n"), "{}", much.0);
    assert_eq!(much.field("truncated"), true, "{}", much.0);
}

/// Deleting makes room.
async fn is_freed(server: &Server) {
    let delete = server.shell("rm fill more; ls").await;
    assert_eq!(delete.stdout(), "kept\n", "{}", delete.0);
    let written = server.write("new", &large()).await;
    assert!(!written.is_error(), "{}", written.0);
}
