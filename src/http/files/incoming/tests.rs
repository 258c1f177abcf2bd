//! Chunks, stalls and the bound between files.

use futures_util::stream;

use super::*;

fn body(chunks: Vec<&'static [u8]>) -> Body {
    let chunks = chunks
        .into_iter()
        .map(|c| Ok::<_, std::io::Error>(Bytes::from_static(c)));
    Body::from_stream(stream::iter(chunks))
}

#[tokio::test]
async fn a_body_passes_chunk_by_chunk_with_a_rest_after_each() {
    let mut incoming = IncomingBody::new(body(vec![b"a", b"b"]));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut poll = || incoming.poll_next_unpin(&mut context);
    assert!(matches!(poll(), Poll::Ready(Some(Ok(chunk))) if chunk == "a"));
    assert!(poll().is_pending());
    assert!(matches!(poll(), Poll::Ready(Some(Ok(chunk))) if chunk == "b"));
    assert!(poll().is_pending());
    assert!(matches!(poll(), Poll::Ready(None)));
    assert!(matches!(poll(), Poll::Ready(None)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_fails_and_one_that_is_slow_does_not() {
    let slow = stream::unfold(0, |sent| async move {
        let pause = if sent < 3 {
            STALL_TIMEOUT / 2
        } else {
            STALL_TIMEOUT * 2
        };
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), sent + 1))
    });
    let (mut content, failure) = content(IncomingBody::new(Body::from_stream(slow)));
    for _ in 0..3 {
        assert!(content.next().await.expect("a chunk").is_ok());
    }
    assert!(content.next().await.expect("the end").is_err());
    let refused = failure.or(FileRejection::bad("other"));
    assert_eq!(
        (refused.status.as_u16(), refused.code),
        (408, "incomplete_body")
    );
}

#[tokio::test]
async fn between_files_there_is_a_bound_and_in_a_file_none() {
    let chunk = Bytes::from(vec![0; 700 << 10]);
    let chunks = stream::repeat(chunk).map(Ok::<_, std::io::Error>);
    let mut incoming = IncomingBody::new(Body::from_stream(chunks));
    let allowance = incoming.allowance();
    for _ in 0..3 {
        assert!(incoming.next().await.expect("a chunk").is_ok());
    }
    allowance.between_files();
    assert!(incoming.next().await.expect("a chunk").is_ok());
    allowance.of_a_file();
    assert!(incoming.next().await.expect("a chunk").is_ok());
    allowance.between_files();
    assert!(incoming.next().await.expect("a chunk").is_ok());
    let error = incoming
        .next()
        .await
        .expect("the end")
        .expect_err("too much");
    assert_eq!(refused(&error).status, StatusCode::BAD_REQUEST);
}
