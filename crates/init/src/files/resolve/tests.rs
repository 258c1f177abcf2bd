//! Each case runs with openat2 and with the walk alone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use casemate_protocol::failure::Code;
use proptest::prelude::*;
use rustix::fs::{CWD, RenameFlags, fstat, renameat_with};

use super::super::path::RelativePath;
use super::super::testing::{CANARY, Sandbox, with_and_without_openat2, without_privilege};
use super::super::walk::OPEN_DIRECTORY_LIMIT;
use super::*;

#[test]
fn links_that_stay_inside_are_followed() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a/b/file", "inside");
        sandbox.dir("c");
        sandbox.link("relative", "a/b/file");
        sandbox.link("c/up", "../a/./b//file");
        sandbox.link("directory", "a/b/");
        sandbox.link("absolute", sandbox.at("a/b/file"));
        sandbox.link("root", sandbox.at(""));
        sandbox.link("a/chain", "../absolute");
        sandbox.link("deep", "a/b/../../c/../a/b");
        for path in [
            "a/b/file",
            "relative",
            "c/up",
            "directory/file",
            "absolute",
            "root/root/a/b/file",
            "a/chain",
            "deep/file",
        ] {
            assert_eq!(sandbox.read(path), Ok(b"inside".to_vec()), "{path}");
        }
        assert_eq!(sandbox.read("root"), Err(Code::IsDirectory));
        assert_eq!(sandbox.read("directory"), Err(Code::IsDirectory));
    });
}

#[test]
fn links_that_lead_out_are_refused() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("d");
        let secret = sandbox.outside("secret");
        let beside = sandbox.outside("").with_file_name("workspace-evil");
        fs::create_dir(&beside).expect("directory beside");
        fs::write(beside.join("secret"), CANARY).expect("file");
        sandbox.link("absolute", &secret);
        sandbox.link("relative", "../outside/secret");
        sandbox.link("d/deeper", "../../outside/secret");
        sandbox.link("directory", sandbox.outside(""));
        sandbox.link("dangling", "/nonexistent/casemate");
        sandbox.link("top", "/");
        sandbox.link("magic", "/proc/self/root/etc/passwd");
        sandbox.link("cwd", "/proc/self/cwd");
        sandbox.link("prefix", &beside);
        sandbox.link("dots", sandbox.at("../outside/secret"));
        sandbox.link("chain", "d/deeper");
        for path in [
            "absolute",
            "relative",
            "d/deeper",
            "directory/secret",
            "directory",
            "dangling",
            "top",
            "top/etc/passwd",
            "magic",
            "cwd",
            "prefix/secret",
            "dots",
            "chain",
        ] {
            assert_eq!(sandbox.read(path), Err(Code::OutsideWorkspace), "{path}");
            let listed = sandbox.list(path, 1).map(|_| ());
            assert_eq!(listed, Err(Code::OutsideWorkspace), "{path}");
            let written = sandbox.write(path, "changed").map(|_| ());
            assert_eq!(written, Err(Code::OutsideWorkspace), "{path}");
        }
        let new = sandbox.write("directory/new", "made").map(|_| ());
        assert_eq!(new, Err(Code::OutsideWorkspace));
        fs::remove_dir_all(&beside).expect("clean up");
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn magic_links_are_not_followed() {
    for openat2 in [true, false] {
        let mut sandbox = Sandbox::new(openat2);
        let mut workspace = Workspace::open(Path::new("/proc/self")).expect("procfs");
        workspace.openat2 &= openat2;
        sandbox.workspace = workspace;
        let file = fs::File::open(sandbox.outside("secret")).expect("canary");
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        for path in [
            "root/etc/passwd",
            "cwd/Cargo.toml",
            "exe",
            &format!("fd/{number}"),
        ] {
            assert_eq!(sandbox.read(path), Err(Code::OutsideWorkspace), "{path}");
        }
    }
}

#[test]
fn missing_things_and_wrong_kinds_have_their_codes() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "");
        sandbox.link("dangling", "missing");
        sandbox.link("slash", "file/");
        sandbox.link("dot", "file/.");
        for (path, code) in [
            ("missing", Code::NotFound),
            ("missing/file", Code::NotFound),
            ("dangling", Code::NotFound),
            ("file/below", Code::NotDirectory),
            ("slash", Code::NotDirectory),
            ("dot", Code::NotDirectory),
            ("", Code::IsDirectory),
        ] {
            assert_eq!(sandbox.read(path), Err(code), "{path}");
        }
    });
}

