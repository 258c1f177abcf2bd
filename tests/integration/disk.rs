//! The Engine's disk: the space that stays free, and what still works when it is full.

use crate::harness::{Instance, Server, TestServer};

/// More than any disk has free.
const EVERYTHING: &str = "1024t";

async fn start(instance: &Instance, floor: &str, user: &str) -> Server {
    let server = TestServer::on(instance).user(user);
    server.env("CASEMATE_MIN_FREE_DISK", floor).start().await
}

#[tokio::test]
async fn below_the_floor_a_sandbox_can_list_read_and_delete_but_not_write() {
    let instance = Instance::new();
    let before = start(&instance, "0", "alice").await;
    before.write("file", "kept").await;
    before.write("other", "to be deleted").await;
    before.end().await;
    let server = start(&instance, EVERYTHING, "alice").await;
    // The idle container makes room for the newer settings.
    assert_eq!(server.read("file").await.text(), "kept");
    for path in ["file", "new"] {
        let refused = server.write(path, "changed").await;
        assert_eq!(refused.code(), "no_space", "{}", refused.0);
        assert!(refused.text().contains("must stay free"), "{}", refused.0);
    }
    let shell = server.shell("rm other && ls").await;
    assert_eq!(shell.stdout(), "file\n", "{}", shell.0);
    let entries = server.list(".").await;
    assert_eq!(entries.field("entries").as_array().map(Vec::len), Some(1));
    assert_eq!(server.read("file").await.text(), "kept");
}

#[tokio::test]
async fn below_the_floor_no_user_gets_a_new_workspace() {
    let instance = Instance::new();
    let server = start(&instance, EVERYTHING, "new").await;
    let refused = server.shell("true").await;
    assert_eq!(refused.code(), "no_space", "{}", refused.0);
    assert!(
        refused.text().contains("CASEMATE_MIN_FREE_DISK"),
        "{}",
        refused.0
    );
    assert!(instance.volumes().is_empty() && instance.containers().is_empty());
}
