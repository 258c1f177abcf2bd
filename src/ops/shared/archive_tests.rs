use std::fs;

use proptest::prelude::*;
use tar::Header;

use super::super::content::{ContentList, ContentSummary};
use super::super::pack::Packer;
use super::super::raw_archive::RawArchive;
use super::super::source::ContentSource;
use super::*;

fn read(archive: &[u8]) -> Result<ContentSummary, String> {
    let mut list = ContentList::default();
    let read = each(archive, ArchiveKind::Untrusted, &mut list);
    read.map_err(|error| error.to_string())?;
    Ok(list.summary())
}

fn refused(archive: RawArchive, part: &str) {
    let error = read(&archive.end()).expect_err(part);
    assert!(error.contains(part), "{error}");
}

#[test]
fn what_shared_data_cannot_have_is_refused_by_its_path_and_kind() {
    let raw = RawArchive::default;
    refused(
        raw().file("/etc/passwd", "x"),
        "/etc/passwd: an absolute path",
    );
    refused(raw().file("a/../../x", "x"), "a/../../x: `..` in the path");
    refused(
        raw().entry(b'2', b"a", b"/etc", b""),
        "a: a link that is absolute",
    );
    refused(
        raw().entry(b'2', b"a", b"../b", b""),
        "a: a link that is absolute or leads out",
    );
    refused(
        raw().entry(b'1', b"a", b"b", b""),
        "a: a hard link; make the archive with",
    );
    refused(raw().entry(b'3', b"a", b"", b""), "a: a device");
    refused(raw().entry(b'4', b"a", b"", b""), "a: a device");
    refused(raw().entry(b'6', b"a", b"", b""), "a: a FIFO");
    refused(raw().entry(b'S', b"a", b"", b""), "a: a sparse entry");
    refused(
        raw().entry(b'V', b"a", b"", b""),
        "a: an entry of type 0x56",
    );
    refused(raw().file(".", "x"), "a path that only a directory has");
    refused(
        raw().file("a", "x").file("./a", "y"),
        "a: another entry has this path",
    );
    refused(
        raw().file("a", "x").file("a/b", "y"),
        "a/b: what it is in is no directory",
    );
    refused(
        raw().entry(b'2', b"a", b"b", b"").file("a/b", "y"),
        "a/b: what it is in is no",
    );
}

#[test]
fn a_sparse_file_in_records_and_a_name_that_the_library_misreads_are_refused() {
    let pax = |record: &[u8]| {
        RawArchive::default()
            .entry(b'x', b"p", b"", record)
            .file("a", "x")
    };
    refused(pax(b"22 GNU.sparse.major=1\n"), "is not understood here");
    refused(pax(b"25 SCHILY.realsize=10000\n"), "is not understood here");
    // A line break in a name.
    let error = read(&pax(b"12 path=a\nb\n").end()).expect_err("refused");
    assert!(error.contains("pax"), "{error}");
}

#[test]
fn numbers_that_are_huge_reserve_no_memory_and_end_in_an_error() {
    let huge = |kind: u8| {
        let mut archive = RawArchive::default().entry(kind, b"a", b"", b"");
        let mut header = Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(&archive.0[..BLOCK]);
        header.set_size(u64::MAX >> 2);
        header.set_cksum();
        archive.0[..BLOCK].copy_from_slice(header.as_bytes());
        archive.0.resize(1 << 20, b'x');
        archive.0
    };
    // A file, a long name, a long target, records.
    for kind in *b"0LKx" {
        assert!(read(&huge(kind)).is_err(), "{}", char::from(kind));
    }
}

#[test]
fn an_archive_that_broke_off_is_never_taken_for_a_whole_one() {
    let whole = RawArchive::default()
        .file("a", "1")
        .file("b/c", &"2".repeat(700))
        .end();
    let expected = read(&whole).expect("a summary");
    assert_eq!(expected.entries, 3);
    let marked = whole.len() - BLOCK;
    for length in 0..whole.len() {
        match read(&whole[..length]) {
            // One of the two blocks at the end is a mark.
            Ok(found) => assert!(length >= marked && found == expected, "{length}"),
            Err(_) => assert!(length < marked, "{length}"),
        }
    }
    assert!(read(b"\x1f\x8b\x08 a compressed archive").is_err_and(|it| it.contains("compressed")));
    assert!(read(b"").is_err());
}

#[test]
fn bits_of_a_mode_and_owners_are_dropped_and_an_archive_is_the_directory_it_was_made_of() {
    let directory = std::env::temp_dir().join(format!("casemate-shared-{}", std::process::id()));
    let long = "n".repeat(120);
    fs::create_dir_all(directory.join("d/e")).expect("a directory");
    fs::write(directory.join("d").join(&long), "1").expect("a file");
    fs::write(directory.join("z"), "2".repeat(1000)).expect("a file");
    let target = format!("d/{long}");
    std::os::unix::fs::symlink(&target, directory.join("link")).expect("a link");
    let mut packer = Packer::new(Vec::new());
    let packed = ContentSource::Directory(directory.clone()).each(&mut packer);
    let found = packed.and_then(|()| packer.finish());
    fs::remove_dir_all(&directory).expect("removed");
    let (archive, summary) = found.expect("packed");
    assert_eq!(read(&archive), Ok(summary.clone()));
    assert_eq!(summary.entries, 5);
    let mut again = Archive::new(&archive[..]);
    let entries = again.entries().expect("entries").map(|entry| {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let owner = (header.uid().expect("uid"), header.gid().expect("gid"));
        assert_eq!(owner, (0, 0));
        (
            entry.path_bytes().into_owned(),
            header.mode().expect("mode"),
            entry.link_name_bytes().map(std::borrow::Cow::into_owned),
        )
    });
    let entries: Vec<_> = entries.collect();
    assert!(entries.contains(&(b"d/".to_vec(), 0o755, None)));
    assert!(entries.contains(&(target.clone().into_bytes(), 0o644, None)));
    assert!(entries.contains(&(b"link".to_vec(), 0o777, Some(target.into_bytes()))));

    let with_bits = RawArchive::default().file("a", "x").end();
    let mut packer = Packer::new(Vec::new());
    each(&with_bits[..], ArchiveKind::Untrusted, &mut packer).expect("packed");
    let (archive, _) = packer.finish().expect("packed");
    let mut archive = Archive::new(&archive[..]);
    let entry = archive.entries().expect("entries").next().expect("one");
    assert_eq!(
        entry.expect("an entry").header().mode().expect("mode"),
        0o755
    );
}

proptest! {
    #[test]
    fn no_archive_makes_the_reader_panic_or_reach_out(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut archive = RawArchive::default()
            .file("a", "1")
            .entry(b'x', b"p", b"", b"12 path=ab/c\n")
            .entry(b'2', b"l", b"ab/c", b"")
            .entry(b'5', b"d/", b"", b"")
            .end();
        for (at, byte) in changes {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        let _ = read(&archive);
    }
}