#[test]
fn as_many_links_as_the_kernel_follows_and_no_more() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("0", "end");
        for number in 1..=41 {
            sandbox.link(&number.to_string(), (number - 1).to_string());
        }
        sandbox.link("loop", "loop");
        sandbox.link("ping", "pong");
        sandbox.link("pong", sandbox.at("ping"));
        assert_eq!(sandbox.read("40"), Ok(b"end".to_vec()));
        for path in ["41", "loop", "loop/file", "ping"] {
            assert_eq!(sandbox.read(path), Err(Code::TooManyLinks), "{path}");
            let written = sandbox.write(path, "").map(|_| ());
            assert_eq!(written, Err(Code::TooManyLinks), "{path}");
        }
    });
}

#[test]
fn a_path_as_long_as_can_be_works() {
    with_and_without_openat2(|sandbox| {
        let path = "d/".repeat(2047) + "f";
        let reply = sandbox.write(&path, "deep").expect("written");
        assert!(reply.created);
        assert_eq!(sandbox.read(&path), Ok(b"deep".to_vec()));
        assert!(!sandbox.write(&path, "deeper").expect("written").created);
    });
}

#[test]
fn a_link_leads_further_up_than_a_walk_holds_open() {
    with_and_without_openat2(|sandbox| {
        let mut path = String::new();
        for level in 1..=100 {
            path = format!("{path}d{level}/");
            sandbox.file(&format!("{path}mark"), level.to_string());
        }
        sandbox.link(&format!("{path}up"), "../".repeat(60) + "mark");
        assert_eq!(sandbox.read(&format!("{path}up")), Ok(b"40".to_vec()));
        sandbox.link(&format!("{path}round"), "../".repeat(70) + "d31/mark");
        assert_eq!(sandbox.read(&format!("{path}round")), Ok(b"31".to_vec()));
        sandbox.link(&format!("{path}out"), "../".repeat(101) + "outside/secret");
        let out = sandbox.read(&format!("{path}out"));
        assert_eq!(out, Err(Code::OutsideWorkspace));
    });
}

#[test]
fn a_directory_that_may_not_be_searched_is_permission_denied() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("open/file", "");
        sandbox.file("shut/file", "");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
        fs::set_permissions(sandbox.at("shut"), mode).expect("chmod");
        without_privilege(|| {
            assert_eq!(sandbox.read("open/file"), Ok(Vec::new()));
            assert_eq!(sandbox.read("shut/file"), Err(Code::PermissionDenied));
            assert_eq!(sandbox.read("shut"), Err(Code::PermissionDenied));
        });
    });
}

#[test]
fn a_cancelled_walk_ends() {
    let sandbox = Sandbox::new(false);
    sandbox.file("file", "");
    let cancel = Cancel::default();
    cancel.cancel();
    let path = RelativePath::parse("file").expect("path");
    let opened = sandbox.workspace.open_beneath(path, OFlags::PATH, &cancel);
    assert_eq!(opened.expect_err("cancelled").code(), Code::Cancelled);
}

/// Reads while two names are exchanged.
const EXCHANGED: u32 = 2000;

/// What became of them.
#[derive(Default)]
struct Race {
    inside: u32,
    refused: u32,
}

impl Race {
    /// Until they were enough, and met both sides of the exchange.
    fn goes_on(&self) -> bool {
        self.inside + self.refused < EXCHANGED || self.inside == 0 || self.refused == 0
    }

    fn read(&mut self, sandbox: &Sandbox, path: &str) {
        match sandbox.read(path) {
            Ok(content) => {
                assert_eq!(content, b"inside");
                self.inside += 1;
            }
            // Too many: each of its tries met the link just after the file.
            Err(Code::OutsideWorkspace | Code::NotDirectory | Code::TooManyLinks) => {
                self.refused += 1;
            }
            Err(code) => panic!("{code:?}"),
        }
    }
}

