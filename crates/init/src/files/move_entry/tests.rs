use std::fs;

use super::super::testing::{Sandbox, code, with_and_without_openat2, without_privilege};
use super::*;

struct Options {
    overwrite: bool,
    directory: bool,
}

const PLAIN: Options = Options {
    overwrite: false,
    directory: false,
};

const OVER: Options = Options {
    overwrite: true,
    ..PLAIN
};

fn rename(sandbox: &Sandbox, from: &str, to: &str, options: &Options) -> Result<bool, Code> {
    let request = MoveRequest {
        from: from.to_owned().into(),
        to: to.to_owned().into(),
        overwrite: options.overwrite,
        directory: options.directory,
        id: String::new(),
    };
    let moved = sandbox.workspace.move_entry(&request, &Cancel::default());
    moved.map(|reply| reply.replaced).map_err(code)
}

fn text(sandbox: &Sandbox, path: &str) -> String {
    fs::read_to_string(sandbox.at(path)).expect(path)
}

#[test]
fn a_file_and_a_tree_get_another_name_and_the_directories_above_it() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a", "content");
        assert_eq!(rename(sandbox, "a", "new/deep/b", &PLAIN), Ok(false));
        assert_eq!(text(sandbox, "new/deep/b"), "content");
        assert!(!sandbox.at("a").exists());
        assert_eq!(rename(sandbox, "new", "old", &PLAIN), Ok(false));
        assert_eq!(text(sandbox, "old/deep/b"), "content");
        assert_eq!(
            rename(sandbox, "missing", "x/y", &PLAIN),
            Err(Code::NotFound)
        );
        assert!(!sandbox.at("x").exists(), "made for nothing");
    });
}

#[test]
fn nothing_is_replaced_unless_that_is_asked_for() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a", "a");
        sandbox.file("b", "b");
        sandbox.dir("empty");
        sandbox.file("full/file", "");
        sandbox.dir("moved");
        sandbox.link("nowhere", "not-there");
        for taken in ["b", "empty", "full", "nowhere", "a"] {
            assert_eq!(
                rename(sandbox, "a", taken, &PLAIN),
                Err(Code::Exists),
                "{taken}"
            );
        }
        assert_eq!(text(sandbox, "b"), "b");
        assert_eq!(rename(sandbox, "a", "b", &OVER), Ok(true));
        assert_eq!(text(sandbox, "b"), "a");
        assert_eq!(rename(sandbox, "b", "full", &OVER), Err(Code::IsDirectory));
        assert_eq!(rename(sandbox, "moved", "full", &OVER), Err(Code::Exists));
        assert_eq!(
            rename(sandbox, "moved", "b", &OVER),
            Err(Code::NotDirectory)
        );
        assert_eq!(rename(sandbox, "moved", "empty", &OVER), Ok(true));
        assert_eq!(rename(sandbox, "b", "free", &OVER), Ok(false));
    });
}

#[test]
fn a_link_is_moved_itself_and_never_through_one_that_leads_out() {
    with_and_without_openat2(|sandbox| {
        sandbox.link("out", sandbox.outside(""));
        sandbox.file("file", "");
        for (from, to) in [
            ("out/secret", "stolen"),
            ("file", "out/file"),
            ("file", "out/new/file"),
            ("file", "../file"),
            ("/etc/passwd", "a"),
        ] {
            let refused = rename(sandbox, from, to, &OVER);
            assert_eq!(refused, Err(Code::OutsideWorkspace), "{from} {to}");
        }
        assert_eq!(rename(sandbox, "out", "elsewhere", &PLAIN), Ok(false));
        assert!(sandbox.at("elsewhere").is_symlink());
        // What the link leads to is not replaced, the link is.
        assert_eq!(rename(sandbox, "file", "elsewhere", &OVER), Ok(true));
        assert!(!sandbox.at("elsewhere").is_symlink());
        assert_eq!(
            fs::read_dir(sandbox.outside("")).expect("listed").count(),
            1
        );
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn the_workspace_stays_and_no_directory_comes_into_itself() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("a/b");
        assert_eq!(rename(sandbox, "", "x", &PLAIN), Err(Code::Invalid));
        assert_eq!(rename(sandbox, "a", "", &OVER), Err(Code::Exists));
        for options in [&PLAIN, &OVER] {
            let refused = rename(sandbox, "a", "a/b/c", options);
            assert_eq!(refused, Err(Code::Invalid));
        }
        assert!(sandbox.at("a/b").is_dir());
        let left = fs::read_dir(sandbox.at("a/b")).expect("listed").count();
        assert_eq!(left, 0, "something was left");
        assert_eq!(rename(sandbox, "a", "a", &OVER), Ok(false));
    });
}

