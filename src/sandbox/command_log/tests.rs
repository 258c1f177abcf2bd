use casemate_protocol::{Failure, FailureExt as _, Finished, StartRequest};

use super::*;

fn user(name: &str) -> User {
    User::local(name.parse().expect("a subject"))
}

fn workspace(user_name: &str, name: Option<&str>) -> WorkspaceId {
    WorkspaceId {
        user: user(user_name),
        name: name.map(|name| name.parse().expect("a name")),
    }
}

fn start(id: &str, script: &str) -> Command {
    Command::Start(StartRequest {
        id: id.to_owned(),
        script: script.to_owned().into(),
        ..StartRequest::default()
    })
}

fn resume(id: &str) -> Command {
    Command::Resume {
        id: id.to_owned(),
        stop: false,
    }
}

fn report(outcome: ExecOutcome) -> Result<ExecReport, SandboxError> {
    Ok(ExecReport {
        outcome,
        network: None,
    })
}

fn exited(exit_code: i32) -> ExecOutcome {
    let finished = Finished {
        outcome: Outcome::Exited.into(),
        exit_code,
        duration_ms: 1500,
        ..Finished::default()
    };
    ExecOutcome::Finished(Box::new(finished))
}

fn texts(commands: &WorkspaceCommands) -> Vec<String> {
    let newest = commands.newest_first().into_iter();
    newest.map(|command| command.text).collect()
}

/// A command that ran and ended.
fn ran(commands: &WorkspaceCommands, id: &str, script: &str) {
    commands.call(&start(id, script)).end(&report(exited(0)));
}

#[test]
fn each_workspace_of_each_user_has_its_own_commands() {
    let log = CommandLog::default();
    let own = log.of(workspace("ada", None));
    let named = log.of(workspace("ada", Some("chat")));
    let other = log.of(workspace("bob", None));
    ran(&own, "1", "first");
    ran(&named, "2", "second");
    ran(&own, "3", "third");
    assert_eq!(texts(&own), ["third", "first"]);
    assert_eq!(texts(&named), ["second"]);
    assert_eq!(texts(&other), [""; 0]);
    // Another user's id changes nothing.
    let running = own.call(&start("4", "fourth"));
    other.call(&resume("4")).end(&report(exited(1)));
    assert_eq!(own.newest_first()[0].state, CommandState::Followed);
    drop(running);
}

#[test]
fn a_command_has_the_state_that_its_calls_learned_last() {
    let log = CommandLog::default().of(workspace("ada", None));
    let state = |log: &WorkspaceCommands| log.newest_first()[0].state;
    let first = log.call(&start("1", "a"));
    assert_eq!(state(&log), CommandState::Followed);
    first.end(&report(ExecOutcome::Running(
        "1".to_owned(),
        Box::default(),
    )));
    assert_eq!(state(&log), CommandState::Detached);
    // A call that goes on with it is cancelled: it lives on.
    log.call(&resume("1")).end(&Err(SandboxError::Cancelled));
    drop(log.call(&resume("1")));
    assert_eq!(state(&log), CommandState::Detached);
    log.call(&resume("1")).end(&report(exited(3)));
    let end = CommandEnd {
        outcome: Some(Outcome::Exited),
        exit_code: Some(3),
        duration: Some(Duration::from_millis(1500)),
    };
    assert_eq!(state(&log), CommandState::Ended(end));
    // What came later changes nothing.
    let unknown = Failure::new(Code::UnknownCommand, "no such command is known");
    let unknown = Err(SandboxError::Failed(unknown));
    log.call(&resume("1")).end(&unknown);
    assert_eq!(state(&log), CommandState::Ended(end));
}

#[test]
fn a_command_that_ended_unseen_or_was_not_run_is_not_said_to_have_exited() {
    let log = CommandLog::default().of(workspace("ada", None));
    let state = |log: &WorkspaceCommands| log.newest_first()[0].state;
    log.call(&start("1", "a"))
        .end(&Err(SandboxError::Cancelled));
    let CommandState::Ended(end) = state(&log) else {
        panic!("{:?}", state(&log));
    };
    assert_eq!(end.outcome, Some(Outcome::Cancelled));
    drop(log.call(&start("2", "b")));
    assert_eq!(state(&log), CommandState::UNSEEN);
    let bad_cwd = Failure::new(Code::BadCwd, "not there");
    log.call(&start("3", "c"))
        .end(&Err(SandboxError::Failed(bad_cwd)));
    assert_eq!(texts(&log), ["b", "a"]);
}

#[test]
fn a_user_has_200_commands_in_128_kib_at_most() {
    let log = CommandLog::default().of(workspace("ada", None));
    for nth in 0..300 {
        let id = nth.to_string();
        ran(&log, &id, &id);
    }
    let kept = log.newest_first();
    assert_eq!(kept.len(), COMMANDS_LIMIT);
    assert_eq!(
        (kept[0].text.as_str(), kept[199].text.as_str()),
        ("299", "100")
    );
    let long = "é".repeat(10_000);
    for nth in 300..400 {
        ran(&log, &nth.to_string(), &long);
    }
    let kept = log.newest_first();
    assert!(kept.iter().map(bytes_of).sum::<usize>() <= USER_BYTES_LIMIT);
    assert!(kept.len() > 50, "{}", kept.len());
    assert_eq!(kept[0].text_bytes, 20_000);
    assert_eq!(kept[0].text, "é".repeat(TEXT_LIMIT / 2));
}

#[test]
fn a_text_is_cut_between_two_characters() {
    assert_eq!(beginning(b"true"), "true");
    assert_eq!(beginning(b"\xff"), "\u{fffd}");
    let cut = format!("a{}", "é".repeat(2000));
    assert_eq!(beginning(cut.as_bytes()), format!("a{}", "é".repeat(1023)));
}

#[test]
fn of_too_many_users_the_one_with_the_oldest_commands_goes() {
    let log = CommandLog::default();
    for nth in 0..=USERS_LIMIT {
        ran(&log.of(workspace(&format!("u{nth}"), None)), "1", "true");
    }
    assert_eq!(log.0.lock().len(), USERS_LIMIT);
    assert_eq!(texts(&log.of(workspace("u0", None))), [""; 0]);
    assert_eq!(texts(&log.of(workspace("u1", None))), ["true"]);
}

#[test]
fn the_commands_of_a_workspace_go_with_it() {
    let log = CommandLog::default();
    let own = log.of(workspace("ada", None));
    let named = log.of(workspace("ada", Some("chat")));
    ran(&own, "1", "first");
    ran(&named, "2", "second");
    named.clear();
    assert_eq!(
        (texts(&own), texts(&named)),
        (vec!["first".to_owned()], vec![])
    );
    log.clear(&user("ada"));
    assert_eq!(texts(&own), [""; 0]);
}
