//! A workspace that is removed while a server uses it.

use crate::harness::{TestServer, docker};

#[tokio::test]
async fn a_user_whose_files_were_removed_is_told_so_and_not_that_they_were_kept() {
    let server = TestServer::new().user("alice").start().await;
    let instance = server.instance.clone();
    server.write("file", "mine").await;
    docker::output(&["rm", "--force", &instance.container()]);
    let next = server.shell("cat file").await;
    assert_eq!(next.stdout(), "mine", "{}", next.0);
    let told = &next.field("sandbox")["restarted"];
    assert_eq!(told["kept"], "/workspace", "{}", next.0);

    docker::output(&["rm", "--force", &instance.container()]);
    for volume in instance.volumes() {
        docker::output(&["volume", "rm", &volume]);
    }
    let next = server.shell("ls").await;
    assert_eq!(next.stdout(), "", "{}", next.0);
    let told = &next.field("sandbox")["restarted"];
    assert_eq!(told["kept"], "nothing", "{}", next.0);
    let lost = told["lost"].as_str().expect("a text");
    assert!(lost.contains("all files in /workspace"), "{lost}");
}
