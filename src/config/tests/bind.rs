//! Bind mode and its directory: one needs the other.

use super::*;

fn bound(flags: &[&str], file: &str) -> Result<Option<Bind>, ConfigError> {
    let file = TempFile::new("bind", file);
    Ok(load(&[&["--config", file.path()], flags].concat(), &[])?.bind)
}

const ALICE: &str = "[[users]]\nuser = \"alice\"\nmode = \"bind\"\n";

#[test]
fn somebody_in_bind_mode_and_one_directory_go_together() {
    let root = Some(Bind::Root("/srv".parse().unwrap()));
    let dir = Some(Bind::Dir("/srv".parse().unwrap()));
    for (flags, file, bind) in [
        (
            &["--mode", "bind", "--bind-root", "/srv/"][..],
            "",
            root.clone(),
        ),
        (&["--mode", "bind", "--bind-dir", "/srv"], "", dir.clone()),
        (&["--bind-root", "/srv"], ALICE, root.clone()),
        (&["--mode", "ephemeral", "--bind-dir", "/srv"], ALICE, dir),
        (&[], &format!("bind_root = \"/srv\"\n{ALICE}"), root),
        (&["--mode", "ephemeral"], "", None),
        // The mode that lost does not count.
        (&["--mode", "persistent"], "mode = \"bind\"", None),
    ] {
        assert_eq!(bound(flags, file).unwrap(), bind, "{flags:?} {file:?}");
    }
}

#[test]
fn one_without_the_other_and_two_directories_are_errors_that_say_so() {
    let (root, dir) = (["--bind-root", "/srv"], ["--bind-dir", "/srv"]);
    for (flags, file, message) in [
        (
            &["--mode", "bind"][..],
            "",
            "flag --mode: mode bind needs bind_root or bind_dir, a directory of the host",
        ),
        (&[], ALICE, ": mode bind needs bind_root or bind_dir"),
        (&root, "", "flag --bind-root: no user is in mode bind"),
        (
            &dir,
            "mode = \"ephemeral\"",
            "flag --bind-dir: no user is in mode bind",
        ),
        (
            &[&root[..], &dir, &["--mode", "bind"]].concat(),
            "",
            "flag --bind-dir: bind_root is given too (flag --bind-root); only one of them may be",
        ),
        (&[&root[..], &dir].concat(), "", "only one of them may be"),
    ] {
        let error = bound(flags, file).unwrap_err().to_string();
        assert!(error.contains(message), "{flags:?} {file:?}: {error}");
    }
    let error = bound(&[], ALICE).unwrap_err().to_string();
    assert!(error.starts_with("key mode in line 3 of "), "{error}");
}

#[test]
fn a_directory_that_is_no_good_is_named() {
    for dir in ["srv", "/", "/srv/../etc"] {
        let error = refused(&["--mode", "bind", "--bind-dir", dir], &[]);
        let start = format!("flag --bind-dir: {dir:?} is not allowed: a directory of the host is");
        assert!(error.starts_with(&start), "{error}");
    }
}
