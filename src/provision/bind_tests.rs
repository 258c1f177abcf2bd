use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;

/// A directory of the test's own, with a real path.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("casemate-bind-{}", uuid::Uuid::new_v4().simple());
        let path = fs::canonicalize(std::env::temp_dir())
            .expect("a real path")
            .join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).expect("a directory");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn protected() -> ProtectedPaths {
    ProtectedPaths {
        homes: homes("a:x:1:1::/home/a:/bin/sh\nb:x:2:2::/:/bin/sh\nc:x:3:3::relative:/bin/sh"),
        engine: Some(PathBuf::from("/var/lib/docker")),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_holds_more_than_a_workspace_is_refused() {
    for path in [
        "/",
        "/home",
        "/home/a",
        "/proc",
        "/proc/self",
        "/sys/fs",
        "/dev/shm",
        "/var/lib/docker",
        "/var/lib/docker/volumes/a",
        "/var/lib",
    ] {
        let refused = protected().check(Path::new(path));
        assert!(matches!(refused, Err(BindError::Reserved { .. })), "{path}");
    }
    let unknown = ProtectedPaths {
        homes: Vec::new(),
        ..ProtectedPaths::on_this_machine("")
    };
    assert!(unknown.check(Path::new("/srv")).is_ok());
    for path in [
        "/home/a/work",
        "/home/ab",
        "/srv/work",
        "/var/lib/docker-work",
    ] {
        assert!(protected().check(Path::new(path)).is_ok(), "{path}");
    }
}

#[test]
fn the_owner_is_whom_the_sandbox_runs_as() {
    let scratch = Scratch::new();
    let work = scratch.directory("work");
    let found = directory(BindTarget::Exactly(&work), &protected());
    if !is_root() {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(found.expect("its own").run_as.uid(), own);
        return;
    }
    assert!(matches!(found, Err(BindError::Owner { uid: 0, .. })));
    // The bridge's user may talk to PID 1.
    chown(&work, Some(casemate_protocol::BRIDGE_UID), Some(1000)).expect("chown");
    let bridge = directory(BindTarget::Exactly(&work), &protected());
    assert!(matches!(bridge, Err(BindError::Owner { .. })));
    chown(&work, Some(1234), Some(0)).expect("chown");
    let found = directory(BindTarget::Exactly(&work), &protected()).expect("usable");
    assert_eq!((found.run_as.uid(), found.run_as.gid()), (1234, 1234));
    chown(&work, Some(1234), Some(77)).expect("chown");
    let found = directory(BindTarget::Exactly(&work), &protected()).expect("usable");
    assert_eq!((found.run_as.uid(), found.run_as.gid()), (1234, 77));
}

#[test]
fn links_files_and_what_is_missing_are_refused_and_the_real_path_is_named() {
    let scratch = Scratch::new();
    let work = scratch.directory("work");
    let link = scratch.0.join("link");
    symlink(&work, &link).expect("a link");
    let Err(BindError::Link { real, .. }) = directory(BindTarget::Exactly(&link), &protected())
    else {
        panic!("a link was taken");
    };
    assert_eq!(real, work);
    let file = scratch.0.join("file");
    fs::write(&file, "").expect("a file");
    let refused = directory(BindTarget::Exactly(&file), &protected());
    assert!(matches!(refused, Err(BindError::NotDirectory(_))));
    let refused = directory(BindTarget::Exactly(&scratch.0.join("none")), &protected());
    assert!(refused.is_err_and(|error| error.to_string().contains("Create the directory")));
}

#[test]
fn a_users_own_directory_is_made_once_and_a_link_in_its_place_is_refused() {
    let scratch = Scratch::new();
    let root = scratch.directory("root");
    let made = directory(BindTarget::Beneath(&root, "a-1"), &protected()).expect("made");
    assert_eq!(Path::new(&made.path), root.join("a-1"));
    let mode = fs::metadata(&made.path).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    if is_root() {
        assert_eq!(made.run_as, RunAs::DEFAULT);
    }
    fs::write(Path::new(&made.path).join("file"), "kept").expect("a file");
    let again = directory(BindTarget::Beneath(&root, "a-1"), &protected()).expect("found");
    assert_eq!(again, made);
    // A server that was killed left it as root's.
    let unused = root.join("c-3");
    fs::create_dir(&unused).expect("a directory");
    assert!(directory(BindTarget::Beneath(&root, "c-3"), &protected()).is_ok());
    symlink(&made.path, root.join("b-2")).expect("a link");
    let refused = directory(BindTarget::Beneath(&root, "b-2"), &protected());
    assert!(matches!(refused, Err(BindError::Link { .. })));
}
