//! Applications that do not behave, and many connections.

use std::cell::RefCell;
use std::sync::Arc;

use super::*;
use crate::harness::not_run;

#[tokio::test]
async fn an_application_that_answers_garbage_or_half_is_said_to_be_broken() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let garbage = preview.get(&server, "/garbage").await;
    assert_eq!(garbage.status, 502);
    assert!(
        garbage
            .text()
            .contains("did not answer as a web server does")
    );
    let cut = preview.get(&server, "/cut").await;
    assert_eq!((cut.status, cut.text()), (200, "broken off"));
    assert_eq!(preview.get(&server, "/").await.status, 200);
}

/// More than 64 that never answer; the others are refused at once, and when they are gone all is as before.
#[tokio::test]
async fn a_user_has_64_connections_and_those_that_nobody_waits_for_end() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let silent = RefCell::new(Vec::new());
    let open_more = || {
        for _ in 0..16 {
            let stream = std::net::TcpStream::connect(server.address).expect("it accepts");
            let head = format!(
                "GET /silent HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
                preview.host, preview.cookie
            );
            std::io::Write::write_all(&mut &stream, head.as_bytes()).expect("sent");
            silent.borrow_mut().push(stream);
        }
    };
    // Some may be refused: the program's queue of connections is short.
    let busy = async || {
        open_more();
        preview.get(&server, "/").await.status == 429
    };
    eventually("they are all taken", 3 * LISTENING, busy).await;
    // The user's tools go on.
    assert_eq!(server.shell("echo still").await.stdout(), "still\n");
    drop(silent);
    let free = async || preview.get(&server, "/").await.status == 200;
    eventually("they are free again", 3 * LISTENING, free).await;
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_answered_or_refused_and_nothing_is_left() {
    let deployment = Deployment::new();
    let server = deployment.alone().flag("--admin", "127.0.0.1:0");
    let server = Arc::new(server.start_http().await);
    let preview = shown(&server, 8000).await;
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let (server, preview) = (server.clone(), preview.clone());
            tokio::spawn(async move { preview.get(&server, "/x").await.status })
        })
        .collect();
    let mut answered = 0;
    for request in requests {
        match request.await.expect("an answer") {
            200 => answered += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!(answered >= 64, "{answered}");
    let none_open = async || {
        let metrics = server.metrics().await;
        metrics
            .lines()
            .any(|line| line == "casemate_preview_connections_open 0")
    };
    eventually("none is open", LISTENING, none_open).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
}

/// Development servers may listen on `::1` alone.
#[tokio::test]
async fn a_program_that_listens_on_ipv6_is_reached() {
    let (_deployment, server) = server().await;
    if server.shell(crate::node::BINDS_IPV6).await.exit_code() != 0 {
        return not_run("the kernel has no IPv6");
    }
    run(&server, "mkdir -p six && echo six > six/a && python3 -m http.server --bind ::1 --directory six 8006").await;
    listens(&server, 8006).await;
    let shared = server.call("share", json!({ "port": 8006 })).await;
    let preview = opened(&server, &link_of(&shared)).await;
    assert_eq!(preview.get(&server, "/a").await.text(), "six\n");
}
