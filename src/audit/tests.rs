//! The writer and the check, over real files.

mod killed;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::line::{Event, Server};
use super::verify::{Report, verify};
use super::writer::Writer;
use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("casemate-audit-{}", uuid::Uuid::new_v4().simple());
        Self(std::env::temp_dir().join(name))
    }

    fn files(&self) -> Vec<PathBuf> {
        let names = file::list(&self.0).expect("a directory");
        let path = |name: &file::Name| self.0.join(name.to_string());
        names.iter().map(path).collect()
    }

    fn report(&self) -> Report {
        verify(std::slice::from_ref(&self.0)).expect("it can be read")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn writer(directory: &Directory, limit: u64) -> Writer {
    let server = Server::new("node".to_owned(), "instance".to_owned());
    Writer::open(directory.0.clone(), limit, server).expect("a writer")
}

fn call(tool: &str) -> Event {
    Event::Call(Call {
        id: None,
        user: AuditSubject {
            issuer: "local".to_owned(),
            subject: "ada".to_owned(),
            group: None,
            workspace: None,
        },
        tool: tool.to_owned(),
        arguments_sha256: digest::sha256(b"{}"),
        content_sha256: None,
        result_sha256: digest::sha256(b"{}"),
        outcome: "ok".to_owned(),
        duration_ms: 3,
        container: None,
        arguments: None,
        content: None,
        result: None,
    })
}

fn add(writer: &mut Writer, calls: usize) {
    for _ in 0..calls {
        writer.append(&[&call("read_file")], 0).expect("written");
    }
}

fn stop(mut writer: Writer) {
    writer.append(&[&Event::Stopped {}], 0).expect("written");
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n") + "\n").expect("written");
}

/// A closed file of a server with six lines, and its path.
fn closed() -> (Directory, PathBuf) {
    let directory = Directory::new();
    let mut writer = writer(&directory, PART_BYTES);
    add(&mut writer, 4);
    stop(writer);
    let path = directory.files().remove(0);
    (directory, path)
}

fn found(report: &Report) -> Vec<(Option<u64>, &str)> {
    let findings = report.findings.iter();
    findings.map(|f| (f.line, f.what.as_str())).collect()
}

#[test]
fn a_chain_over_many_files_holds() {
    let directory = Directory::new();
    let mut writer = writer(&directory, 2_000);
    add(&mut writer, 50);
    stop(writer);
    let files = directory.files();
    assert!(files.len() > 5, "{files:?}");
    let report = directory.report();
    assert_eq!((found(&report), report.notes.len()), (vec![], 0));
    assert_eq!(report.lines, 50 + 1 + files.len() as u64);
    // Each alone too, but for what it cannot know.
    let one = verify(&files[3..4]).expect("read");
    assert_eq!(found(&one), []);
    assert!(one.notes[0].what.contains("not here"));
}

#[test]
fn a_changed_line_is_named() {
    let (directory, path) = closed();
    for (from, to) in [("\"ada\"", "\"eve\""), ("\"seq\":3", "\"seq\":4")] {
        let original = lines(&path);
        let mut changed = original.clone();
        changed[2] = changed[2].replace(from, to);
        write(&path, &changed);
        let report = directory.report();
        assert_eq!(found(&report)[0].0, Some(3), "{to}");
        assert!(found(&report)[0].1.contains("changed"));
        write(&path, &original);
    }
}

#[test]
fn a_line_that_was_changed_with_its_hash_is_found_by_the_next() {
    let (directory, path) = closed();
    let mut changed = lines(&path);
    let body = changed[2].replace("\"ada\"", "\"eve\"");
    let body = &body[..body.len() - 75];
    let hash = digest::sha256(body.as_bytes());
    changed[2] = format!("{body},\"hash\":\"{hash}\"}}");
    write(&path, &changed);
    let report = directory.report();
    assert_eq!(found(&report).len(), 1, "{report:?}");
    assert_eq!(found(&report)[0].0, Some(4));
    assert!(found(&report)[0].1.contains("does not follow"));
}

#[test]
fn what_is_missing_moved_or_added_is_named() {
    let (directory, path) = closed();
    let original = lines(&path);
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut changed = original.clone();
        change(&mut changed);
        write(&path, &changed);
        let report = directory.report();
        let findings = report.findings.into_iter();
        findings.map(|f| (f.line, f.what)).collect::<Vec<_>>()
    };
    let missing = with(&|lines| drop(lines.drain(2..4)));
    assert_eq!(
        missing,
        [(
            Some(3),
            "lines number 3 to 4 are missing before it".to_owned()
        )]
    );
    let moved = with(&|lines| lines.swap(2, 3));
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert_eq!(
        moved[1],
        (Some(4), "line number 3 is out of place".to_owned())
    );
    let twice = with(&|lines| lines.insert(3, lines[2].clone()));
    assert_eq!(
        twice,
        [(Some(4), "line number 3 is out of place".to_owned())]
    );
    let added = with(&|lines| lines.push(lines[4].clone()));
    assert!(added.iter().all(|(line, _)| *line == Some(7)), "{added:?}");
    let garbage = with(&|lines| lines[2] = "x".to_owned());
    assert_eq!(garbage[0].0, Some(3));
    let first = with(&|lines| drop(lines.remove(0)));
    assert_eq!(first[0].0, Some(1));
    assert_eq!(with(&|_| {}), []);
}

