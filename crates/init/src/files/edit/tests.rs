mod encodings;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use casemate_protocol::failure::Code;
use casemate_protocol::no_match::Difference;

use super::super::testing::{Sandbox, code, with_and_without_openat2};
use super::*;

fn outcome(reply: Result<EditFileReply, Code>) -> Outcome {
    reply.expect("answered").result.expect("an outcome")
}

fn edit_all(sandbox: &Sandbox, path: &str, old: &str, new: &str) -> Outcome {
    let request = EditFileRequest {
        path: path.to_owned().into(),
        old_text: old.to_owned().into(),
        new_text: new.to_owned().into(),
        replace_all: true,
        ..EditFileRequest::default()
    };
    let edited = sandbox.workspace.edit_file(&request, &Cancel::default());
    outcome(edited.map_err(code))
}

#[test]
fn the_only_match_is_replaced_and_everything_else_stays() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("real/script", "#!/bin/sh\necho one\necho two\n");
        sandbox.link("link", "real/script");
        let rights = fs::Permissions::from_mode(0o750);
        fs::set_permissions(sandbox.at("real/script"), rights).expect("chmod");
        let Outcome::Edited(edited) = outcome(sandbox.edit("link", "one", "1\necho 1.5")) else {
            panic!("not edited");
        };
        assert_eq!((edited.size, edited.replaced, edited.not_shown), (35, 1, 0));
        let text = "#!/bin/sh\necho 1\necho 1.5\necho two\n";
        let excerpt = &edited.excerpts[0];
        assert_eq!((excerpt.start_line, excerpt.text.as_str()), (1, text));
        assert_eq!(sandbox.read("real/script"), Ok(text.as_bytes().to_vec()));
        let kept = fs::symlink_metadata(sandbox.at("link")).expect("stat");
        assert!(kept.is_symlink());
        assert_eq!(
            fs::metadata(sandbox.at("link")).expect("stat").mode() & 0o777,
            0o750
        );
        sandbox.assert_clean("real");
    });
}

#[test]
fn several_matches_are_named_by_line_or_all_replaced() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "a\nb\na\nc a\n");
    let Outcome::Several(several) = outcome(sandbox.edit("file", "a", "x")) else {
        panic!("edited");
    };
    assert_eq!((several.count, several.lines), (3, vec![1, 3, 4]));
    assert_eq!(sandbox.read("file"), Ok(b"a\nb\na\nc a\n".to_vec()));
    let Outcome::Edited(edited) = edit_all(&sandbox, "file", "a", "") else {
        panic!("not edited");
    };
    assert_eq!((edited.size, edited.replaced), (7, 3));
    assert_eq!(sandbox.read("file"), Ok(b"\nb\n\nc \n".to_vec()));
    let Outcome::NoMatch(none) = edit_all(&sandbox, "file", "a", "") else {
        panic!("edited");
    };
    assert_eq!(none.difference(), Difference::NothingLikeIt);
}

#[test]
fn a_file_over_the_bound_before_or_after_is_refused_and_stays() {
    let sandbox = Sandbox::new(true);
    let mut content = vec![b'a'; MAX_EDIT];
    sandbox.file("file", &content);
    let grown = edit_all_code(&sandbox, "a", "bb");
    assert_eq!(grown, Err(Code::FileTooLarge));
    content[7] = b'x';
    sandbox.file("file", &content);
    assert!(sandbox.edit("file", "x", "y").is_ok());
    content.push(b'x');
    sandbox.file("file", &content);
    assert_eq!(
        sandbox.edit("file", "x", "y").map(|_| ()),
        Err(Code::FileTooLarge)
    );
    sandbox.assert_clean("");
}

fn edit_all_code(sandbox: &Sandbox, old: &'static str, new: &'static str) -> Result<(), Code> {
    let request = EditFileRequest {
        path: "file".into(),
        old_text: old.into(),
        new_text: new.into(),
        replace_all: true,
        ..EditFileRequest::default()
    };
    let edited = sandbox.workspace.edit_file(&request, &Cancel::default());
    edited.map(|_| ()).map_err(code)
}

