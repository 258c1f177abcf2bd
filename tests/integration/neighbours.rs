//! The load of one user hardly slows another, and costs the Engine nothing.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::harness::{CallResult, Engine, Server, TestServer};

/// Calls whose median is compared.
const CALLS: usize = 60;

/// How many times slower a call may be under another user's load.
const SLOWER: u32 = 2;

/// Tries of a comparison: other tests use the machine too, and may disturb one part.
const TRIES: usize = 5;

/// Growth that a flood may cost the Engine.
const GROWTH_KIB: u64 = 10 * 1024;

/// Interval between reads of the Engine's memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

async fn median(server: &Server) -> Duration {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        let result = server.shell("true").await;
        took.push(start.elapsed());
        assert_eq!(result.outcome(), "exited", "{}", result.0);
    }
    took.sort_unstable();
    took[CALLS / 2]
}

/// Compares a user's calls alone and during `trouble`. Returns the result of `trouble`.
async fn hardly_felt<T>(what: &str, other: &Server, trouble: impl AsyncFn() -> T) -> T {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let alone = median(other).await;
        let calls = async {
            // Waits until the trouble has begun.
            sleep(Duration::from_secs(1)).await;
            (median(other).await, Instant::now())
        };
        let trouble = async { (trouble().await, Instant::now()) };
        let ((beside, measured), (result, over)) = tokio::join!(calls, trouble);
        if beside <= SLOWER * alone && measured <= over {
            return result;
        }
        seen.push((alone, beside, measured <= over));
    }
    panic!("{what}: alone, beside it, whether it lasted: {seen:?}");
}

#[tokio::test]
async fn a_fork_bomb_and_a_flood_hardly_slow_another_user_or_grow_the_engine() {
    let engine = Engine::start().await;
    let server = TestServer::new().env("DOCKER_HOST", &engine.uri());
    let other = server.clone().user("other").start().await;
    let server = server.start().await;
    // A first container and output, so that the Engine's fixed cost is not measured.
    other.shell("true").await;
    server.shell("seq 3000000").await;
    let before = engine.resident_kib();

    let bomb = "bomb() { bomb | bomb & }; bomb; sleep 600";
    let bomb = async || server.shell_within(bomb, 6).await;
    let result: CallResult = hardly_felt("a fork bomb", &other, bomb).await;
    assert_eq!(result.outcome(), "timed_out", "{}", result.0);

    let flood = async || {
        let flood = server.shell_within("head -c 5G /dev/zero; exit 6", 120);
        tokio::pin!(flood);
        loop {
            tokio::select! {
                result = &mut flood => return result,
                () = sleep(SAMPLE_INTERVAL) => {
                    let now = engine.resident_kib();
                    assert!(now < before + GROWTH_KIB, "{before} KiB became {now} KiB");
                }
            }
        }
    };
    let result: CallResult = hardly_felt("a flood", &other, flood).await;
    assert_eq!((result.outcome(), result.exit_code()), ("exited", 6));
    assert_eq!(result.field("stdout_bytes"), 5_u64 << 30);
    let after = engine.resident_kib();
    eprintln!("the Engine: {before} KiB before, {after} KiB after");
    assert!(
        after < before + GROWTH_KIB,
        "{before} KiB became {after} KiB"
    );
}
