use super::*;

fn config(volumes: &[&str]) -> ImageConfig {
    let volumes = volumes
        .iter()
        .map(|&path| (path.to_owned(), serde_json::json!({})))
        .collect();
    ImageConfig {
        volumes: Some(volumes),
        ..ImageConfig::default()
    }
}

#[test]
fn volumes_are_covered_but_where_something_of_ours_is() {
    let covered = usable(
        "linux",
        &config(&["/workspace/", "/tmp", "/data", "//data/./", "logs"]),
    );
    assert_eq!(covered, Ok(vec!["/data".to_owned(), "/logs".to_owned()]));
}

#[test]
fn a_volume_above_or_below_what_is_ours_is_refused_by_name() {
    for volume in [
        "/",
        "/workspace/data",
        "/tmp/cache",
        "/data/../workspace/a",
        "/casemate-init",
        "/proc/a",
        "/sys",
        "/dev/shm",
    ] {
        let reason = usable("linux", &config(&["/data", volume])).unwrap_err();
        assert!(
            reason.contains(&format!("VOLUME {volume} ")),
            "{volume}: {reason}"
        );
    }
    assert!(usable("linux", &config(&["/workspace-evil", "/tmpfs", "/devel"])).is_ok());
}

#[test]
fn what_is_not_linux_or_is_to_be_built_upon_is_refused() {
    assert!(
        usable("windows", &ImageConfig::default())
            .unwrap_err()
            .contains("windows")
    );
    assert!(usable("", &ImageConfig::default()).is_err());
    let on_build = Some(vec!["RUN make".to_owned()]);
    let config = ImageConfig {
        on_build,
        ..ImageConfig::default()
    };
    assert!(usable("linux", &config).unwrap_err().contains("ONBUILD"));
    let empty = ImageConfig {
        on_build: Some(Vec::new()),
        ..ImageConfig::default()
    };
    assert_eq!(usable("linux", &empty), Ok(Vec::new()));
}

#[test]
fn the_tag_changes_with_the_base_and_with_the_init() {
    assert_eq!(tag("a", "b").len(), TAG_DIGITS);
    assert_ne!(tag("a", "b"), tag("a", "c"));
    assert_ne!(tag("a", "b"), tag("c", "b"));
    assert_eq!(tag("a", "b"), tag("a", "b"));
}

#[test]
fn no_name_leads_to_another_path_of_the_api() {
    for bad in [
        "", "..", "a/../b", "a//b", "/a", "a?b", "a#b", "a b", "a%2e", "-a", "a/.",
    ] {
        assert!(path_of(bad).is_err(), "{bad}");
    }
    for good in [
        "debian:12",
        "localhost:5000/a/b@sha256:0",
        "[::1]:5000/a",
        "sha256:0",
    ] {
        assert_eq!(path_of(good).unwrap(), good);
    }
}