/// Exchanges two names, again and again, while `test` runs.
fn while_exchanging(sandbox: &Sandbox, one: &str, other: &str, test: impl FnOnce()) {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    let (one, other) = (sandbox.at(one), sandbox.at(other));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("exchange");
            }
        });
        // Also when the test fails.
        let _done = Done(&done);
        test();
    });
}

#[test]
fn exchanging_a_directory_and_a_link_never_leads_out() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a/swap/secret", "inside");
        sandbox.link("a/link", "../../outside");
        while_exchanging(sandbox, "a/swap", "a/link", || {
            let mut race = Race::default();
            while race.goes_on() {
                race.read(sandbox, "a/swap/secret");
                // These may be refused, or find the directory; never outside.
                let _ = sandbox.write("a/swap/secret", "inside");
                let _ = sandbox.write("a/swap/new/file", "new");
                let swap = sandbox.list("a/swap", 3).unwrap_or_default();
                for entry in sandbox.list("a", 4).expect("listed").iter().chain(&swap) {
                    assert_ne!(entry.size, CANARY.len() as u64, "{entry:?}");
                }
            }
        });
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn exchanging_a_file_and_a_link_never_leads_out() {
    with_and_without_openat2(|sandbox| {
        let mut race = Race::default();
        while race.goes_on() {
            let _ = fs::remove_file(sandbox.at("swap"));
            let _ = fs::remove_file(sandbox.at("link"));
            sandbox.file("swap", "inside");
            sandbox.link("link", "../outside/secret");
            while_exchanging(sandbox, "swap", "link", || {
                for _ in 0..50 {
                    race.read(sandbox, "swap");
                }
                // Last: it may replace the link.
                let _ = sandbox.write("swap", "inside");
            });
        }
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn exchanging_a_directory_on_the_way_up_never_leads_out() {
    // A walk that has let go of the directories above goes down once more: by
    // then they may be links to something that looks the same outside.
    let sandbox = Sandbox::new(false);
    let below = "d/".repeat(OPEN_DIRECTORY_LIMIT + 8);
    let up = "../".repeat(OPEN_DIRECTORY_LIMIT + 8) + "secret";
    fs::create_dir_all(sandbox.outside(&below)).expect("directories");
    sandbox.dir(&format!("a/{below}"));
    sandbox.file("a/secret", "inside");
    sandbox.link(&format!("a/{below}up"), up);
    sandbox.link("link", "../outside");
    while_exchanging(&sandbox, "a", "link", || {
        let mut race = Race::default();
        while race.goes_on() {
            race.read(&sandbox, &format!("a/{below}up"));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Random trees full of links: the kernel beneath, the walk beneath, and
    /// the kernel without any bound agree wherever the path stays inside.
    #[test]
    fn the_walk_and_the_kernel_agree(
        links in prop::collection::vec(("[ab]/[cd]|[cde]", "((\\.\\.|\\.|[abcde])/){0,4}[abcde]?|/[abc](/[abcde])?"), 0..8),
        path in "([abcde]/){0,3}[abcde]",
    ) {
        let with = Sandbox::new(true);
        with.file("a/a/e", "1");
        with.file("b/e", "2");
        let mut without = Workspace::open(&with.at("")).expect("workspace");
        without.openat2 = false;
        without.name = with.at("");
        for (name, target) in &links {
            let target = match target.strip_prefix('/') {
                Some(absolute) => with.at(absolute),
                None => target.into(),
            };
            // A name twice, or an empty target: no link.
            let _ = symlink(target, with.at(name));
        }
        let relative = RelativePath::parse(&path).expect("path");
        let cancel = Cancel::default();
        let inode = |workspace: &Workspace| {
            let fd = workspace.open_beneath(relative, OFlags::PATH, &cancel);
            fd.map(|fd| fstat(fd).expect("fstat").st_ino).map_err(|failure| failure.code())
        };
        let (kernel, walk) = (inode(&with.workspace), inode(&without));
        prop_assert_eq!(kernel, walk);
        match (walk, fs::metadata(with.at(&path))) {
            (Ok(walk), Ok(plain)) => prop_assert_eq!(walk, plain.ino()),
            (Err(Code::OutsideWorkspace), _) => {}
            (Err(_), Err(_)) => {}
            (walk, plain) => prop_assert!(false, "walk {walk:?}, kernel {plain:?}"),
        }
    }
}
