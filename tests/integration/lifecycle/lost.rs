//! A container, a bridge or an image that is lost.

use std::time::Instant;

use serde_json::json;

use super::{SOON, bridges, restarted, result, start};
use crate::harness::{EndLog, TestServer, allowed, docker, eventually};

#[tokio::test]
async fn after_a_container_was_removed_by_hand_the_next_result_says_so_once() {
    let (ends, server) = EndLog::of(TestServer::new());
    let server = server.start().await;
    server.shell("echo kept > file; touch /tmp/lost").await;
    let remove = async || {
        let container = server.instance.container();
        docker::output(&["rm", "--force", &container]);
        ends.until_known(&[container]).await;
    };
    remove().await;
    let result = server.shell("cat file; ls -A /tmp").await;
    assert_eq!(result.stdout().lines().next(), Some("kept"), "{}", result.0);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was killed from outside or for memory")
    );
    assert!(!result.stdout().contains("lost"));
    assert_eq!(restarted(&server.shell("true").await), None);
    // Every tool reports it.
    remove().await;
    let result = server.list(".").await;
    assert!(restarted(&result).is_some(), "{}", result.0);
    remove().await;
    let result = server.write("file", "new").await;
    assert!(restarted(&result).is_some(), "{}", result.0);
    remove().await;
    let result = server.read("file").await;
    assert!(
        result.0["content"]
            .to_string()
            .contains("[sandbox restarted: "),
        "{}",
        result.0
    );
    assert!(result.text().starts_with("new"), "{}", result.0);
    // A replacement between two calls is reported by the next one, which works.
    remove().await;
    let result = server
        .call(
            "shell_exec",
            json!({ "command": "true", "cwd": "/nowhere" }),
        )
        .await;
    assert_eq!(result.code(), "bad_cwd");
}

#[tokio::test]
async fn a_command_that_goes_down_with_its_sandbox_is_lost_and_never_run_again() {
    let server = TestServer::new().start().await;
    type End = fn(&str);
    let ends: [(&str, End); 2] = [
        ("PID 1 killed", |container| {
            docker::kill_on_host(&[docker::pid(container)])
        }),
        ("rm --force", |container| {
            docker::quietly(&["rm", "--force", container])
        }),
    ];
    for (n, (how, end)) in ends.into_iter().enumerate() {
        server.shell("rm -f runs").await;
        let running = start(&server, "echo once >> count; sleep 60").await;
        let container = server.instance.container();
        let since = Instant::now();
        end(&container);
        let result = result(running).await;
        assert!(
            since.elapsed() < allowed(SOON),
            "{how}: {:?}",
            since.elapsed()
        );
        assert_eq!(result.outcome(), "sandbox_lost", "{how}: {}", result.0);
        assert!(result.is_error());
        assert_eq!(
            (result.exit_code(), result.stdout(), result.stderr()),
            (-1, "", ""),
            "{how}"
        );
        assert!(
            result.text().contains("[sandbox lost]") && result.text().ends_with("[exit code: -1]"),
            "{how}"
        );
        let detail = result.field("detail").as_str().expect("why");
        assert!(
            detail.contains("while the command ran") && result.text().contains(detail),
            "{how}: {detail}"
        );
        let ran = result.field("duration_ms").as_u64().expect("milliseconds");
        assert!((1..10_000).contains(&ran), "{how}: {ran}");
        assert!(restarted(&result).is_some(), "{how}");
        // The command does not run again, and the next call is not delayed.
        let next = server.shell("cat count").await;
        assert_eq!(
            (next.stdout(), restarted(&next)),
            ("once\n".repeat(n + 1).as_str(), None),
            "{how}"
        );
        assert_ne!(server.instance.container(), container, "{how}");
    }
}

#[tokio::test]
async fn a_result_survives_the_bridge_however_often_it_is_killed() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let running = start(&server, "echo once >> count; sleep 2; echo end; exit 3").await;
    for round in 0..3 {
        let standing = bridges(&container);
        assert_eq!(standing.len(), 1, "{round}");
        docker::kill_on_host(&standing);
        eventually("another bridge", SOON, async || {
            bridges(&container)
                .first()
                .is_some_and(|pid| *pid != standing[0])
        })
        .await;
    }
    let result = result(running).await;
    let got = (result.outcome(), result.exit_code(), result.stdout());
    assert_eq!(got, ("exited", 3, "end\n"), "{}", result.0);
    assert_eq!(restarted(&result), None);
    // Without a running command, the next call notices it.
    docker::kill_on_host(&bridges(&container));
    let next = server.shell("cat count").await;
    assert_eq!((next.stdout(), restarted(&next)), ("once\n", None));
    assert_eq!(server.instance.container(), container);
    assert_eq!(bridges(&container).len(), 1);
}

#[tokio::test]
async fn without_its_image_a_call_says_so_and_with_it_again_the_next_one_works() {
    let kept = docker::Image::from_tools("true", &[]);
    let image = docker::Image(kept.name().replace(":latest", ":gone"));
    docker::output(&["tag", kept.name(), image.name()]);
    let server = TestServer::new().image(image.name()).start().await;
    server.shell("echo kept > file").await;
    docker::output(&["rmi", image.name()]);
    docker::output(&["rm", "--force", &server.instance.container()]);
    for _ in 0..2 {
        let result = server.shell("cat file").await;
        assert!(result.is_error(), "{}", result.0);
        assert_eq!(result.code(), "image_missing", "{}", result.text());
        assert!(result.text().contains(image.name()), "{}", result.text());
    }
    assert_eq!(server.instance.containers(), [""; 0]);
    docker::output(&["tag", kept.name(), image.name()]);
    let result = server.shell("cat file").await;
    assert_eq!(result.stdout(), "kept\n");
    assert!(restarted(&result).is_some(), "{}", result.0);
}
