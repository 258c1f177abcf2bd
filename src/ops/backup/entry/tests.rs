use super::*;

#[test]
fn names_of_any_bytes_are_read_as_they_were_written() {
    for name in [
        &b"a"[..],
        b"new\nline\"",
        "\u{202e}é".as_bytes(),
        b"\xff\xfe",
        b"",
    ] {
        let name = Name(name.to_vec());
        let json = serde_json::to_string(&name).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Name>(&json).expect("a name"),
            name,
            "{json}"
        );
    }
    assert_eq!(
        serde_json::to_string(&Name(vec![0xff])).expect("JSON"),
        r#"{"base64":"/w=="}"#
    );
}

#[test]
fn what_leads_out_is_known() {
    for path in ["/etc/passwd", "..", "a/../../b", "a/.."] {
        assert!(leads_out(path.as_bytes()), "{path}");
    }
    for path in ["./", "a..b/c", "..a", "a/..."] {
        assert!(!leads_out(path.as_bytes()), "{path}");
    }
}

#[test]
fn a_line_that_is_cut_or_too_long_is_an_error() {
    let line = |text: &str| next_line(&mut text.as_bytes());
    assert!(line("").expect("the end").is_none());
    let entry = r#"{"path":"a","kind":"directory","mode":493,"modified":"0.000000000"}"#;
    assert!(line(&format!("{entry}\n")).expect("a line").is_some());
    assert!(line(entry).is_err());
    assert!(line(&"x".repeat(10_000_000)).is_err());
    assert!(line("{}\n").is_err());
}

/// What verifies can be restored: the limits are those of the restore.
#[test]
fn what_could_not_be_restored_is_refused_when_it_is_read() {
    use casemate_protocol::backup::{DEPTH, LINK_TARGET, NAME, PATH};
    let deep = |depth: usize| {
        vec![b'd'; 2 * depth - 1]
            .chunks(2)
            .fold(Vec::new(), |path, _| {
                if path.is_empty() {
                    b"d".to_vec()
                } else {
                    [&path[..], b"/d"].concat()
                }
            })
    };
    let name = |length: usize| vec![b'n'; length];
    for (kind, path, target) in [
        (FileKind::File, name(NAME), None),
        (FileKind::Directory, deep(DEPTH), None),
        (FileKind::Symlink, name(1), Some(name(LINK_TARGET))),
        (FileKind::HardLink, name(1), Some(deep(DEPTH))),
        (FileKind::Directory, b"./".to_vec(), None),
    ] {
        assert_eq!(check(kind, &path, target.as_deref()), Ok(()));
    }
    for (kind, path, target) in [
        (FileKind::File, name(NAME + 1), None),
        (FileKind::File, b"./".to_vec(), None),
        (FileKind::File, b"file/".to_vec(), None),
        (FileKind::Directory, deep(DEPTH + 1), None),
        (
            FileKind::File,
            [b"d/".repeat(PATH / 2), b"x".to_vec()].concat(),
            None,
        ),
        (FileKind::Symlink, name(1), None),
        (FileKind::Symlink, name(1), Some(name(LINK_TARGET + 1))),
        (FileKind::HardLink, name(1), None),
        (FileKind::HardLink, name(1), Some(b"../x".to_vec())),
        (FileKind::HardLink, name(1), Some(deep(DEPTH + 1))),
    ] {
        let told = check(kind, &path, target.as_deref());
        assert!(told.is_err(), "{kind:?} {}", path.len());
    }
}

/// The longest that an entry can be, with every byte escaped.
#[test]
fn the_longest_entry_has_a_line_that_can_be_read() {
    use casemate_protocol::backup::{ATTRIBUTES, PATH};
    let worst = |length| Name(vec![1; length]);
    let entry = Entry {
        path: worst(PATH),
        kind: FileKind::HardLink,
        size: u64::MAX,
        mode: 0o7777,
        modified: pax_time(i64::MIN, 1),
        sha256: Some("f".repeat(64)),
        target: Some(worst(PATH)),
        attributes: vec![Attribute {
            name: worst(255),
            value: worst(ATTRIBUTES - 255),
        }],
    };
    let mut line = serde_json::to_vec(&entry).expect("JSON");
    line.push(b'\n');
    assert_eq!(next_line(&mut &line[..]).expect("a line"), Some(entry));
}
