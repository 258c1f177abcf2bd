use tar::Header;

use super::*;

fn attribute(name: &str, value: impl AsRef<[u8]>) -> Attribute {
    Attribute {
        name: name.into(),
        value: value.as_ref().to_vec(),
    }
}

fn header(kind: EntryType, size: usize) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// The bytes that are read for one entry: the rest of the block before, records, and its header.
fn headers(records: &Records, before: usize) -> Vec<u8> {
    let block = records.to_block();
    let long = b"a-long-name\0";
    let mut bytes = vec![0; before];
    for (kind, content) in [
        (EntryType::GNULongName, &long[..]),
        (EntryType::XHeader, &block),
    ] {
        bytes.extend(header(kind, content.len()));
        bytes.extend_from_slice(content);
        let length = bytes.len() - before;
        bytes.resize(before + length.next_multiple_of(BLOCK), 0);
    }
    bytes.extend(header(EntryType::Regular, 5000));
    bytes
}

#[test]
fn records_are_read_as_they_were_written_whatever_bytes_they_have() {
    let all: Vec<u8> = (0..=255).collect();
    let records = Records {
        modified: Some((-5, 999_999_999)),
        attributes: vec![
            attribute("system.posix_acl_access", [2, 0, 0, 0, 1, 0, 7, 0]),
            attribute("user.all", &all),
            attribute("user.empty", ""),
            attribute("user.forged", "\n12 path=/x\n13 size=999\n"),
            attribute("user.line end\n", "\n"),
            attribute("user.a=b%3D%", "="),
        ],
    };
    for before in [0, 1, 511] {
        let read = Records::of_headers(&headers(&records, before)).expect("records");
        assert_eq!(read, records, "{before} bytes before");
    }
    let none = Records::of_headers(&header(EntryType::Regular, 5000)).expect("none");
    assert_eq!(none, Records::default());
}

#[test]
fn an_acl_has_its_own_limit() {
    for (size, allowed) in [(4096, true), (4097, false)] {
        for acl in ["system.posix_acl_access", "system.posix_acl_default"] {
            let acl = attribute(acl, vec![0; size]);
            assert_eq!(acl.is_within_limits(), allowed, "{size}");
            assert_eq!(Attribute::are_of_a_backup(&[acl]), allowed, "{size}");
        }
        assert!(attribute("user.x", vec![0; size]).is_within_limits());
    }
}

/// The library believes a size or a path in records: a value must not be able to bring one.
#[test]
fn no_value_is_a_record_to_the_library() {
    let forged = Records {
        modified: Some((1, 0)),
        attributes: vec![attribute("user.x", "\n13 size=999\n12 path=/x\n")],
    };
    let mut bytes = headers(&forged, 0);
    bytes.extend([b'x'; 5000]);
    bytes.resize(bytes.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    let mut archive = Archive::new(&bytes[..]);
    let mut entries = archive.entries().expect("an archive");
    let entry = entries.next().expect("one").expect("an entry");
    assert_eq!(entry.path_bytes(), &b"a-long-name"[..]);
    assert_eq!(entry.size(), 5000);
    assert!(entries.next().is_none());
}

#[test]
fn what_is_no_record_or_in_no_backup_is_an_error() {
    let block = |records: &[Attribute]| {
        let records = Records {
            modified: None,
            attributes: records.to_vec(),
        };
        records.to_block()
    };
    for bad in [
        b"x".to_vec(),
        b"5 a=b\n".to_vec(),
        b"7 a=b\n".to_vec(),
        b"99 a=b\n".to_vec(),
        b"5 ab\n".to_vec(),
        b"0 a=b\n".to_vec(),
        b"11 mtime=x\n".to_vec(),
        block(&[attribute("security.capability", "x")]),
        block(&[attribute("user.x", vec![0; ATTRIBUTES])]),
        block(&[attribute("system.posix_acl_access", vec![0; ACL + 1])]),
    ] {
        assert!(Records::parse(&bad).is_err(), "{}", bad.escape_ascii());
    }
    assert_eq!(
        Records::parse(b"6 a=b\n").expect("skipped"),
        Records::default()
    );
}
