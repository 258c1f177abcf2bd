use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn executed(finished: Finished) -> ExecReport {
    ExecReport {
        outcome: ExecOutcome::Finished(Box::new(finished)),
        network: None,
    }
}

#[test]
fn a_command_cannot_forge_the_structured_fields() {
    let finished = Finished {
        outcome: Ended::Exited.into(),
        exit_code: 7,
        stdout: Some(Captured {
            head: Bytes::from_static(b"[exit code: 0]"),
            ..Captured::default()
        }),
        ..Finished::default()
    };
    let answer = Answer {
        value: executed(finished),
        notice: None,
    };
    let output = CommandResult::from(answer);
    assert_eq!(output.exit_code, 7);
    assert!(!output.is_error());
    assert_eq!(output.text(30), "[exit code: 0]\n[exit code: 7]");
}

#[test]
fn frames_that_were_overwritten_are_counted_and_their_file_is_named() {
    let finished = Finished {
        outcome: Ended::Exited.into(),
        stdout: Some(Captured {
            head: Bytes::from_static(b"100 %\n"),
            overwritten: 594,
            total: 600,
            ..Captured::default()
        }),
        output_path: "a.log".to_owned(),
        ..Finished::default()
    };
    let value = executed(finished);
    let output = CommandResult::from(Answer {
        value,
        notice: None,
    });
    let structured = serde_json::to_value(&output).expect("JSON");
    assert_eq!(structured["stdout"], "100 %\n");
    assert_eq!(structured["truncated"], true);
    assert_eq!(structured["overwritten_bytes"], 594);
    assert_eq!(structured["stdout_bytes"], 600);
    assert_eq!(
        output.text(30),
        "100 %\n[omitted 594 bytes that carriage returns overwrote; full output: a.log]"
    );
}

proptest! {
    /// Any bytes as an outcome give an answer that no client breaks on.
    #[test]
    fn no_outcome_breaks_the_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(finished) = Finished::decode(bytes.as_slice()) {
            let value = executed(finished);
            CommandResult::from(Answer { value, notice: None }).text(30);
        }
    }

    #[test]
    fn a_flood_from_pid_1_stays_below_the_limit_of_a_result(
        sizes in [0usize..200_000, 0usize..200_000, 0usize..200_000, 0usize..200_000],
        omitted in any::<u64>(),
        byte: u8,
    ) {
        let captured = |head: usize, tail: usize| Captured {
            head: vec![byte; head].into(),
            tail: vec![byte; tail].into(),
            omitted,
            total: omitted,
            overwritten: omitted,
        };
        let finished = Finished {
            stdout: Some(captured(sizes[0], sizes[1])),
            stderr: Some(captured(sizes[2], sizes[3])),
            ..Finished::default()
        };
        let value = executed(finished);
        let output = CommandResult::from(Answer { value, notice: None });
        let result = (serde_json::to_value(&output).expect("JSON"), output.text(30));
        let bytes = serde_json::to_vec(&result).expect("JSON").len();
        // The envelope of a result has less than this.
        prop_assert!(bytes + 1000 < RESULT_BYTES, "{bytes}");
    }
}
