//! An archive as another program reads it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// A tar archive with some of each.
fn tar() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(1_700_000_000);
        if kind == EntryType::Symlink {
            header.set_link_name("a.txt").expect("a target");
        }
        archive
            .append_data(&mut header, path, content)
            .expect("an entry");
    };
    add("a.txt", EntryType::Regular, b"one\n");
    add("dir/", EntryType::Directory, b"");
    add("dir/empty", EntryType::Regular, b"");
    add("dir/\u{e9}.bin", EntryType::Regular, &vec![7; 300_000]);
    add("link", EntryType::Symlink, b"");
    archive.into_inner().expect("an archive")
}

/// Python's own reader checks the sums, and says what is in it.
#[test]
fn another_program_reads_every_entry_with_its_sum() {
    const READ: &str = "import io, sys, zipfile\n\
        z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n\
        assert z.testzip() is None\n\
        for i in z.infolist():\n\
        \x20   sys.stdout.buffer.write(f'{i.filename} {i.file_size} {i.external_attr >> 16:o} \
        {i.date_time}\\n'.encode())\n\
        assert z.read('a.txt') == b'one\\n' and set(z.read('dir/\\u00e9.bin')) == {7}\n";
    let zip = from_tar(&tar()[..], Vec::new()).expect("a zip archive");
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().expect("its input");
    input.write_all(&zip).expect("it reads");
    drop(input);
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let time = "(2023, 11, 14, 22, 13, 20)";
    let wanted = [
        format!("a.txt 4 100755 {time}"),
        format!("dir/ 0 40755 {time}"),
        format!("dir/empty 0 100755 {time}"),
        format!("dir/\u{e9}.bin 300000 100755 {time}"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_tar_archive_that_breaks_off_gives_no_zip_archive() {
    let whole = tar();
    let broken = &whole[..whole.len() / 2];
    assert!(from_tar(broken, Vec::new()).is_err());
    assert!(from_tar(&b"no archive at all"[..], Vec::new()).is_err());
}
