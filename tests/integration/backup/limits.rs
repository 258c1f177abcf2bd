//! A backup that verifies can be restored, with any content of the workspace: above all with
//! paths longer than the kernel accepts at once, which are made, copied and restored in steps.

use super::{done, exec, target};
use crate::harness::{Directory, Instance};

/// 20 directories of 250 bytes in one another, a file in the last, and a link to it.
const LONG: &str = r#"
name=$(printf 'n%.0s' $(seq 250))
for i in $(seq 20); do mkdir "$name" && cd -P "$name" || exit 1; done
echo deep > file; ln file hard
"#;

/// Makes the deepest tree that a backup can have, with both kinds of attributes, in Python.
const DEEP: &str = r#"python3 - <<'END'
import os, struct
def acl(group):
    entries = [(1, 7, -1), (4, 5, -1), (8, group, 4242), (16, 7, -1), (32, 0, -1)]
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *one) for one in entries)
os.mkdir('top')
os.setxattr('top', 'user.why', b'shared')
os.setxattr('top', 'system.posix_acl_default', acl(6))
open('file', 'w').close()
os.setxattr('file', 'user.empty', b'')
os.setxattr('file', 'user.forged', b'any \xff bytes\n13 size=999\n')
os.setxattr('file', 'system.posix_acl_access', acl(4))
os.chdir('top')
for number in range(2100):
    os.mkdir('d'); os.chdir('d')
open('file', 'w').write('deepest')
END"#;

/// Prints the files at the ends of the long paths, reached in steps.
const LOOK: &str = r#"python3 - <<'END'
import os
def down(name):
    depth = 0
    while os.path.isdir(name):
        os.chdir(name); depth += 1
    return depth
def attributes(path):
    return sorted((name, os.getxattr(path, name)) for name in os.listxattr(path))
home = os.open('.', os.O_RDONLY)
for path in 'top', 'file':
    print(path, oct(os.stat(path).st_mode), attributes(path))
print('long', down('n' * 250), open('file').read(), os.stat('file').st_nlink, attributes('file'))
os.fchdir(home); os.chdir('top')
print('deep', down('d'), open('file').read(), attributes('file'))
END"#;

fn fill(instance: &Instance) -> String {
    exec(instance, LONG);
    exec(instance, DEEP);
    let seen = exec(instance, LOOK);
    for expected in [
        "long 20 deep\n 2 ",
        "deep 2100 deepest ",
        "user.why",
        "posix_acl_default",
    ] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
    seen
}

#[test]
fn a_path_longer_than_the_kernel_accepts_is_restored_with_attributes() {
    let (instance, target) = (Instance::new(), target());
    let before = fill(&instance);
    exec(&instance, "mkfifo pipe");
    let told = done(&instance, &["backup", "alice", "--to", target.text()]);
    assert!(
        told.contains("left out: 1 sockets, FIFOs and devices; pipe"),
        "{told}"
    );
    let verify = ["backup", "verify", "alice", "--from", target.text()];
    assert!(done(&instance, &verify).starts_with("whole: alice "));
    done(&instance, &["rm", "alice", "--volume", "--force"]);
    let told = done(&instance, &["restore", "alice", "--from", target.text()]);
    assert!(!told.contains("WARNING"), "{told}");
    assert_eq!(exec(&instance, LOOK), before);
    assert_tar_reads_it(&target);
}

/// The files and attributes can be restored without this server, by GNU tar.
fn assert_tar_reads_it(target: &Directory) {
    let archive = super::backups(target)[0].join("workspace.tar.zst");
    let bytes = std::fs::read(archive).expect("the archive");
    let plain = zstd::decode_all(&bytes[..]).expect("an archive");
    let into = Directory::new(0);
    let path = std::path::Path::new(into.text());
    std::fs::write(path.join("plain.tar"), plain).expect("written");
    let unpacked = std::process::Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "-xf", "plain.tar", "file"])
        .current_dir(path)
        .output()
        .expect("tar runs");
    let said = super::text(&unpacked.stderr);
    assert!(
        unpacked.status.success(),
        "{}",
        &said[..said.len().min(2000)]
    );
    let mut value = [0; 64];
    let read = rustix::fs::getxattr(path.join("file"), "user.forged", &mut value[..]);
    let read = read.expect("it is there");
    assert_eq!(&value[..read], b"any \xff bytes\n13 size=999\n");
}