#[test]
fn what_is_no_file_or_no_edit_is_refused_and_nothing_is_made() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("directory");
        sandbox.file("file", "a");
        sandbox.link("out", sandbox.outside("secret"));
        sandbox.link("dangling", "nowhere");
        for (path, old, new, code) in [
            ("missing/below", "a", "b", Code::NotFound),
            ("missing", "a", "b", Code::NotFound),
            ("dangling", "a", "b", Code::NotFound),
            ("directory", "a", "b", Code::IsDirectory),
            ("", "a", "b", Code::IsDirectory),
            ("out", "secret", "b", Code::OutsideWorkspace),
            ("file", "", "b", Code::Invalid),
            ("file", "a", "a", Code::Invalid),
        ] {
            assert_eq!(
                sandbox.edit(path, old, new).map(|_| ()),
                Err(code),
                "{path}"
            );
        }
        let long = vec![b'a'; MAX_WRITE];
        assert_eq!(
            sandbox.edit("file", &long, "b").map(|_| ()),
            Err(Code::Invalid)
        );
        assert!(!sandbox.at("missing").exists());
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn a_file_that_changed_since_it_was_read_is_not_overwritten() {
    let sandbox = Sandbox::new(true);
    let changes: [fn(&Sandbox); 4] = [
        |sandbox| sandbox.file("file", "another size"),
        // Another file with the same content.
        |sandbox| {
            sandbox.file("other", "old");
            fs::rename(sandbox.at("other"), sandbox.at("file")).expect("renamed");
        },
        |sandbox| {
            let rights = fs::Permissions::from_mode(0o600);
            fs::set_permissions(sandbox.at("file"), rights).expect("chmod");
        },
        |sandbox| fs::remove_file(sandbox.at("file")).expect("removed"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let _ = fs::remove_file(sandbox.at("file"));
        sandbox.file("file", "old");
        // Beyond the kernel's tick: the times of a later change differ.
        let past = std::time::SystemTime::now() - std::time::Duration::from_secs(9);
        let file = fs::File::options().write(true).open(sandbox.at("file"));
        file.and_then(|file| file.set_modified(past))
            .expect("times");
        let path = RelativePath::parse("file").expect("a path");
        let original = sandbox.workspace.original(path, &Cancel::default());
        let original = original.map_err(code).expect("read");
        change(&sandbox);
        let request = EditFileRequest {
            old_text: "old".into(),
            new_text: "new".into(),
            ..EditFileRequest::default()
        };
        let edited = sandbox
            .workspace
            .exchange(original, &request, 1, &Cancel::default());
        assert_eq!(
            edited.map(|_| ()).map_err(code),
            Err(Code::Changed),
            "{number}"
        );
        assert_ne!(sandbox.read("file"), Ok(b"new".to_vec()), "{number}");
        sandbox.assert_clean("");
    }
}

#[test]
fn edits_of_one_file_at_the_same_time_all_happen_and_readers_see_whole_files() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 25;
    let sandbox = Sandbox::new(true);
    let padding = "line\n".repeat(40_000);
    let start: String = (0..WRITERS)
        .map(|writer| format!("<{writer}:0>\n"))
        .collect();
    sandbox.file("file", start.clone() + &padding);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let old = format!("<{writer}:{round}>");
                        let new = format!("<{writer}:{}>", round + 1);
                        let edited = outcome(sandbox.edit("file", old, new));
                        assert!(matches!(edited, Outcome::Edited(_)));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let read = fs::read_to_string(sandbox.at("file")).expect("read");
                assert!(read.starts_with("<0:") && read.ends_with(&padding), "a mix");
            }
        });
        let joined: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(joined.iter().all(Result::is_ok));
    });
    let read = fs::read_to_string(sandbox.at("file")).expect("read");
    for writer in 0..WRITERS {
        assert!(
            read.contains(&format!("<{writer}:{ROUNDS}>")),
            "a lost edit"
        );
    }
    sandbox.assert_clean("");
}

#[test]
fn a_cancelled_edit_leaves_the_file() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    let cancel = Cancel::default();
    cancel.cancel();
    let request = EditFileRequest {
        path: "file".into(),
        old_text: "old".into(),
        new_text: "new".into(),
        ..EditFileRequest::default()
    };
    let edited = sandbox.workspace.edit_file(&request, &cancel);
    assert_eq!(edited.map(|_| ()).map_err(code), Err(Code::Cancelled));
    assert_eq!(sandbox.read("file"), Ok(b"old".to_vec()));
    sandbox.assert_clean("");
}

/// A `chmod` between the walk and the read.
#[test]
fn an_edited_file_has_the_mode_that_it_had_when_it_was_read() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    let (workspace, cancel) = (&sandbox.workspace, Cancel::default());
    let path = RelativePath::parse("file").expect("a path");
    let place = workspace.place(path, MissingDirectory::Fails, &cancel);
    let place = place.expect("a place");
    let rights = fs::Permissions::from_mode(0o600);
    fs::set_permissions(sandbox.at("file"), rights).expect("chmod");
    let file = fs::File::open(sandbox.at("file")).expect("open");
    let original = Original::read(place, &file.into(), &cancel).expect("read");
    let request = EditFileRequest {
        old_text: "old".into(),
        new_text: "new".into(),
        ..EditFileRequest::default()
    };
    let edited = workspace.exchange(original, &request, 1, &cancel);
    assert!(edited.is_ok(), "{edited:?}");
    let stat = fs::metadata(sandbox.at("file")).expect("stat");
    assert_eq!(stat.mode() & 0o777, 0o600);
    assert_eq!(sandbox.read("file"), Ok(b"new".to_vec()));
}
