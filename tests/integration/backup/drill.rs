//! The restore drill: every byte, mode and time of a workspace with entries of every kind
//! is restored, on an Engine where nothing of the user was left.

use super::{COMPLETE, backups, done, exec, objects, target};
use crate::harness::{Directory, Instance, docker};

/// Names that are not text, unusual modes, links of all kinds, holes.
const FILL: &str = r#"
mkdir -p dir/deep/er empty/dir .home/.cache/pip .home/.config
echo a > a; echo cached > .home/.cache/pip/x; echo config > .home/.config/x
printf 'b' > dir/b; : > nothing
printf odd > "$(printf 'new\nline')"; printf odd > "$(printf 'latin-\351')"; printf odd > ' '
printf long > "$(printf 'n%.0s' $(seq 200))"
ln -s /usr/bin/env absolute; ln -s ../../.. up; ln -s nowhere dangling; ln -s "$(printf 't%.0s' $(seq 300))" long
ln a dir/hard; ln dir/b hard-b
truncate -s 1G sparse; printf middle | dd of=sparse bs=1 seek=500000000 conv=notrunc status=none
head -c 5000000 /dev/urandom > random
mkfifo fifo
mkdir -p locked/in; echo x > locked/in/x; ln locked/in/x z-linked; chmod 0 locked/in; chmod 0 locked
chmod 4750 a; chmod 000 dir/b; chmod 1777 empty; chmod 0311 dir/deep; chmod 0555 dir
touch -h -d '1999-12-31 23:59:59.123456789' absolute a
touch -d '1965-01-01 00:00:00.5' nothing; touch -d '2031-01-01 00:00:00.000000001' empty/dir
"#;

/// One line per entry, with the hash of each file; reads past all modes.
fn everything(instance: &Instance) -> String {
    let found = "cd /workspace && find . -path ./.casemate -prune -o -path ./.home/.cache -prune -o ! -type p \
        -printf '%P|%y|%m|%s|%T@|%l\\0' | sort -z | tr '\\0' '\\n'; find . -type f ! -path './.casemate/*' \
        ! -path './.home/.cache/*' -print0 | sort -z | xargs -0 sha256sum; find . -type f -links +1 | sort; \
        stat -c '%Y %a' .";
    let container = instance.container();
    let listed = docker::beside(&container, found);
    // A directory's size is the file system's own.
    let lines = listed
        .lines()
        .map(|line| match line.split('|').collect::<Vec<_>>()[..] {
            [path, "d", mode, _, time, _] => format!("{path}|d|{mode}|{time}"),
            _ => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Starts the user's container with a command that writes nothing.
fn wake(instance: &Instance) {
    assert_eq!(exec(instance, "true"), "");
}

fn make(instance: &Instance, target: &Directory) -> String {
    exec(instance, FILL);
    let everything = everything(instance);
    let told = done(instance, &["backup", "alice", "--to", target.text()]);
    assert!(told.starts_with("backed up alice: "), "{told}");
    assert!(told.contains("processes were stopped"), "{told}");
    let made = backups(target);
    assert_eq!(made.len(), 1);
    assert_eq!(objects(&made[0]), COMPLETE);
    everything
}

#[test]
fn after_all_is_lost_a_restore_brings_back_every_byte_mode_and_time() {
    let (instance, target) = (Instance::new(), target());
    let before = make(&instance, &target);
    assert!(before.contains("sparse|f|644|1073741824|"), "{before}");
    let whole = done(
        &instance,
        &["backup", "verify", "alice", "--from", target.text()],
    );
    assert!(whole.starts_with("whole: alice "), "{whole}");
    done(&instance, &["rm", "alice", "--volume", "--force"]);
    assert!(instance.volumes().is_empty());
    let told = done(&instance, &["restore", "alice", "--from", target.text()]);
    assert!(
        told.starts_with("restored \"alice\" of \"local\" from "),
        "{told}"
    );
    wake(&instance);
    assert_eq!(everything(&instance), before);
    let used = docker::beside(&instance.container(), "du -sk /workspace/sparse | cut -f1");
    let used: u64 = used.parse().expect("a number");
    assert!(used < 1024, "{used} KiB of a hole");
    assert_eq!(instance.volumes().len(), 1);
}

#[test]
fn a_restore_replaces_the_workspace_and_can_use_an_older_backup() {
    let (instance, target) = (Instance::new(), target());
    let from = ["--from", target.text()];
    exec(&instance, "echo first > file; echo gone > only-first");
    done(&instance, &["backup", "alice", "--to", target.text()]);
    exec(
        &instance,
        "echo second > file; rm only-first; echo new > only-second",
    );
    done(&instance, &["backup", "alice", "--to", target.text()]);
    exec(&instance, "echo third > file");
    done(&instance, &[&["restore", "alice"], &from[..]].concat());
    let listed = exec(&instance, "cat file; ls");
    assert_eq!(listed, "second\nfile\nonly-second\n");
    let first = backups(&target)[0]
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    done(
        &instance,
        &[&["restore", "alice", "--id", &first], &from[..]].concat(),
    );
    assert_eq!(exec(&instance, "cat file; ls"), "first\nfile\nonly-first\n");
    assert_eq!(instance.volumes().len(), 1, "old workspaces are left");
}

#[test]
fn all_users_are_backed_up_even_idle_ones_and_files_are_never_mixed() {
    let (instance, target) = (Instance::new(), target());
    for user in ["alice", "a/b", "a_b"] {
        let write = format!("echo {user} > file");
        done(&instance, &["exec", user, "--create", "--", &write]);
    }
    done(&instance, &["rm", "a/b"]);
    let told = done(
        &instance,
        &["backup", "--all", "--json", "--to", target.text()],
    );
    let manifests: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let users: Vec<_> = manifests
        .as_array()
        .expect("an array")
        .iter()
        .map(|it| &it["user"])
        .collect();
    assert_eq!(users, ["a/b", "a_b", "alice"]);
    assert_eq!(manifests[0]["consistency"], "stopped");
    // The helper containers are gone again.
    assert_eq!(instance.containers().len(), 2);
    for user in ["alice", "a/b", "a_b"] {
        done(&instance, &["exec", user, "--", "rm file"]);
        done(&instance, &["restore", user, "--from", target.text()]);
        assert_eq!(
            done(&instance, &["exec", user, "--", "cat file"]),
            format!("{user}\n")
        );
    }
}

#[test]
fn an_ephemeral_users_files_are_backed_up_and_restored_too() {
    let (instance, target) = (Instance::new(), target());
    let ephemeral = ["--mode", "ephemeral"];
    let exec = |command: &str| {
        done(
            &instance,
            &[
                &["exec", "alice", "--create"],
                &ephemeral[..],
                &["--", command],
            ]
            .concat(),
        )
    };
    exec("echo first > file");
    done(
        &instance,
        &[&["backup", "alice", "--to", target.text()], &ephemeral[..]].concat(),
    );
    exec("echo second > file");
    done(
        &instance,
        &[
            &["restore", "alice", "--from", target.text()],
            &ephemeral[..],
        ]
        .concat(),
    );
    assert_eq!(exec("cat file"), "first\n");
}
