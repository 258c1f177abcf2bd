//! Files of servers that were killed, and files that are still written.

use super::*;

#[test]
fn what_a_killed_server_left_is_sealed_by_the_next_and_told_from_a_change() {
    for torn in ["", "{\"seq\":6,\"prev\":\"12", "\u{0}\u{0}"] {
        let directory = Directory::new();
        let mut killed = writer(&directory, PART_BYTES);
        add(&mut killed, 4);
        // A lock goes with its process, and no line ends the file.
        drop(killed);
        let path = directory.files().remove(0);
        let text = fs::read_to_string(&path).expect("text");
        fs::write(&path, text + torn).expect("written");
        let before = directory.report();
        assert_eq!(
            (found(&before), before.notes.len()),
            (vec![], 1),
            "{torn:?}"
        );

        stop(writer(&directory, PART_BYTES));
        let sealed = lines(&path);
        assert!(
            sealed
                .last()
                .expect("a line")
                .contains("\"kind\":\"sealed\"")
        );
        let report = directory.report();
        assert_eq!(found(&report), [], "{torn:?}");
        assert_eq!(report.notes.len(), usize::from(!torn.is_empty()));
        // Sealed once.
        stop(writer(&directory, PART_BYTES));
        assert_eq!(lines(&path), sealed);
        if !torn.is_empty() {
            let mut changed = sealed.clone();
            changed[5] = "{\"seq\":6,\"prev\":\"13".to_owned();
            write(&path, &changed);
            assert_eq!(found(&directory.report())[0].0, Some(6), "{torn:?}");
            changed.remove(5);
            write(&path, &changed);
            assert_eq!(found(&directory.report())[0].0, Some(6), "{torn:?}");
        }
    }
}

#[test]
fn a_server_that_is_killed_after_many_others_came_and_went_is_sealed() {
    let directory = Directory::new();
    let mut killed = writer(&directory, PART_BYTES);
    add(&mut killed, 1);
    // Files that begin in one millisecond are sorted by chance, so it is taken while it is alone.
    let path = directory.files().remove(0);
    for _ in 0..40 {
        stop(writer(&directory, PART_BYTES));
    }
    drop(killed);
    stop(writer(&directory, PART_BYTES));
    let last = lines(&path).pop().expect("a line");
    assert!(last.contains("\"kind\":\"sealed\""), "{last}");
    // And its end is one of those that the next tells.
    let before = directory.files();
    stop(writer(&directory, PART_BYTES));
    let mut files = directory.files();
    files.retain(|file| !before.contains(file));
    let next = lines(&files[0]).remove(0);
    let name = path.file_name().expect("a name").to_string_lossy();
    assert!(next.contains(&*name), "{next}");
}

#[test]
fn a_line_that_lacks_its_line_feed_alone_is_a_line() {
    let directory = Directory::new();
    let mut killed = writer(&directory, PART_BYTES);
    add(&mut killed, 2);
    drop(killed);
    let path = directory.files().remove(0);
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.trim_end()).expect("written");
    stop(writer(&directory, PART_BYTES));
    let report = directory.report();
    assert_eq!((found(&report), report.notes.len()), (vec![], 0));
}

#[test]
fn a_file_that_a_server_still_writes_is_not_sealed() {
    let directory = Directory::new();
    let mut first = writer(&directory, PART_BYTES);
    add(&mut first, 2);
    let second = writer(&directory, PART_BYTES);
    add(&mut first, 2);
    let report = directory.report();
    assert_eq!((found(&report), report.notes.len()), (vec![], 0));
    stop(second);
    stop(first);
    assert_eq!(directory.report().lines, 8);
}

#[test]
fn a_file_that_is_taken_away_or_written_by_another_is_left_and_the_next_begun() {
    let directory = Directory::new();
    let mut writer = writer(&directory, PART_BYTES);
    add(&mut writer, 2);
    let path = directory.files().remove(0);
    fs::remove_file(&path).expect("removed");
    add(&mut writer, 2);
    let second = directory.files().remove(0);
    assert_ne!(second, path);
    fs::write(&second, lines(&second)[..2].join("\n") + "\n").expect("cut");
    add(&mut writer, 1);
    stop(writer);
    let report = directory.report();
    assert_eq!(directory.files().len(), 2);
    assert!(
        found(&report)[0].1.contains("missing before it"),
        "{report:?}"
    );
}
