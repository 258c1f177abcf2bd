//! What a person is told who opens an application that has ended.

use super::*;
use crate::harness::docker;

/// The sentence of the page.
async fn told(server: &HttpServer, preview: &Preview) -> String {
    let ended = preview.get(server, "/").await;
    assert_eq!(ended.status, 502, "{ended:?}");
    let text = ended.text();
    assert!(
        text.contains("<h1>The application has ended</h1>"),
        "{text}"
    );
    assert!(!text.contains("wait.js"), "it reloads itself: {text}");
    let (_, sentence) = text.split_once("<p>").expect("a sentence");
    let (sentence, _) = sentence.split_once("</p>").expect("its end");
    sentence.to_owned()
}

/// Hour and minute, now.
fn minute() -> String {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    now.to_string()[11..16].to_owned()
}

/// The times that a sentence names are of these minutes.
fn check_times(sentence: &str, first: &str, last: &str) {
    let is_time = |word: &&str| word.len() == 5 && word.as_bytes()[2] == b':';
    let times: Vec<&str> = sentence.split([' ', '.']).filter(is_time).collect();
    assert!(!times.is_empty() && sentence.contains("UTC"), "{sentence}");
    // Around midnight they are not in order.
    if first <= last {
        let is_within = |time: &&str| (first..=last).contains(time);
        assert!(times.iter().all(is_within), "{sentence}: {first} to {last}");
    }
}

/// Ends the program of the tests, and waits until nothing listens.
async fn end_program(server: &HttpServer, port: u16) {
    server.shell("pkill -f [p]rogram.py").await;
    let probe =
        format!("python3 -c 'import socket; socket.create_connection((\"localhost\", {port}))'");
    let over = async || server.shell(&probe).await.exit_code() != 0;
    eventually("nothing listens", LISTENING, over).await;
}

#[tokio::test]
async fn an_application_that_has_ended_says_when_and_its_link_is_still_good() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let before = minute();
    assert_eq!(preview.get(&server, "/").await.status, 200);
    end_program(&server, 8000).await;
    let first = told(&server, &preview).await;
    let after = minute();
    assert!(first.starts_with("It ended "), "{first}");
    check_times(&first, &before, &after);
    assert!(
        first.contains("Ask for it to be started again, then reload"),
        "{first}"
    );
    // It is the time of the end, and not of the question.
    assert_eq!(told(&server, &preview).await, first);
    start(&server, 8000).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
}

/// Nobody has looked at it yet: that `share` saw it listen is enough.
#[tokio::test]
async fn an_application_that_ended_before_anybody_looked_has_ended_too() {
    let (_deployment, server) = server().await;
    start(&server, 8000).await;
    let shared = server.call("share", json!({ "port": 8000 })).await;
    end_program(&server, 8000).await;
    let preview = opened(&server, &link_of(&shared)).await;
    let sentence = told(&server, &preview).await;
    assert!(sentence.contains("UTC"), "{sentence}");
}

#[tokio::test]
async fn an_application_that_ended_with_its_sandbox_says_when_and_to_ask_for_a_new_link() {
    let deployment = Deployment::new();
    let server = deployment.alone().env("CASEMATE_WARM", "off");
    let server = server.start_http().await;
    let preview = shown(&server, 8000).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
    let before = minute();
    docker::quietly(&["rm", "--force", &server.instance.container()]);
    let when = async || {
        let sentence = told(&server, &preview).await;
        assert!(
            sentence.starts_with("It ended with its sandbox"),
            "{sentence}"
        );
        assert!(sentence.contains("new link"), "{sentence}");
        let has_time = sentence.contains("UTC");
        if has_time {
            check_times(&sentence, &before, &minute());
        }
        has_time
    };
    // The Engine says it a moment later.
    eventually("the server has seen it", LISTENING, when).await;
}
