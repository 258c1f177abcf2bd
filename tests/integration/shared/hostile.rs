//! Archives from anywhere: nothing of them gets further than the new volume.

#[path = "../../../src/ops/shared/raw_archive.rs"]
mod raw_archive;

use std::os::unix::net::UnixListener;

use tar::{Builder, EntryType, Header};

use super::*;
use raw_archive::RawArchive;

fn one(kind: u8, path: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let archive = RawArchive::default().file("before", "x");
    archive.entry(kind, path, target, content).end()
}

fn sized(size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.as_gnu_mut().expect("GNU").name[0] = b'a';
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.resize(1 << 20, b'x');
    archive
}

#[test]
fn what_an_archive_must_not_have_is_refused_by_name_and_changes_nothing() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let (rows, volumes) = (lab.list(), lab.instance.volumes());
    let mut broken_off = one(b'0', b"a", b"", b"1");
    broken_off.truncate(1400);
    for (archive, part) in [
        (
            one(b'0', b"/etc/passwd", b"", b"x"),
            "/etc/passwd: an absolute path",
        ),
        (one(b'0', b"a/../../../x", b"", b"x"), "`..` in the path"),
        (
            one(b'2', b"a", b"/etc/shadow", b""),
            "a: a link that is absolute or leads out",
        ),
        (
            one(b'2', b"a/b", b"../../c", b""),
            "a/b: a link that is absolute or leads out",
        ),
        (one(b'1', b"a", b"before", b""), "a: a hard link"),
        (one(b'3', b"null", b"", b""), "null: a device"),
        (one(b'4', b"disk", b"", b""), "disk: a device"),
        (one(b'6', b"fifo", b"", b""), "fifo: a FIFO"),
        (one(b'S', b"sparse", b"", b""), "sparse"),
        (
            one(b'0', b"before", b"", b"y"),
            "another entry has this path",
        ),
        (
            one(b'0', b"before/x", b"", b"y"),
            "what it is in is no directory",
        ),
        (one(b'0', b".home/x", b"", b"y"), "sandboxes use this name"),
        (
            one(b'x', b"p", b"", b"22 GNU.sparse.major=1\n"),
            "before the first entry",
        ),
        (sized(u64::MAX >> 1), "cannot read the source"),
        (sized(1 << 40), "cannot read the source"),
        (broken_off, "cannot read the source"),
        (b"\x1f\x8b\x08\x00compressed".repeat(100), "not compressed"),
        (Vec::new(), "cannot read the source"),
        (RawArchive::default().end(), "the source is empty"),
    ] {
        let output = lab.put_archive(&archive);
        let errors = text(&output.stderr);
        assert!(!output.status.success(), "{part}: {}", text(&output.stdout));
        let part = if part == "before the first entry" {
            "cannot read"
        } else {
            part
        };
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert_eq!(lab.list(), rows);
    assert_eq!(lab.instance.volumes(), volumes);
}

#[test]
fn a_directory_with_what_cannot_be_put_is_refused_by_name() {
    let lab = Lab::new(FOR_ALL);
    lab.file("value", "one");
    let at = |name: &str| Path::new(lab.data.text()).join(name);
    let socket = UnixListener::bind(at("socket")).expect("a socket");
    let refused = |part: &str| {
        let errors = lab.refused(&["shared", "put", "datasets", lab.data.text()]);
        assert!(errors.contains(part), "{errors}");
    };
    refused("socket: a socket");
    drop(socket);
    std::fs::remove_file(at("socket")).expect("removed");
    let fifo = Command::new("mkfifo").arg(at("fifo")).status();
    assert!(fifo.expect("mkfifo").success());
    refused("fifo: a FIFO");
    std::fs::remove_file(at("fifo")).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", at("link")).expect("a link");
    refused("link: a link that is absolute or leads out");
    assert!(lab.instance.volumes().is_empty());
}

#[tokio::test]
async fn an_archive_with_odd_but_honest_content_arrives_whole() {
    let lab = Lab::new(FOR_ALL);
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let mut archive = Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_mode(0o6755);
        header.set_uid(65_534);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, path, content)
            .expect("an entry");
    };
    add(&long, b"long");
    add("line\nbreak", b"1");
    add("zeros", &vec![0; 5 << 20]);
    add("-rf", b"2");
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    archive
        .append_link(&mut header, "link", &long)
        .expect("a link");
    let archive = archive.into_inner().expect("an archive");
    let output = lab.put_archive(&archive);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let server = lab.start("ada").await;
    let look = format!(
        "cd {AT}; cat link; cat 'line\nbreak'; cat ./-rf; wc -c < zeros; find . -perm /6000 | wc -l; ls -A | wc -l"
    );
    let result = server.shell(&look).await;
    assert_eq!(result.stdout(), "long125242880\n0\n6\n", "{}", result.0);
}
