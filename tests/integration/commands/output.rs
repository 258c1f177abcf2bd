//! Output that is long, binary, or overwritten by carriage returns.

use serde_json::json;

use crate::harness::TestServer;

/// Head, omitted bytes and tail of a stream that was cut.
fn parts(stream: &str) -> (&str, u64, &str) {
    let is_marker = |line: &&str| line.starts_with('[') && line.contains(" bytes omitted; ");
    let markers: Vec<&str> = stream.lines().filter(is_marker).collect();
    assert_eq!(markers.len(), 1, "{stream}");
    let count = markers[0]
        .trim_start_matches('[')
        .split(' ')
        .next()
        .expect("a number");
    let (head, tail) = stream
        .split_once(&format!("{}\n", markers[0]))
        .expect("the marker is a whole line");
    (head, count.parse().expect("a number"), tail)
}

/// Characters of output that one result shows.
const SHOWN: usize = 30_000;

#[tokio::test]
async fn long_output_is_cut_to_head_and_tail_with_exact_counts() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 1000000; exit 4").await;
    let (head, left_out, tail) = parts(result.stdout());
    let bytes = result.field("stdout_bytes").as_u64().expect("bytes");
    assert_eq!(bytes, 6_888_896);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, bytes);
    assert!(head.starts_with("1\n2\n3\n") && head.ends_with('\n'));
    assert!(tail.ends_with("\n999999\n1000000\n"));
    // Both parts consist of whole lines and are contiguous with the omitted part.
    let first_left_out = head.lines().count() + 1;
    let first_of_tail: usize = tail
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a whole line");
    let between: u64 = (first_left_out..first_of_tail)
        .map(|n| n.to_string().len() as u64 + 1)
        .sum();
    assert_eq!(between, left_out);
    let shown = head.len() + tail.len();
    assert!((SHOWN - 4_000..=SHOWN).contains(&shown), "{shown}");
    assert!(head.len() < tail.len());
    assert_eq!(
        (result.exit_code(), result.field("truncated")),
        (4, &json!(true))
    );
    assert_eq!(result.text(), format!("{}[exit code: 4]", result.stdout()));

    let result = server
        .shell_within("yes | head -c 300000000; exit 5", 60)
        .await;
    let (head, left_out, tail) = parts(result.stdout());
    assert_eq!(result.field("stdout_bytes"), 300_000_000);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, 300_000_000);
    assert_eq!((result.outcome(), result.exit_code()), ("exited", 5));
    // One unfinished line, of multi-byte characters.
    let result = server.shell("yes 日 | head -n 100000 | tr -d '\\n'").await;
    let (head, left_out, tail) = parts(result.stdout());
    let (head, tail) = (head.trim_end_matches('\n'), tail);
    assert_eq!(result.field("stdout_bytes"), 300_000);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, 300_000);
    assert!(head.chars().chain(tail.chars()).all(|char| char == '日'));
    assert_eq!(head.chars().count() + tail.chars().count(), SHOWN);
}

#[tokio::test]
async fn two_streams_share_what_is_shown_and_binary_output_breaks_nothing() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 100000; seq 200000 >&2").await;
    let (out, err) = (parts(result.stdout()), parts(result.stderr()));
    for (part, name, bytes) in [
        (out, "stdout_bytes", 588_895),
        (err, "stderr_bytes", 1_288_895),
    ] {
        assert_eq!(result.field(name), bytes, "{name}");
        assert_eq!(
            (part.0.len() + part.2.len()) as u64 + part.1,
            bytes,
            "{name}"
        );
        assert!(part.0.len() + part.2.len() <= SHOWN / 2, "{name}");
    }
    // Both forms have all of it.
    assert_eq!(
        result.text(),
        format!("{}[stderr]\n{}", result.stdout(), result.stderr())
    );
    // A short stream leaves its share to the long one.
    let result = server.shell("seq 5300; echo quiet >&2").await;
    assert!(
        result.0["structuredContent"].get("truncated").is_none(),
        "{}",
        result.stdout().len()
    );
    assert_eq!(
        (result.stdout().lines().count(), result.stderr()),
        (5300, "quiet\n")
    );

    for command in [
        "head -c 3000000 /dev/urandom",
        "head -c 3000000 /dev/zero",
        "yes $'\\x01\\x1b\"\\\\' | head -c 3000000",
    ] {
        let result = server.shell(command).await;
        assert_eq!(result.field("stdout_bytes"), 3_000_000, "{command}");
        assert_eq!(result.exit_code(), 0, "{command}");
        // Clients break at 1 MiB of message.
        assert!(
            result.0.to_string().len() < 1_000_000,
            "{command}: {}",
            result.0.to_string().len()
        );
    }
    assert_eq!(server.shell("echo fine").await.stdout(), "fine\n");
}

#[tokio::test]
async fn of_a_progress_bar_the_last_frame_is_shown_and_all_of_it_is_in_a_file() {
    let server = TestServer::new().start().await;
    let bar = "for i in $(seq 5000); do printf '\\r%4d of 5000' $i; done; echo; echo end";
    let result = server.shell(bar).await;
    assert_eq!(result.stdout(), "5000 of 5000\nend\n", "{}", result.0);
    let frame = "\r   1 of 5000".len();
    let overwritten = 4_999 * frame + 1;
    assert_eq!(
        result.field("overwritten_bytes"),
        overwritten,
        "{}",
        result.0
    );
    assert_eq!(result.field("truncated"), true);
    assert_eq!(result.field("stdout_bytes"), 5_000 * frame + 5);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    let said = format!(
        "[omitted {overwritten} bytes that carriage returns overwrote; full output: {path}]"
    );
    assert!(result.text().contains(&said), "{}", result.text());
    let kept = server.shell(&format!("wc -c < {path}")).await;
    assert_eq!(kept.stdout().trim(), (5_000 * frame + 5).to_string());

    // A short one too.
    let result = server.shell("printf 'one\\rtwo\\r\\n'").await;
    assert_eq!(result.stdout(), "two\r\n", "{}", result.0);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    let kept = server
        .shell(&format!("cat {path} | od -An -c | tr -d ' '"))
        .await;
    assert_eq!(kept.stdout(), "one\\rtwo\\r\\n\n");
}
