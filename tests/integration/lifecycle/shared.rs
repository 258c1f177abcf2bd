//! One container for several servers of a user.

use futures_util::future::join_all;
use serde_json::json;

use super::{SOON, bridges, restarted, result, start};
use crate::harness::{Instance, TestServer, docker, eventually};

#[tokio::test]
async fn servers_of_one_user_share_its_container_at_once_and_one_after_the_other() {
    let first = TestServer::new().start().await;
    first.shell("touch /tmp/here").await;
    let (instance, container) = (first.instance.clone(), first.instance.container());
    let second = TestServer::on(&instance).start().await;
    let result = second.shell("ls /tmp; touch /tmp/there").await;
    assert_eq!((result.stdout(), restarted(&result)), ("here\n", None));
    assert_eq!(first.shell("ls /tmp").await.stdout(), "here\nthere\n");
    // Commands belong to their server: the end of one server does not affect the other.
    let running = start(&second, "sleep 1; echo end").await;
    assert!(first.end().await.success());
    assert_eq!(self::result(running).await.stdout(), "end\n");
    // A later server finds the container as it was.
    assert!(second.end().await.success());
    let third = TestServer::on(&instance).start().await;
    let result = third.shell("ls /tmp").await;
    assert_eq!(
        (result.stdout(), restarted(&result)),
        ("here\nthere\n", None)
    );
    assert_eq!(instance.container(), container);
    // Another user has another container.
    let other = TestServer::on(&instance).user("other").start().await;
    assert_eq!(
        other.shell("ls -A /tmp /workspace/runs").await.stdout(),
        "/tmp:\n"
    );
    assert_eq!(instance.containers().len(), 2);
}

#[tokio::test]
async fn servers_that_start_at_the_same_time_make_one_container() {
    let instance = Instance::new();
    let servers = join_all((0..5).map(|_| TestServer::on(&instance).start())).await;
    let calls = servers.iter().enumerate().map(async |(n, server)| {
        let result = server
            .shell(&format!("echo {n} >> /tmp/calls; echo {n}"))
            .await;
        assert_eq!(result.stdout(), format!("{n}\n"), "{}", result.0);
        assert_eq!(restarted(&result), None);
    });
    join_all(calls).await;
    assert_eq!(servers[0].shell("wc -l < /tmp/calls").await.stdout(), "5\n");
    assert_eq!(instance.containers().len(), 1);
    assert_eq!(instance.volumes().len(), 1);
}

#[tokio::test]
async fn listing_the_tools_makes_the_sandbox_ready_unless_that_is_off() {
    let cold = TestServer::new()
        .env("CASEMATE_WARM", "off")
        .user("cold")
        .start()
        .await;
    cold.rpc.request("tools/list", json!({})).await;
    let warm = TestServer::on(&cold.instance).user("warm").start().await;
    warm.rpc.request("tools/list", json!({})).await;
    eventually("a warm sandbox", SOON, async || {
        let containers = warm.instance.containers();
        !containers.is_empty() && !bridges(&containers[0]).is_empty()
    })
    .await;
    // The cold user had enough time too.
    let container = warm.instance.container();
    assert_eq!(
        docker::inspect("container", &container)["Config"]["Labels"]["io.casemate.user"],
        "warm"
    );
    let result = warm.shell("echo hi").await;
    assert_eq!((result.stdout(), restarted(&result)), ("hi\n", None));
    assert_eq!(warm.instance.container(), container);
}
