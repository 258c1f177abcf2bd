//! `[[shared]]`, and who is given what.

use std::collections::BTreeSet;

use super::*;
use crate::identity::Identity;

const TABLES: &str = "[[shared]]\nname = \"datasets\"\npath = \"/shared/datasets\"\n\
                      [[shared]]\nname = \"models\"\npath = \"/opt/models\"\n";

fn error(name: &str, content: &str) -> String {
    let file = TempFile::new(name, content);
    let error = load(&["--config", file.path()], &[]).unwrap_err();
    error.to_string().replace(&format!("{:?}", file.0), "FILE")
}

/// The names that a user of this group is given.
fn given(config: &Config, user: &str, group: Option<&str>) -> Vec<String> {
    let identity = Identity {
        user: local(user),
        group: group.map(|name| name.parse().unwrap()),
        workspace: None,
    };
    let settings = config.for_identity(&identity);
    let given = config.shared.given(&settings.shared);
    given.map(|data| data.name.to_string()).collect()
}

#[test]
fn the_user_goes_before_the_group_and_the_group_before_everybody() {
    let content = format!(
        "shared_data = \"models\"\n{TABLES}\
         [[groups]]\nname = \"analysts\"\nusers = [\"ada\", \"bob\"]\nshared = [\"datasets\", \"models\"]\n\
         [[users]]\nuser = \"bob\"\nshared = []\n\
         [[users]]\nuser = \"eve\"\nshared = [\"datasets\"]\n"
    );
    let file = TempFile::new("shared-order", &content);
    let config = load(&["--config", file.path()], &[]).unwrap();
    assert_eq!(
        given(&config, "ada", Some("analysts")),
        ["datasets", "models"]
    );
    assert!(given(&config, "bob", Some("analysts")).is_empty());
    assert_eq!(given(&config, "eve", None), ["datasets"]);
    assert_eq!(given(&config, "anybody", None), ["models"]);
    let flags = ["--config", file.path(), "--shared-data", "datasets, models"];
    let config = load(&flags, &[]).unwrap();
    assert_eq!(given(&config, "anybody", None), ["datasets", "models"]);
    assert_eq!(given(&config, "eve", None), ["datasets"]);

    let shown = config.in_force(&local("eve").into());
    let shown = shown.iter().find(|it| it.setting == Setting::SharedData);
    let shown = shown.unwrap();
    assert_eq!(shown.value.as_deref(), Some("datasets"));
    assert!(
        matches!(&shown.origin, Origin::Part(key, place) if key == "shared" && place.line == 17)
    );
}

#[test]
fn nothing_given_is_nothing_shared() {
    let config = load_file("shared-none", TABLES).unwrap();
    assert!(given(&config, "anybody", None).is_empty());
    assert_eq!(config.shared.iter().count(), 2);
    let probe = load_file(
        "shared-probe",
        &format!("shared_data = \"models\"\n{TABLES}"),
    );
    let probe = probe.unwrap().for_probe(None, Duration::from_secs(1));
    assert_eq!(
        probe.for_identity(&local("a").into()).shared,
        BTreeSet::new()
    );
}

#[test]
fn a_path_of_the_system_or_of_casemate_is_refused_and_others_are_not() {
    for path in [
        "/workspace",
        "/workspace/data",
        "/usr",
        "/usr/local/share/x",
        "/etc/x",
        "/proc/x",
        "/tmp",
        "/dev/shm/x",
        "/casemate-init",
        "/var/lib/x",
        "/",
        "shared",
        "/shared/",
        "/shared//x",
        "/shared/./x",
        "/shared/../etc",
        "/shared/a b",
        "/shared/é",
        "/shared/a:b",
        "",
    ] {
        assert!(path.parse::<SharedPath>().is_err(), "{path}");
    }
    assert!(
        format!("/{}", "a".repeat(255))
            .parse::<SharedPath>()
            .is_err()
    );
    for path in [
        "/shared",
        "/shared/a.b_c-d",
        "/workspaces",
        "/usr2",
        "/data",
        "/home/x",
        "/opt",
    ] {
        assert_eq!(path.parse::<SharedPath>().unwrap().as_str(), path);
    }
}

#[test]
fn a_name_is_lower_case_and_short() {
    for good in ["datasets", "0", "a_b-c", &"a".repeat(32)] {
        assert_eq!(good.parse::<SharedName>().unwrap().as_str(), good);
    }
    for bad in ["", "-a", "_a", "A", "a.b", "a/b", "é", &"a".repeat(33)] {
        assert!(bad.parse::<SharedName>().is_err(), "{bad}");
    }
}

#[test]
fn what_clashes_or_is_unknown_is_told_with_its_place() {
    let table = |name: &str, path: &str| format!("[[shared]]\nname = {name:?}\npath = {path:?}\n");
    let twice = table("a", "/shared/a") + &table("a", "/shared/b");
    let same = table("a", "/shared/a") + &table("b", "/shared/a");
    let within = table("a", "/shared/a/b") + &table("b", "/shared/a");
    for (content, message) in [
        (
            twice,
            "line 4 of FILE: a has a [[shared]] table already, in line 1",
        ),
        (
            same,
            "key path in line 6 of FILE: /shared/a is, holds or is within /shared/a, the path of a: \
             no share may be in another",
        ),
        (
            within,
            "key path in line 6 of FILE: /shared/a is, holds or is within /shared/a/b, the path of \
             a: no share may be in another",
        ),
        (
            "[[shared]]\nname = \"a\"".to_owned(),
            "line 1 of FILE: a [[shared]] table needs the keys name and path",
        ),
        (
            table("a", "/shared/a") + "pth = 1",
            "unknown key \"pth\" in line 4 of FILE; the nearest known one is path",
        ),
        (
            "shared = [\"a\"]".to_owned(),
            "line 1 of FILE: shared are [[shared]] tables, found string",
        ),
        (
            table("data", "/shared/a") + "[[users]]\nuser = \"x\"\nshared = [\"dta\"]",
            "key shared in line 6 of FILE: \"dta\" has no [[shared]] table; the nearest that has one is \
             data",
        ),
        (
            "shared_data = \"a\"".to_owned(),
            "key shared_data in line 1 of FILE: \"a\" has no [[shared]] table in the settings file, \
             which has none",
        ),
        (
            "[[users]]\nuser = \"x\"\nshared = \"a\"".to_owned(),
            "line 3 of FILE: shared is a list of names of [[shared]] tables, found string",
        ),
        (
            "[[users]]\nuser = \"x\"\nshared = [1]".to_owned(),
            "line 3 of FILE: shared is a list of names of [[shared]] tables, found array",
        ),
    ] {
        assert_eq!(error("shared-wrong", &content), message);
    }
}

#[test]
fn a_path_is_within_a_share_by_whole_names() {
    let path: SharedPath = "/shared/a".parse().unwrap();
    assert_eq!(path.strip("/shared/a"), Some(""));
    assert_eq!(path.strip("/shared/a/"), Some(""));
    assert_eq!(path.strip("/shared/a/b/c"), Some("b/c"));
    assert_eq!(path.strip("/shared/ab"), None);
    assert_eq!(path.strip("/shared"), None);
    assert_eq!(path.strip("shared/a"), None);
}
