//! The file that a server makes, and those that it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::super::link::{LinkClaims, check};
use super::super::record::now;
use super::*;
use crate::identity::{Instance, User, WorkspaceId};

/// A directory that is removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("casemate-test-{}", uuid::Uuid::new_v4().simple());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A link of one set of keys, and whether another opens it.
fn opens(by: &LinkKeys, to: &LinkKeys) -> bool {
    let claims = LinkClaims {
        workspace: WorkspaceId::from(User::local("ada".parse().expect("a subject"))).hash(),
        share: ShareId::random().expect("random"),
        expires: now() + 60,
    };
    let instance = Instance::default();
    let token = by.signing().expect("a key").token(&instance, &claims);
    check(&to.checking(), &instance, &token).is_some()
}

#[test]
fn a_key_is_made_once_for_its_user_alone_and_found_again() {
    let directory = Scratch::new();
    let state = directory.0.join("a/b");
    let first = LinkKeys::made_in(&state);
    assert!(first.checking().is_empty(), "nothing was signed");
    assert!(!state.exists(), "and nothing is made for a look");
    assert!(opens(&first, &first));
    assert!(opens(&first, &LinkKeys::made_in(&state)), "after a restart");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&state.join(FILE_NAME)), 0o600);
    assert_eq!(mode(&state), 0o700);
    let files: Vec<_> = fs::read_dir(&state).expect("a directory").collect();
    assert_eq!(files.len(), 1, "the temporary file is gone: {files:?}");
    assert!(!opens(&first, &LinkKeys::made_in(&directory.0.join("c"))));
}

#[test]
fn servers_that_begin_at_once_have_one_key() {
    let directory = Scratch::new();
    let keys: Vec<_> = (0..8).map(|_| LinkKeys::made_in(&directory.0)).collect();
    std::thread::scope(|scope| {
        for keys in &keys {
            scope.spawn(|| keys.signing().expect("a key"));
        }
    });
    assert!(keys.iter().all(|other| opens(&keys[0], other)));
}

#[test]
fn a_key_that_others_could_know_and_a_place_that_is_none_are_refused() {
    let directory = Scratch::new();
    let keys = LinkKeys::made_in(&directory.0);
    keys.signing().expect("a key");
    let file = directory.0.join(FILE_NAME);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("chmod");
    let exposed = LinkKeys::made_in(&directory.0);
    assert!(matches!(
        exposed.signing(),
        Err(LinkKeyError::Exposed { .. })
    ));
    assert!(exposed.checking().is_empty());
    let nowhere = LinkKeys::made_in(Path::new("/proc/nowhere"));
    assert!(matches!(nowhere.signing(), Err(LinkKeyError::Make { .. })));
}

#[test]
fn the_first_of_two_keys_signs_and_three_are_too_many() {
    let directory = Scratch::new();
    fs::create_dir(&directory.0).expect("a directory");
    let file = |name: &str, keys: &[u8]| {
        let lines = keys.iter().map(|byte| STANDARD.encode([*byte; 32]) + "\n");
        let path = directory.0.join(name);
        fs::write(&path, lines.collect::<String>()).expect("a file");
        LinkKeys::of_file(&path)
    };
    let (old, new) = (file("old", &[1]).unwrap(), file("new", &[2, 1]).unwrap());
    assert!(opens(&old, &new), "the old key is still good");
    assert!(!opens(&new, &old), "the new one signs");
    assert!(file("three", &[1, 2, 3]).is_err());
    assert!(file("none", &[]).is_err());
    let short = directory.0.join("short");
    fs::write(&short, "AAAA\n").expect("a file");
    assert!(LinkKeys::of_file(&short).is_err());
}
