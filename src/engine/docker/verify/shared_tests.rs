//! Shared data: which versions are as wanted.

use super::tests::inspected::inspect;
use super::*;
use crate::engine::docker::testing::spec;
use crate::engine::{ContainerSpec, SharedMount};

/// A specification with shared data whose hash has this digit.
fn sharing(digit: &str) -> ContainerSpec {
    let volume = crate::engine::version_volume("test", "a", &digit.repeat(64));
    ContainerSpec {
        shared: vec![SharedMount {
            name: "a".to_owned(),
            path: "/shared/a".to_owned(),
            volume: Some(volume),
        }],
        ..spec()
    }
}

fn between(wanted: &ContainerSpec, stored: &Value) -> Vec<(String, DifferenceKind)> {
    let found = compare(
        EngineKind::Docker,
        &wanted.body(),
        stored,
        &UnknownFields::default(),
    );
    found.into_iter().map(|it| (it.field, it.kind)).collect()
}

#[test]
fn another_version_of_shared_data_and_the_first_one_are_no_difference() {
    let old = inspect(&sharing("1").body());
    assert_eq!(between(&sharing("1"), &old), []);
    assert_eq!(between(&sharing("2"), &old), []);
    let mut before = sharing("1");
    before.shared[0].volume = None;
    assert_eq!(between(&sharing("1"), &inspect(&before.body())), []);
}

/// A head was lost: the share has no newest version, and containers have what they had.
#[test]
fn where_no_version_counts_the_mounted_one_is_no_difference_and_must_still_be_read_only() {
    let mut without = sharing("1");
    without.shared[0].volume = None;
    let stored = inspect(&sharing("1").body());
    assert_eq!(between(&without.with_versions_of(&stored), &stored), []);
    let mut body = sharing("1").body();
    body.host_config.as_mut().unwrap().mounts.as_mut().unwrap()[1].read_only = None;
    let mut others = vec![inspect(&body)];
    for other in [
        crate::engine::version_volume("test", "b", &"1".repeat(64)),
        crate::engine::version_volume("other", "a", &"1".repeat(64)),
        "casemate-test-eve-111111111111".to_owned(),
        crate::engine::head_volume("test", "a", 1),
    ] {
        let mut wrong = sharing("1");
        wrong.shared[0].volume = Some(other);
        others.push(inspect(&wrong.body()));
    }
    for other in others {
        let found = between(&without.with_versions_of(&other), &other);
        assert!(!found.is_empty(), "{other}");
    }
}

#[test]
fn shared_data_that_is_not_wanted_is_other_data_or_can_be_written_weakens() {
    let kinds = |wanted: &ContainerSpec, stored: &Value| -> Vec<String> {
        let found = between(wanted, stored).into_iter();
        let weaker = found.filter(|(_, kind)| *kind == DifferenceKind::Hardening);
        weaker.map(|(field, _)| field).collect()
    };
    let fields = ["HostConfig.Mounts./shared/a", "Mounts./shared/a"];
    let stored = inspect(&sharing("1").body());
    assert_eq!(kinds(&spec(), &stored), fields);
    let mut other = sharing("1");
    other.shared[0].name = "b".to_owned();
    other.shared[0].volume = Some(crate::engine::version_volume("test", "b", &"1".repeat(64)));
    assert_eq!(kinds(&other, &stored), fields);
    let mut body = sharing("1").body();
    body.host_config.as_mut().unwrap().mounts.as_mut().unwrap()[1].read_only = None;
    assert_eq!(kinds(&sharing("1"), &inspect(&body)), fields);
}
