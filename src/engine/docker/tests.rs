//! The connection: an Engine that is down, silent, or another one than before. And that every
//! call's future can be spawned.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::testing::{TempDir, engine, false_engine, ok, spec};
use super::*;
use crate::engine::UidRange;

const VERSION: &str = r#"{"ApiVersion":"1.41","Version":"20.10"}"#;

#[tokio::test]
async fn making_an_engine_reaches_nothing_and_a_call_says_that_it_is_down() {
    let uri = "unix:///nowhere/docker.sock".to_owned();
    let engine = DockerEngine::new(EngineAddress {
        uri,
        found_by: "a test".to_owned(),
    })
    .unwrap();
    let error = engine.version().await.unwrap_err();
    assert!(
        matches!(error, EngineError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert!(
        error.to_string().contains("/nowhere/docker.sock"),
        "{error}"
    );
}

#[tokio::test]
async fn an_engine_that_came_up_later_is_found_without_a_new_handle() {
    let dir = TempDir::new();
    let (engine, serve) = false_engine(&dir, |_| Some(ok(VERSION)));
    assert!(engine.version().await.is_err());
    let server = tokio::spawn(serve);
    while engine.version().await.is_err() {
        tokio::task::yield_now().await;
    }
    server.abort();
}

#[tokio::test]
async fn the_version_is_negotiated_once_and_again_after_the_engine_was_gone() {
    let dir = TempDir::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let (engine, serve) = false_engine(&dir, move |request| match request {
        // An Engine that dies in the middle of an inspect.
        _ if request.contains("/containers/dies/") => Some("HTTP/1.1 200 OK\r\n".to_owned()),
        _ if request.contains("/containers/") => Some(ok(r#"{"no":"container"}"#)),
        _ => {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(ok(VERSION))
        }
    });
    let server = tokio::spawn(serve);
    tokio::task::yield_now().await;

    for _ in 0..2 {
        let error = engine.inspect("a").await.unwrap_err();
        assert!(matches!(error, EngineError::Answer { .. }), "{error:?}");
    }
    // Once to negotiate, and once for which program answers.
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let error = engine.inspect("dies").await.unwrap_err();
    assert!(
        matches!(error, EngineError::Unavailable { .. }),
        "{error:?}"
    );
    let _ = engine.inspect("a").await;
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    server.abort();
}

#[tokio::test]
async fn what_is_read_raw_is_asked_in_the_negotiated_version() {
    let dir = TempDir::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let (engine, serve) = false_engine(&dir, move |request| {
        requests.lock().push(request.to_owned());
        Some(ok(VERSION))
    });
    let server = tokio::spawn(serve);
    tokio::task::yield_now().await;
    let _ = engine.inspect("a").await;
    let wanted = "GET /v1.41/containers/a/json HTTP/1.1".to_owned();
    assert!(seen.lock().contains(&wanted), "{seen:?}");
    server.abort();
}

#[tokio::test]
async fn an_engine_that_says_nothing_costs_a_call_its_deadline_and_no_more() {
    let dir = TempDir::new();
    let (engine, serve) = false_engine(&dir, |_| None);
    let server = tokio::spawn(serve);
    tokio::task::yield_now().await;
    let after = Duration::from_millis(50);
    let docker = engine.client().unwrap();
    let error = engine
        .bounded("version", after, docker.version())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Deadline {
                call: "version",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_retryable());
    server.abort();
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let dir = TempDir::new();
    let (engine, serve) = false_engine(&dir, |request| {
        if request.contains("/containers/") {
            Some(ok(&format!("\"{}\"", "a".repeat(5 << 20))))
        } else {
            Some(ok(VERSION))
        }
    });
    let server = tokio::spawn(serve);
    tokio::task::yield_now().await;
    let error = engine.inspect("a").await.unwrap_err();
    assert!(matches!(error, EngineError::Answer { .. }), "{error:?}");
    assert!(!error.is_retryable());
    server.abort();
}

#[tokio::test]
async fn the_real_engine_says_what_it_is_and_can() {
    let engine = engine();
    let version = engine.version().await.unwrap();
    assert_eq!(version.os, "linux");
    let can = engine.capabilities().await.unwrap();
    assert!(can.seccomp && can.cpus > 0 && can.memory > 0, "{can:?}");
    assert!(can.runtimes.contains(&can.default_runtime), "{can:?}");
    assert!(Arc::ptr_eq(
        &can,
        &engine.clone().capabilities().await.unwrap()
    ));
}

#[test]
fn names_that_lead_elsewhere_are_not_sent() {
    for bad in [
        "",
        "..",
        "a/b",
        "../images",
        "a?b",
        "a b",
        "-a",
        &"a".repeat(256),
    ] {
        assert!(segment("container", bad).is_err(), "{bad}");
    }
    assert_eq!(
        segment("container", "casemate-a_b.c-0").unwrap(),
        "casemate-a_b.c-0"
    );
}

#[test]
fn every_call_can_be_spawned() {
    fn spawnable<T: Send>(_: &T) {}
    let engine = DockerEngine::new(EngineAddress {
        uri: "unix:///nowhere".to_owned(),
        found_by: "a test".to_owned(),
    });
    let engine = engine.unwrap();
    let spec = spec();
    spawnable(&engine.version());
    spawnable(&engine.capabilities());
    spawnable(&engine.inspect("a"));
    spawnable(&engine.create("a", &spec));
    spawnable(&engine.start("a"));
    spawnable(&engine.remove("a"));
    spawnable(&engine.ended("a"));
    spawnable(&engine.list_containers(&[]));
    spawnable(&engine.ensure_volume("a", &spec.labels, &[], None));
    spawnable(&engine.remove_volume("a"));
    spawnable(&engine.list_volumes(&[]));
    spawnable(&engine.exec("a", "1:1", &["true"]));
    spawnable(&engine.prepared_image("a", b"", UidRange::NONE, |_| {}));
    spawnable(&engine.unused_prepared(std::slice::from_ref(&spec.image)));
}
