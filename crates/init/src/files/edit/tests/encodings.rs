//! Texts in other encodings, and bytes that are no text.

use super::*;

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let sandbox = Sandbox::new(true);
    sandbox.file("latin", b"caf\xe9\r\n\0old\xff");
    let Outcome::Edited(edited) = outcome(sandbox.edit("latin", "old", "new")) else {
        panic!("not edited");
    };
    assert_eq!(sandbox.read("latin"), Ok(b"caf\xe9\r\n\0new\xff".to_vec()));
    assert_eq!(edited.excerpts[0].text, "caf\u{fffd}\r\n\0new\u{fffd}");
}

fn refused_as_no_text(sandbox: &Sandbox, path: &str, old: &str, new: &str, named: &str) {
    let before = sandbox.read(path);
    let request = EditFileRequest {
        path: path.to_owned().into(),
        old_text: old.to_owned().into(),
        new_text: new.to_owned().into(),
        ..EditFileRequest::default()
    };
    let failed = sandbox.workspace.edit_file(&request, &Cancel::default());
    let failed = failed.expect_err("it would spoil the file");
    assert_eq!(failed.code(), Code::NotText, "{failed:?}");
    assert!(failed.detail.contains(named), "{}", failed.detail);
    assert_eq!(sandbox.read(path), before);
}

#[test]
fn in_an_encoding_that_is_not_known_only_ascii_that_is_there_once_is_edited() {
    let sandbox = Sandbox::new(true);
    let latin = b"name = caf\xe9\nnote = 1\nmore = 2\n";
    sandbox.file("latin", latin);
    for (old, new) in [
        ("= 1", "= \u{fc}"),
        ("caf\u{e9}", "x"),
        ("note", "\u{2014}"),
    ] {
        refused_as_no_text(&sandbox, "latin", old, new, "Latin-1");
    }
    let Outcome::Edited(edited) = outcome(sandbox.edit("latin", "= 1", "= 7")) else {
        panic!("not edited");
    };
    assert!(edited.encoding.contains("Latin-1"), "{}", edited.encoding);
    assert_eq!(
        sandbox.read("latin"),
        Ok(b"name = caf\xe9\nnote = 7\nmore = 2\n".to_vec())
    );
    sandbox.file("file", latin);
    assert_eq!(edit_all_code(&sandbox, " = ", "="), Err(Code::NotText));
    assert_eq!(edit_all_code(&sandbox, "1", "2"), Ok(()));
}

#[test]
fn utf_8_with_a_bad_byte_is_edited_around_it() {
    let sandbox = Sandbox::new(true);
    sandbox.file(
        "file",
        b"gr\xc3\xbc\xc3\x9fe\nbad \xff byte\n\xc3\xa4 = 1\n",
    );
    let shown = sandbox.read_lines("file", 1).expect("text").text;
    assert_eq!(shown, "gr\u{fc}\u{df}e\nbad \u{fffd} byte\n\u{e4} = 1\n");
    let Outcome::Edited(_) = outcome(sandbox.edit("file", "\u{e4} = 1", "\u{e4} = \u{20ac}"))
    else {
        panic!("not edited");
    };
    assert_eq!(
        sandbox.read("file"),
        Ok(b"gr\xc3\xbc\xc3\x9fe\nbad \xff byte\n\xc3\xa4 = \xe2\x82\xac\n".to_vec())
    );
    refused_as_no_text(&sandbox, "file", "bad \u{fffd} byte", "good", "U+FFFD");
}

#[test]
fn utf_16_is_edited_in_utf_16() {
    let sandbox = Sandbox::new(true);
    let (before, after) = (
        "\u{feff}a = 1\r\n\u{1f600} = 2\r\n",
        "\u{feff}a = \u{fc}\r\n\u{1f600} = 2\r\n",
    );
    type Bytes = fn(u16) -> [u8; 2];
    let orders: [(Bytes, &str); 2] = [
        (u16::to_le_bytes, "UTF-16LE"),
        (u16::to_be_bytes, "UTF-16BE"),
    ];
    for (bytes, name) in orders {
        let encoded = |text: &str| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        sandbox.file("file", encoded(before));
        let Outcome::Edited(edited) = outcome(sandbox.edit("file", "= 1\r\n", "= \u{fc}\r\n"))
        else {
            panic!("not edited");
        };
        assert_eq!(sandbox.read("file"), Ok(encoded(after)));
        assert_eq!(
            (edited.encoding.as_str(), edited.mixed_line_ends),
            (name, false)
        );
        assert_eq!(edited.size, encoded(after).len() as u64);
        assert_eq!(edited.excerpts[0].text, &after[3..]);
        // Half a character at its end: an edit could not write it again.
        sandbox.file("file", [encoded(before), vec![b'x']].concat());
        refused_as_no_text(&sandbox, "file", "\u{1f600}", "x", "UTF-16");
    }
}

#[test]
fn line_ends_that_are_mixed_now_are_said() {
    let sandbox = Sandbox::new(true);
    for (content, old, new, mixed) in [
        ("a\r\nb\r\n", "b", "b\nc", true),
        ("a\r\nb\r\n", "b", "b\r\nc", false),
        ("a\nb\n", "b", "b\r\nc", true),
        ("a\nb\n", "b", "b\nc", false),
        // It was before, and the edit has no end of a line.
        ("a\r\nb\n", "b", "c", false),
    ] {
        sandbox.file("file", content);
        let Outcome::Edited(edited) = outcome(sandbox.edit("file", old, new)) else {
            panic!("not edited");
        };
        assert_eq!(edited.mixed_line_ends, mixed, "{content:?} {new:?}");
    }
}