#[test]
fn a_tail_that_was_cut_off_is_found_where_a_later_server_saw_it() {
    let (directory, path) = closed();
    let cut = |keep: usize| write(&path, &lines(&path)[..keep]);
    let alone = Directory::new();
    fs::create_dir(&alone.0).expect("a directory");
    let copy = alone.0.join(path.file_name().expect("a name"));
    write(&copy, &lines(&path)[..4]);
    // Nobody knows, and that is said.
    let report = alone.report();
    assert_eq!(found(&report), []);
    assert!(report.notes[0].what.contains("or lines were cut off"));

    stop(writer(&directory, PART_BYTES));
    assert_eq!(found(&directory.report()), []);
    cut(5);
    let report = directory.report();
    assert!(found(&report)[0].1.contains("line number 6"), "{report:?}");
    fs::remove_file(&path).expect("removed");
    // The oldest may be removed.
    assert_eq!(found(&directory.report()), []);
}

#[test]
fn a_file_that_is_missing_between_others_is_named() {
    let directory = Directory::new();
    let mut first = writer(&directory, 2_000);
    add(&mut first, 12);
    stop(first);
    let files = directory.files();
    let bytes = fs::read(&files[1]).expect("bytes");
    fs::remove_file(&files[1]).expect("removed");
    let report = directory.report();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(
        report.findings[0]
            .what
            .contains("the file before it is missing")
    );
    fs::write(&files[1], bytes).expect("written");
    // Of another server. The next one's name may sort before it: both have the time in
    // milliseconds.
    stop(writer(&directory, PART_BYTES));
    let mut new = directory.files();
    new.retain(|file| !files.contains(file));
    let middle = new.remove(0);
    stop(writer(&directory, PART_BYTES));
    fs::remove_file(&middle).expect("removed");
    let report = directory.report();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].file, middle);
}

#[tokio::test]
async fn many_calls_at_once_have_a_line_each() {
    let directory = Directory::new();
    let meter = Meter::new();
    let options = Options {
        part_bytes: 20_000,
        ..Options::new(directory.0.clone(), false, "n".to_owned(), "i".to_owned())
    };
    let audit = Audit::open(options, meter.clone()).expect("an audit");
    let calls = (0..1_000).map(|_| async {
        let Event::Call(call) = call("list_files") else {
            unreachable!()
        };
        audit.call(call).await.expect("written");
    });
    futures_util::future::join_all(calls).await;
    audit.close().await;
    let report = directory.report();
    assert_eq!(found(&report), []);
    let text = meter.text().expect("text");
    assert!(text.contains("casemate_audit_lines_total 1001"), "{text}");
    assert_eq!(report.lines, 1_001 + report.files);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_byte_is_changed_it_is_found(at in 0.0f64..1.0, bit in 0u32..8) {
        let (directory, path) = closed();
        let mut bytes = fs::read(&path).expect("bytes");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a place in a small file")]
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).expect("written");
        let report = directory.report();
        // The last line feed alone changes nothing that was said: it is told as torn.
        let told = report.findings.len() + report.notes.len();
        prop_assert!(told > 0, "byte {at} bit {bit}");
    }
}
