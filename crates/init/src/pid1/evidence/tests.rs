use proptest::prelude::*;

use super::*;

const STARTED: ProcessIdentity = ProcessIdentity {
    pid: 7,
    since: 4242,
};

fn last(code: Option<i32>, execed: ExecState, refusal: Option<i32>) -> FinalStatus {
    FinalStatus {
        ended: ExitDetails {
            code,
            signal: code.is_none().then_some(libc::SIGKILL),
            ..ExitDetails::default()
        },
        execed: execed.into(),
        refusal,
        alone: true,
    }
}

fn no_such_directory() -> StartError {
    StartError {
        step: Step::Chdir.into(),
        errno: libc::ENOENT,
    }
}

fn evidence(facts: impl IntoIterator<Item = Fact>, empty: bool) -> Evidence {
    let mut evidence = Evidence::default();
    for fact in facts {
        evidence.report(fact);
    }
    if empty {
        evidence.emptied(TreeReaped::for_tests());
    }
    evidence
}

fn verdict(facts: impl IntoIterator<Item = Fact>, empty: bool) -> Result<ExitDetails, Cause> {
    let verdict = evidence(facts, empty).verdict();
    verdict.expect("it is over").into_result()
}

/// Of a process that started and then ended so.
fn of_end(last: FinalStatus, empty: bool) -> Result<ExitDetails, Cause> {
    verdict([Fact::Started(STARTED), Fact::Ended(last)], empty)
}

#[test]
fn an_end_is_believed_once_and_only_of_a_process_that_was_there() {
    let (zero, three) = (
        last(Some(0), ExecState::Yes, None),
        last(Some(3), ExecState::Yes, None),
    );
    assert!(evidence([Fact::Ended(zero)], true).verdict().is_none());
    let facts = [
        Fact::Ended(zero),
        Fact::Started(STARTED),
        Fact::Ended(three),
        Fact::Ended(zero),
    ];
    assert_eq!(verdict(facts, true), Ok(three.ended));
}

#[test]
fn the_first_start_counts() {
    let other = ProcessIdentity { pid: 8, since: 1 };
    let evidence = evidence([Fact::Started(STARTED), Fact::Started(other)], false);
    assert_eq!(evidence.started(), Some(STARTED));
}

#[test]
fn a_report_of_nothing_left_is_no_proof_of_it() {
    let evidence = evidence([Fact::Started(STARTED), Fact::Empty(true)], false);
    assert!(!evidence.is_empty() && !evidence.is_over());
}

#[test]
fn a_program_that_ran_has_ended_whatever_was_said_of_its_start() {
    let ran = last(Some(127), ExecState::Yes, Some(libc::E2BIG));
    assert_eq!(of_end(ran, true), Ok(ran.ended));
    let facts = [
        Fact::Started(STARTED),
        Fact::Ended(ran),
        Fact::Failed(no_such_directory()),
    ];
    assert_eq!(verdict(facts, true), Ok(ran.ended));
}

#[test]
fn a_failure_to_start_needs_the_kernels_note_the_exit_code_and_nothing_left() {
    let errno = libc::E2BIG;
    let never = last(Some(127), ExecState::Never, Some(errno));
    let step = Step::Exec.into();
    let refused = Err(Cause::Failed(StartError { step, errno }));
    assert_eq!(of_end(never, true), refused);
    // It left something, which may be the command.
    assert_eq!(of_end(never, false), Ok(never.ended));
    // It left something that is gone by now.
    let left = FinalStatus {
        alone: false,
        ..never
    };
    assert_eq!(of_end(left, true), Ok(left.ended));
    // A kernel that makes no note.
    let unknown = last(Some(127), ExecState::Unknown, Some(errno));
    assert_eq!(of_end(unknown, true), refused);
    for (code, refusal) in [
        (Some(0), Some(errno)),
        (Some(127), None),
        (None, Some(errno)),
    ] {
        let unknown = last(code, ExecState::Unknown, refusal);
        assert_eq!(of_end(unknown, true), Ok(unknown.ended));
    }
}

