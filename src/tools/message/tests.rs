use proptest::prelude::*;

use super::*;

fn refusal(text: impl AsRef<[u8]>) -> InvalidMessage {
    let text = text.as_ref();
    match read(text) {
        MessageOrBatch::One(part) => match *part {
            ParsedMessage::Refused(refusal) => refusal,
            other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
        },
        batch => panic!("{batch:?}"),
    }
}

#[test]
fn whatever_is_no_message_has_an_answer_with_its_id_and_a_sentence() {
    let cases: [(&[u8], Value, i32, &str); 16] = [
        (br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell_exec","arguments":{"command":"a\ud83d"}}}"#, json!(7), PARSE_ERROR, "surrogate"),
        (br#"{"params":{"a":"\udc00","id":1},"id":"x","method":"a"}"#, json!("x"), PARSE_ERROR, "surrogate"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"ping\",\"params\":{\"a\":\"\xff\"}}", json!(8), PARSE_ERROR, "UTF-8"),
        (b"this is not JSON", Value::Null, PARSE_ERROR, "not JSON"),
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping""#, json!(9), PARSE_ERROR, "does not end"),
        (b"7", Value::Null, INVALID_REQUEST, "a number"),
        (b"[]", Value::Null, INVALID_REQUEST, "batch"),
        (br#"{"id":3,"method":"ping"}"#, json!(3), INVALID_REQUEST, "jsonrpc"),
        (br#"{"jsonrpc":"2.0","id":3}"#, json!(3), INVALID_REQUEST, "method"),
        (br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Value::Null, INVALID_REQUEST, "whole number"),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Value::Null, INVALID_REQUEST, "whole number"),
        (br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":[1]}"#, json!(4), INVALID_PARAMS, "an array"),
        (br#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"shell_exec","arguments":"ls"}}"#, json!(5), INVALID_PARAMS, "a string"),
        (br#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"arguments":{}}}"#, json!(6), INVALID_PARAMS, "name"),
        (br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#, json!(0), INVALID_PARAMS, "wrong: clientInfo"),
        (br#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#, json!(0), INVALID_PARAMS, "wrong: protocolVersion, capabilities, clientInfo"),
    ];
    for (text, id, code, part) in cases {
        let refusal = refusal(text);
        let shown = String::from_utf8_lossy(text);
        assert_eq!(
            (&refusal.id, refusal.code),
            (&id, code),
            "{shown}: {refusal:?}"
        );
        assert!(refusal.message.contains(part), "{shown}: {refusal:?}");
    }
    let deep = format!("{{\"id\":1,\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(refusal(deep).message.contains("nested"));
}

#[test]
fn a_message_is_read_and_what_nobody_waits_for_is_left() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"shell_exec"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"of/another/age","params":{"a":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#,
    ] {
        let read = read(text.as_bytes());
        let message = matches!(&read, MessageOrBatch::One(part) if matches!(**part, ParsedMessage::Message(_)));
        assert!(message, "{text}: {read:?}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#,
        r#"{"jsonrpc":"2.0","id":[],"result":{}}"#,
    ] {
        let read = read(text.as_bytes());
        let ignored =
            matches!(&read, MessageOrBatch::One(part) if matches!(**part, ParsedMessage::Ignored));
        assert!(ignored, "{text}: {read:?}");
    }
}

#[test]
fn each_message_of_a_batch_is_judged_by_itself() {
    let text = r#" [{"jsonrpc":"2.0","id":1,"method":"ping"},7,{"jsonrpc":"2.0","method":"a"}]"#;
    let MessageOrBatch::Batch(parts) = read(text.as_bytes()) else {
        panic!("no batch");
    };
    assert!(matches!(parts[0], ParsedMessage::Message(_)));
    assert!(matches!(parts[1], ParsedMessage::Refused(_)));
    assert_eq!(parts.len(), 3);
    let many = format!("[{}]", vec!["7"; BATCH_MESSAGES + 1].join(","));
    assert!(refusal(many).message.contains("at most 64"));
}

proptest! {
    #[test]
    fn the_id_is_found_wherever_it_stands_and_whatever_follows(
        before in "[a-z\"\\\\{}:, ]{0,40}", after in "[a-z\"\\\\{}:, ]{0,40}",
        id in prop_oneof![any::<i64>().prop_map(Value::from), "[a-z\"\\\\:,é]{0,20}".prop_map(Value::from)],
        cut in 1_usize..20,
    ) {
        let message = json!({ "a": before, "id": id, "params": { "id": 0, "a": [after] }, "z": after });
        let mut text = message.to_string().into_bytes();
        // Broken off before its end.
        text.truncate(text.len() - 1);
        let mut finder = IdFinder::default();
        text.chunks(cut).for_each(|piece| finder.push(piece));
        prop_assert_eq!(finder.id(), id);
    }
}
