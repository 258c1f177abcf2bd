//! Backups and restores that are refused: the error is one sentence, and nothing changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{backups, casemate, done, exec, refused, target, text};
use crate::harness::{Directory, Disk, Engine, Instance, docker};

/// A user with a backup whose file has changed since.
fn with_backup() -> (Instance, Directory) {
    let (instance, target) = (Instance::new(), target());
    exec(
        &instance,
        "echo old > file; head -c 3000000 /dev/urandom > random",
    );
    done(&instance, &["backup", "alice", "--to", target.text()]);
    exec(&instance, "echo new > file");
    (instance, target)
}

/// Offset of a decimal digit of a hash in a manifest.
fn a_hash(manifest: &[u8]) -> usize {
    let text = str::from_utf8(manifest).expect("text");
    let name = "\"sha256\": \"";
    let from = text.find(name).expect("a hash") + name.len();
    let digit = text[from..].find(|c: char| c.is_ascii_digit());
    from + digit.expect("one of 64")
}

/// Asserts that nothing was changed and nothing was left.
fn is_untouched(instance: &Instance) {
    assert_eq!(exec(instance, "cat file"), "new\n");
    assert_eq!(instance.volumes().len(), 1);
    assert_eq!(instance.containers().len(), 1);
}

#[test]
fn a_backup_that_was_cut_or_changed_is_found_and_not_restored() {
    let (instance, target) = with_backup();
    let backup = &backups(&target)[0];
    let restore = ["restore", "alice", "--from", target.text()];
    let verify = ["backup", "verify", "alice", "--from", target.text()];
    for (object, told) in [
        ("workspace.tar.zst", "is damaged"),
        ("entries.jsonl.zst", "is damaged"),
        ("manifest.json", "is damaged"),
    ] {
        let path = backup.join(object);
        let whole = fs::read(&path).expect("read");
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        let at = if object == "manifest.json" {
            a_hash(&whole)
        } else {
            middle
        };
        // Turns a digit into another digit.
        changed[at] ^= 1;
        for spoilt in [&whole[..middle], &changed, b""] {
            fs::write(&path, spoilt).expect("written");
            for args in [&verify[..], &restore] {
                let said = refused(&instance, args);
                assert!(said.contains(told), "{object}: {said}");
            }
        }
        fs::remove_file(&path).expect("removed");
        let said = refused(&instance, &verify);
        let lost = format!("is damaged: its {object} is missing");
        assert!(
            said.contains(&lost) || (object == "manifest.json" && said.contains("no complete")),
            "{said}"
        );
        refused(&instance, &restore);
        fs::write(&path, whole).expect("written");
    }
    is_untouched(&instance);
    done(&instance, &verify);
    done(&instance, &restore);
    assert_eq!(exec(&instance, "cat file"), "old\n");
}

#[test]
fn a_target_that_cannot_be_used_and_a_user_without_a_workspace_are_named() {
    let instance = Instance::new();
    exec(&instance, "echo new > file");
    let backup = |target: &str| refused(&instance, &["backup", "alice", "--to", target]);
    assert!(backup("/proc/nowhere").contains("backup target /proc/nowhere cannot be used"));
    assert!(backup("/dev/null").contains("backup target /dev/null cannot be used"));
    assert!(backup("ftp://host/x").contains("backups go to a directory or to"));
    let target = target();
    let none = refused(&instance, &["restore", "alice", "--from", target.text()]);
    assert!(none.contains("no complete backup of \"alice\""), "{none}");
    let unknown = refused(&instance, &["backup", "charlie", "--to", target.text()]);
    assert!(
        unknown.contains("there is no user \"charlie\""),
        "{unknown}"
    );
    let zero = refused(
        &instance,
        &[
            "backup",
            "alice",
            "--backup-keep-last",
            "0",
            "--to",
            target.text(),
        ],
    );
    assert!(
        zero.contains("--backup-keep-last") && zero.contains("1 to"),
        "{zero}"
    );
    let nowhere = refused(&instance, &["backup", "alice"]);
    assert!(nowhere.contains("set backup_target"), "{nowhere}");
    assert!(backups(&target).is_empty());
    is_untouched(&instance);
}

