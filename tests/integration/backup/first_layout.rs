//! A backup of the first layout, stored as a server of that time wrote it (version 0.1.0, commit
//! b0ba4b3). That server verified it but could not restore it: one path has 5,026 bytes.
//!
//! It holds directories, files, hard and symbolic links, holes, locked files and directories,
//! names of 255 bytes, with a line break and not UTF-8, and times to the nanosecond, one before
//! 1970. `seen.txt` is what [`LOOK`] printed in the workspace before that backup.

use super::{backups, done, exec, refused, target};
use crate::harness::{Directory, Instance};

const ID: &str = "20261129T180541.338Z-1ea6f8a4";
const SEEN: &[u8] = include_bytes!("first_layout/seen.txt");
const OBJECTS: [(&str, &[u8]); 3] = [
    (
        "entries.jsonl.zst",
        include_bytes!("first_layout/entries.jsonl.zst"),
    ),
    (
        "manifest.json",
        include_bytes!("first_layout/manifest.json"),
    ),
    (
        "workspace.tar.zst",
        include_bytes!("first_layout/workspace.tar.zst"),
    ),
];

/// Each entry's kind, depth, name, mode, time, size and number of names, or target.
const LOOK: &str = r"stat -c 'top %a' .
find . -mindepth 1 \( -path ./.home -o -path ./.casemate \) -prune -o -mindepth 1 \
    \( -type f -printf 'file %d %f %m %T@ %s bytes %n names\n' \
    -o -type d -printf 'directory %d %f %m %T@\n' -o -printf '%y %d %f %T@ %l\n' \) |
    sed 's/dddd*/D/; s/nnnn*/N/' | LC_ALL=C sort
sha256sum sparse other-name | cut -c1-16";

/// Stores it as a backup of `alice`.
fn store(instance: &Instance, target: &Directory) {
    exec(instance, "true");
    done(instance, &["backup", "alice", "--to", target.text()]);
    let newer = backups(target).remove(0);
    let place = newer.parent().expect("the user's").join(ID);
    std::fs::remove_dir_all(&newer).expect("removed");
    std::fs::create_dir(&place).expect("made");
    for (name, content) in OBJECTS {
        std::fs::write(place.join(name), content).expect("written");
    }
}

#[test]
fn a_backup_of_the_first_layout_verifies_and_is_restored_as_it_was() {
    let (instance, target) = (Instance::new(), target());
    store(&instance, &target);
    let verify = ["backup", "verify", "alice", "--from", target.text()];
    assert!(done(&instance, &verify).starts_with("whole: alice "));
    let restore = ["restore", "alice", "--force", "--from", target.text()];
    let told = done(&instance, &restore);
    assert!(!told.contains("WARNING"), "{told}");
    let seen = exec(&instance, LOOK);
    assert_eq!(seen, super::text(SEEN));
}

#[test]
fn a_backup_of_a_later_layout_is_refused_and_changes_nothing() {
    let (instance, target) = (Instance::new(), target());
    store(&instance, &target);
    exec(&instance, "echo kept > file");
    let manifest = backups(&target)[0].join("manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let later = text.replace("\"format\": 1", "\"format\": 3");
    assert_ne!(later, text);
    std::fs::write(&manifest, later).expect("written");
    for verb in [&["backup", "verify"][..], &["restore", "--force"]] {
        let args = [verb, &["alice", "--from", target.text()]].concat();
        let said = refused(&instance, &args);
        assert!(
            said.contains("format 3, this server reads 1 to 2"),
            "{said}"
        );
    }
    assert_eq!(exec(&instance, "cat file"), "kept\n");
}