#[test]
fn of_two_names_of_one_file_the_first_goes() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a", "content");
        fs::hard_link(sandbox.at("a"), sandbox.at("b")).expect("linked");
        assert_eq!(rename(sandbox, "a", "b", &PLAIN), Err(Code::Exists));
        assert_eq!(rename(sandbox, "a", "b", &OVER), Ok(false));
        assert!(!sandbox.at("a").exists());
        assert_eq!(rename(sandbox, "b", "b", &OVER), Ok(false));
        assert_eq!(text(sandbox, "b"), "content");
    });
}

#[test]
fn what_must_be_a_directory_is_one() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "");
    sandbox.dir("dir");
    let options = Options {
        directory: true,
        ..PLAIN
    };
    let refused = rename(&sandbox, "file", "x", &options);
    assert_eq!(refused, Err(Code::NotDirectory));
    assert_eq!(rename(&sandbox, "dir", "x", &options), Ok(false));
}

#[test]
fn a_file_that_may_not_be_written_is_not_replaced() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", "new");
    sandbox.file("kept", "kept");
    fs::set_permissions(
        sandbox.at("kept"),
        std::os::unix::fs::PermissionsExt::from_mode(0o444),
    )
    .expect("set");
    rustix::fs::chmod(sandbox.at(""), Mode::from_raw_mode(0o777)).expect("open");
    without_privilege(|| {
        let refused = rename(&sandbox, "a", "kept", &OVER);
        assert_eq!(refused, Err(Code::PermissionDenied));
    });
    assert_eq!(text(&sandbox, "kept"), "kept");
}

#[test]
fn without_renameat2_nothing_is_replaced_either() {
    let sandbox = Sandbox::new(true);
    let at = |path: &str| {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = rustix::fs::openat(rustix::fs::CWD, sandbox.at(""), flags, Mode::empty());
        located(dir.expect("directory"), path.as_bytes()).expect("looked at")
    };
    let rename = |from: &str, to: &str| {
        let source = at(from);
        let moved = source.found.expect("there");
        rename_new_without_flags(&source, &moved, &at(to)).map_err(code)
    };
    sandbox.file("file", "content");
    sandbox.file("other", "");
    sandbox.file("dir/file", "");
    sandbox.dir("empty");
    sandbox.link("link", "nowhere");
    for from in ["file", "dir", "link"] {
        for taken in ["other", "empty"] {
            assert_eq!(rename(from, taken), Err(Code::Exists), "{from} {taken}");
        }
        assert_eq!(rename(from, &format!("{from}-new")), Ok(()));
    }
    assert_eq!(text(&sandbox, "file-new"), "content");
    assert!(sandbox.at("dir-new/file").exists() && sandbox.at("link-new").is_symlink());
    assert!(!sandbox.at("file").exists() && !sandbox.at("dir").exists());
    assert_eq!(rename("dir-new", "dir-new/in"), Err(Code::Invalid));
    assert_eq!(
        fs::read_dir(sandbox.at("dir-new")).expect("listed").count(),
        1
    );
}