#[test]
fn a_target_that_becomes_full_leaves_no_backup() {
    let instance = Instance::new();
    exec(
        &instance,
        "echo new > file; head -c 20000000 /dev/urandom > random",
    );
    let target = target();
    let mount = format!("mount -t tmpfs -o size=4m tmpfs {}", target.text());
    // In a mount namespace that ends with it.
    let small = instance
        .command(&[])
        .get_program()
        .to_string_lossy()
        .into_owned();
    let script = format!(
        "{mount} && '{small}' backup alice --to {} ; code=$?; find {} -name manifest.json; exit $code",
        target.text(),
        target.text()
    );
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env("CASEMATE_INSTANCE", instance.name())
        .output()
        .expect("unshare");
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("cannot write") && said.contains("space"),
        "{said}"
    );
    assert_eq!(text(&output.stdout), "");
    is_untouched(&instance);
}

#[tokio::test]
async fn a_full_disk_ends_a_restore_and_the_old_workspace_is_in_force() {
    let engine = Engine::on(Disk::Small).await.expect("a disk");
    let (instance, target) = (Instance::new(), target());
    let run = |args: &[&str]| {
        let mut command = instance.command(args);
        command
            .env("DOCKER_HOST", engine.uri())
            .env("CASEMATE_MIN_FREE_DISK", "0");
        command.output().expect("it runs")
    };
    let exec = |command: &str| {
        let output = run(&[
            "exec",
            "alice",
            "--create",
            "--timeout",
            "100",
            "--",
            command,
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    exec("echo old > file; head -c 80M /dev/urandom > random");
    let made = run(&["backup", "alice", "--to", target.text()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    exec("echo new > file");
    let restored = run(&["restore", "alice", "--from", target.text()]);
    assert!(!restored.status.success());
    let said = text(&restored.stderr);
    assert!(
        said.contains("random") && said.contains("NO_SPACE"),
        "{said}"
    );
    assert_eq!(exec("cat file"), "new\n");
    assert_eq!(
        engine.docker(&["volume", "ls", "--quiet"]).lines().count(),
        1
    );
    // With free space it is restored.
    exec("rm random");
    let restored = run(&["restore", "alice", "--from", target.text()]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    assert_eq!(exec("cat file"), "old\n");
}

#[test]
fn a_users_directory_of_the_host_is_backed_up_and_never_exchanged() {
    let (instance, target, bound) = (Instance::new(), target(), Directory::new(1000));
    let bind = ["--mode", "bind", "--bind-dir", bound.text()];
    let run = |args: &[&str]| casemate(&instance, &[args, &bind].concat());
    fs::write(format!("{}/file", bound.text()), "mine").expect("written");
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(format!("{}/file", bound.text()), readable).expect("set");
    let made = run(&["backup", "alice", "--to", target.text()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let restored = run(&["restore", "alice", "--from", target.text()]);
    let said = text(&restored.stderr);
    assert!(said.contains("directory of the host (mode bind)"), "{said}");
    assert!(docker::lines(&["volume", "ls", "--quiet", "--filter", &instance.label()]).is_empty());
}

#[test]
fn all_and_scheduled_backups_skip_directories_of_the_host_and_say_so() {
    let (instance, target, bound) = (Instance::new(), target(), Directory::new(1000));
    let bind = ["--mode", "bind", "--bind-dir", bound.text()];
    let all = [&["backup", "--all", "--to", target.text()], &bind[..]].concat();
    let said = refused(&instance, &all);
    assert!(said.contains("in mode bind no user has a volume"), "{said}");
    let clock = [
        "serve",
        "--backup-every",
        "1h",
        "--backup-target",
        target.text(),
    ];
    let said = refused(&instance, &[&clock, &bind[..]].concat());
    assert!(
        said.contains("backup_every does nothing in mode bind"),
        "{said}"
    );
}