#[test]
fn a_child_that_ends_without_becoming_the_command_is_no_command_that_exited() {
    for (code, refusal) in [(0, None), (127, None), (0, Some(libc::E2BIG))] {
        let never = last(Some(code), ExecState::Never, refusal);
        assert_eq!(of_end(never, true), Err(Cause::Prevented), "{code}");
    }
    // A signal is what wait() says, and no claim that anything ran.
    let killed = last(None, ExecState::Never, None);
    assert_eq!(of_end(killed, true), Ok(killed.ended));
}

#[test]
fn what_was_said_before_anybody_could_trace_it_is_the_cause() {
    let failed = Fact::Failed(no_such_directory());
    let end = Fact::Ended(last(Some(127), ExecState::Never, Some(libc::E2BIG)));
    let cause = Err(Cause::Failed(no_such_directory()));
    let started = Fact::Started(STARTED);
    assert_eq!(
        verdict([started.clone(), failed.clone(), end.clone()], true),
        cause
    );
    // Without a process there is no end to wait for.
    let fork = StartError {
        step: Step::Fork.into(),
        errno: libc::EAGAIN,
    };
    assert_eq!(
        verdict([Fact::Failed(fork.clone())], false),
        Err(Cause::Failed(fork))
    );
}

#[test]
fn a_supervisor_that_was_killed_leaves_what_pid_1_inherits() {
    let mut never_started = Evidence::default();
    never_started.inherited(None);
    let verdict = |evidence: &Evidence| evidence.verdict().expect("it is over").into_result();
    assert_eq!(verdict(&never_started), Err(Cause::SupervisorKilled));
    let mut ran = evidence([Fact::Started(STARTED)], true);
    let inherited = last(Some(5), ExecState::Yes, None);
    ran.inherited(Some(inherited));
    assert_eq!(verdict(&ran), Ok(inherited.ended));
    let mut unknown = evidence([Fact::Started(STARTED)], true);
    unknown.inherited(None);
    assert_eq!(verdict(&unknown), Ok(killed()));
    // What the supervisor said before it died is not replaced.
    let told = last(Some(3), ExecState::Yes, None);
    let mut told_before = evidence([Fact::Started(STARTED), Fact::Ended(told)], true);
    told_before.inherited(Some(inherited));
    assert_eq!(verdict(&told_before), Ok(told.ended));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let execed = prop_oneof![
        Just(ExecState::Unknown),
        Just(ExecState::Yes),
        Just(ExecState::Never)
    ];
    let ended = (
        proptest::option::of(0..256),
        execed,
        proptest::option::of(0..200),
    )
        .prop_map(|(code, execed, refusal)| Fact::Ended(last(code, execed, refusal)));
    prop_oneof![
        (2..9, 0..9u64).prop_map(|(pid, since)| Fact::Started(ProcessIdentity { pid, since })),
        (0..6, 0..200).prop_map(|(step, errno)| Fact::Failed(StartError { step, errno })),
        ended,
        any::<bool>().prop_map(Fact::Empty),
    ]
}

proptest! {
    /// No report after the end of a program that ran changes its end.
    #[test]
    fn nothing_that_comes_later_changes_the_end_of_a_program_that_ran(
        code in proptest::option::of(0..256),
        later in proptest::collection::vec(any_fact(), 0..8),
        empty: bool,
    ) {
        let ran = last(code, ExecState::Yes, None);
        let facts = [Fact::Started(STARTED), Fact::Ended(ran)].into_iter().chain(later);
        prop_assert_eq!(verdict(facts, empty), Ok(ran.ended));
    }

    /// No order of reports makes a tree empty or breaks the rules.
    #[test]
    fn reports_alone_never_say_that_nothing_is_left(
        facts in proptest::collection::vec(any_fact(), 0..12),
    ) {
        let evidence = evidence(facts, false);
        prop_assert!(!evidence.is_empty());
        if let (Some(verdict), Some(_)) = (evidence.verdict(), evidence.started()) {
            prop_assert!(verdict.into_result().is_ok(), "something may be left");
        }
    }
}
