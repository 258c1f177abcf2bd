use proptest::prelude::*;

use super::*;

fn entry(path: &str, kind: SharedKind) -> SharedEntry {
    SharedEntry {
        path: path.as_bytes().to_vec(),
        kind,
        modified: 0,
    }
}

fn file(path: &str, content: &str) -> (SharedEntry, String) {
    let kind = SharedKind::File {
        size: content.len() as u64,
        is_executable: false,
    };
    (entry(path, kind), content.to_owned())
}

fn directory(path: &str) -> (SharedEntry, String) {
    (entry(path, SharedKind::Directory), String::new())
}

fn link(path: &str, target: &str) -> (SharedEntry, String) {
    let target = target.as_bytes().to_vec();
    (entry(path, SharedKind::Link { target }), String::new())
}

fn summary(entries: &[(SharedEntry, String)]) -> Result<ContentSummary, String> {
    let mut list = ContentList::default();
    for (entry, content) in entries {
        let taken = list.take(entry, &mut content.as_bytes());
        taken.map_err(|error| error.to_string())?;
    }
    Ok(list.summary())
}

/// As docs/shared-data.md computes it with a shell.
#[test]
fn the_hash_is_the_documented_one() {
    let found = summary(&[file("a/b", "hi\n"), link("c", "a/b")]).expect("a summary");
    let content = hex(&Sha256::digest("hi\n"));
    let text = format!("casemate-shared-1\0a\0directory\0\0a/b\0file\0{content}\0c\0link\0a/b\0");
    assert_eq!(found.hash, hex(&Sha256::digest(text)));
    assert_eq!((found.bytes, found.entries), (3, 3));
}

#[test]
fn the_order_and_directories_that_are_left_out_change_nothing() {
    let whole = [
        directory("a"),
        file("a/b", "1"),
        file("c", "2"),
        directory("d"),
    ];
    let expected = summary(&whole).expect("a summary");
    let again = [
        file("c", "2"),
        directory("d"),
        file("a/b", "1"),
        directory("a"),
        directory("a"),
    ];
    assert_eq!(summary(&again), Ok(expected.clone()));
    let mut later = whole.clone();
    later[1].0.modified = 7;
    assert_eq!(summary(&later), Ok(expected));
}

#[test]
fn whatever_a_reader_can_see_changes_the_hash() {
    let mut executable = file("a", "1");
    executable.0.kind = SharedKind::File {
        size: 1,
        is_executable: true,
    };
    let all = [
        vec![file("a", "1")],
        vec![file("a", "2")],
        vec![file("b", "1")],
        vec![executable],
        vec![directory("a")],
        vec![link("a", "1")],
        vec![link("a", "2")],
        vec![file("a", "1"), directory("b")],
        vec![file("a/b", "1")],
        vec![],
    ];
    let hashes = all.iter().map(|one| summary(one).expect("a summary").hash);
    let mut hashes: Vec<_> = hashes.collect();
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn what_two_entries_cannot_both_be_is_refused() {
    for (entries, message) in [
        (
            vec![file("a", "1"), file("a", "1")],
            "a: another entry has this path",
        ),
        (
            vec![file("a", "1"), directory("a")],
            "a: another entry has this path",
        ),
        (
            vec![directory("a"), link("a", "b")],
            "a: another entry has this path",
        ),
        (
            vec![file("a/b", "1"), file("a", "1")],
            "a: another entry has this path",
        ),
        (
            vec![file("a", "1"), file("a/b", "1")],
            "a/b: what it is in is no directory",
        ),
        (
            vec![link("a", "b"), file("a/c", "1")],
            "a/c: what it is in is no directory",
        ),
        (
            vec![file(".home/a", "1")],
            ".home/a: sandboxes use this name themselves; give it another",
        ),
    ] {
        assert_eq!(summary(&entries), Err(message.to_owned()));
    }
    assert!(summary(&[file("a/.home/b", "1")]).is_ok());
}

#[test]
fn a_link_may_lead_to_what_is_in_the_share_and_nowhere_else() {
    for (path, target) in [
        ("a", "b"),
        ("a", "./b/../c"),
        ("d/a", "../b"),
        ("d/e/a", "../../b/c"),
        ("a", "missing"),
    ] {
        assert!(summary(&[link(path, target)]).is_ok(), "{path} {target}");
    }
    for (path, target) in [
        ("a", "/etc/passwd"),
        ("a", "/shared/datasets/b"),
        ("a", ".."),
        ("a", "../b"),
        ("d/a", "../../b"),
        ("d/a", "b/../../../c"),
        ("a", ""),
    ] {
        assert!(summary(&[link(path, target)]).is_err(), "{path} {target}");
    }
}

#[test]
fn content_of_another_length_and_too_much_of_it_are_refused() {
    let (mut entry, _) = file("a", "12");
    let mut list = ContentList::default();
    let taken = list.take(&entry, &mut &b"1"[..]);
    assert!(taken.is_err_and(|error| error.to_string().contains("1 bytes instead of 2")));
    entry.kind = SharedKind::File {
        size: u64::MAX,
        is_executable: false,
    };
    let mut limited = ContentList::limited(10);
    let taken = limited.take(&entry, &mut io::repeat(0));
    assert!(taken.is_err_and(|error| error.to_string().contains("more than 10 bytes")));
}

proptest! {
    #[test]
    fn a_link_that_is_taken_stays_within_by_the_standard_librarys_reckoning(
        path in "[ab](/[ab]){0,3}", target in "[.ab/]{1,12}",
    ) {
        let taken = summary(&[link(&path, &target)]).is_ok();
        let mut at: Vec<&str> = path.split('/').collect();
        at.pop();
        let mut stays = !target.starts_with('/');
        for name in target.split('/') {
            match name {
                "" | "." => {}
                ".." => stays &= at.pop().is_some(),
                name => at.push(name),
            }
        }
        prop_assert_eq!(taken, stays);
    }
}
