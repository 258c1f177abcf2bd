use proptest::prelude::*;

use super::*;

fn after(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

#[test]
fn an_answer_counts_for_a_minute() {
    let start = Instant::now();
    let mut questions = Questions::default();
    assert_eq!(questions.ask("a.test", start), Ask::Send);
    assert_eq!(questions.ask("a.test", start), Ask::Wait);
    assert!(questions.answered("a.test", 7, start));
    assert_eq!(
        questions.ask("a.test", after(start, 59_000)),
        Ask::Known(7, Duration::from_secs(1))
    );
    assert_eq!(questions.ask("a.test", after(start, 60_000)), Ask::Send);
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let start = Instant::now();
    let mut questions = Questions::default();
    assert!(!questions.answered("a.test", 7, start));
    assert_eq!(questions.ask("a.test", start), Ask::Send);
    assert!(questions.expire(after(start, 2_999)).is_empty());
    assert_eq!(questions.expire(after(start, 3_000)), [Box::from("a.test")]);
    assert!(
        !questions.answered("a.test", 7, after(start, 3_001)),
        "too late"
    );
    assert_eq!(questions.ask("a.test", after(start, 3_002)), Ask::Send);
}

#[test]
fn a_failure_is_not_kept() {
    let start = Instant::now();
    let mut questions: Questions<u8> = Questions::default();
    assert!(!questions.failed("a.test"), "it was not asked yet");
    assert_eq!(questions.ask("a.test", start), Ask::Send);
    assert!(questions.failed("a.test"));
    assert_eq!(questions.ask("a.test", after(start, 1)), Ask::Send);
}

#[test]
fn fifty_questions_a_second_go_up() {
    let start = Instant::now();
    let mut questions: Questions<u8> = Questions::default();
    for n in 0..QUESTION_RATE {
        assert_eq!(questions.ask(&format!("{n}.test"), start), Ask::Send);
    }
    assert_eq!(questions.ask("more.test", after(start, 999)), Ask::TooMany);
    assert_eq!(
        questions.ask("0.test", after(start, 999)),
        Ask::Wait,
        "costs nothing"
    );
    assert_eq!(questions.ask("more.test", after(start, 1_000)), Ask::Send);
}

#[test]
fn answers_are_bounded_and_the_oldest_goes() {
    let start = Instant::now();
    let mut questions = Questions::default();
    let at = |n: usize| after(start, 25 * n as u64);
    for n in 0..=ANSWER_LIMIT {
        let name = format!("{n}.test");
        assert_eq!(questions.ask(&name, at(n)), Ask::Send);
        assert!(questions.answered(&name, n, at(n)));
    }
    let now = at(ANSWER_LIMIT + 40);
    assert_eq!(
        (questions.answers.len(), questions.order.len()),
        (ANSWER_LIMIT, ANSWER_LIMIT)
    );
    assert!(matches!(questions.ask("1.test", now), Ask::Known(1, _)));
    assert_eq!(questions.ask("0.test", now), Ask::Send);
    questions.forget();
    assert_eq!(questions.ask("1.test", now), Ask::Send);
}

proptest! {
    #[test]
    fn no_second_has_more_questions_than_allowed(steps in proptest::collection::vec((0_u16..400, 0_u64..40, 0_u8..4), 1..600)) {
        let mut now = Instant::now();
        let mut questions = Questions::default();
        let mut sent: Vec<Instant> = Vec::new();
        for (name, pause, what) in steps {
            now += Duration::from_millis(pause);
            let name = format!("{name}.test");
            match what {
                0 => { questions.answered(&name, (), now); }
                1 => { questions.expire(now); }
                _ => if questions.ask(&name, now) == Ask::Send { sent.push(now) },
            }
            prop_assert_eq!(questions.answers.len(), questions.order.len());
            prop_assert!(questions.sent.len() <= QUESTION_RATE);
        }
        for (index, at) in sent.iter().enumerate() {
            let in_second = sent[index..].iter().take_while(|other| **other - *at < WINDOW).count();
            prop_assert!(in_second <= QUESTION_RATE);
        }
    }
}
