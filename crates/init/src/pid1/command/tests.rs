use super::*;
use crate::pid1::link::Link;

#[tokio::test(start_paused = true)]
async fn a_command_nobody_watches_is_interrupted_after_the_grace() {
    let command = Command::new("a".into(), 10);
    let watcher = command.watch(&Link::default());
    let hour = Duration::from_secs(3600);
    let start = tokio::time::Instant::now();
    let interrupted = command.interrupted(hour);
    tokio::pin!(interrupted);
    let watched = tokio::time::timeout(Duration::from_secs(60), interrupted.as_mut());
    assert!(watched.await.is_err());
    drop(watcher);
    assert_eq!(interrupted.await, Interruption::Cancelled);
    assert_eq!(start.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn a_detached_command_needs_no_watcher() {
    let command = Command::new("a".into(), 10);
    drop(command.watch(&Link::default()));
    command.detach();
    let interrupted = command.interrupted(Duration::from_secs(600)).await;
    assert_eq!(interrupted, Interruption::Deadline);
}

#[tokio::test(start_paused = true)]
async fn an_operator_ends_a_command_that_is_watched_and_one_that_is_not() {
    for is_detached in [false, true] {
        let command = Command::new("a".into(), 10);
        let _watcher = command.watch(&Link::default());
        if is_detached {
            command.detach();
        }
        command.stop();
        let interrupted = command.interrupted(Duration::from_secs(60)).await;
        assert_eq!(interrupted, Interruption::Operator);
    }
}

#[test]
fn only_the_beginning_of_a_script_is_kept_and_only_shown_when_asked_for() {
    let long = vec![b'x'; 3 * SHOWN_SCRIPT_BYTES];
    let command = Command::new("a".into(), 10).running(&long);
    let listed = command.listed(false, 1, true);
    assert_eq!(listed.script.expect("its script").len(), SHOWN_SCRIPT_BYTES);
    assert_eq!(listed.script_bytes, long.len() as u64);
    assert_eq!((listed.pid, listed.output_bytes), (None, Some(0)));
    let listed = command.listed(true, 1, false);
    assert_eq!((listed.script, listed.script_bytes), (None, 0));
    let short = Command::new("a".into(), 10).running(b"ls");
    let shown = short.listed(false, 1, true).script;
    assert_eq!(shown.as_deref(), Some(b"ls".as_slice()));
}

#[test]
fn a_command_is_for_the_request_with_its_tag_until_it_lives_on() {
    let command = Command::new("a".into(), 10).tagged(Bytes::from_static(b"t"));
    assert!(command.is_for(b"t") && !command.is_for(b"u") && !command.is_for(b""));
    assert!(!Command::new("a".into(), 10).is_for(b""));
    command.detach();
    assert!(!command.is_for(b"t"));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_comes_back_in_time_saves_the_command() {
    let command = Command::new("a".into(), 10);
    drop(command.watch(&Link::default()));
    let interrupted = command.interrupted(Duration::from_secs(30));
    tokio::pin!(interrupted);
    let early = tokio::time::timeout(Duration::from_secs(9), interrupted.as_mut());
    assert!(early.await.is_err());
    let _watcher = command.watch(&Link::default());
    assert_eq!(interrupted.await, Interruption::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_command_waits_longer_for_a_server_whose_connection_broke() {
    let (hour, ttl) = (Duration::from_secs(3600), Duration::from_secs(900));
    for (departs, ends, seconds) in [(false, true, 900), (true, true, 10), (false, false, 10)] {
        let command = Command::new("a".into(), 10).kept_for(ttl);
        let link = Link::default();
        drop(command.watch(&link));
        if departs {
            link.depart();
        }
        if ends {
            link.end();
        }
        let start = tokio::time::Instant::now();
        assert_eq!(command.interrupted(hour).await, Interruption::Cancelled);
        assert_eq!(start.elapsed().as_secs(), seconds, "{departs} {ends}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_late_finds_the_command_of_its_broken_connection() {
    let command = Command::new("a".into(), 10).kept_for(Duration::from_secs(900));
    let broken = Link::default();
    drop(command.watch(&broken));
    broken.end();
    let interrupted = command.interrupted(Duration::from_secs(2000));
    tokio::pin!(interrupted);
    let early = tokio::time::timeout(Duration::from_secs(890), interrupted.as_mut());
    assert!(early.await.is_err());
    let _watcher = command.watch(&Link::default());
    assert_eq!(interrupted.await, Interruption::Deadline);
}
