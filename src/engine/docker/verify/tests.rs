pub(super) mod inspected;

use serde_json::json;

use super::mutations::mutations;
use super::*;
use crate::engine::docker::testing::spec;
use inspected::inspect;

fn differences(change: impl FnOnce(&mut Value)) -> Vec<Difference> {
    let body = spec().body();
    let mut stored = inspect(&body);
    change(&mut stored);
    compare(
        EngineKind::Docker,
        &body,
        &stored,
        &UnknownFields::default(),
    )
}

/// The kinds of the differences in `field`.
fn kinds(field: &str, change: impl FnOnce(&mut Value)) -> Vec<DifferenceKind> {
    let found = differences(change);
    found
        .into_iter()
        .filter(|found| found.field == field)
        .map(|found| found.kind)
        .collect()
}

#[test]
fn what_is_stored_as_asked_is_no_difference() {
    assert_eq!(differences(|_| {}), []);
}

#[test]
fn of_a_volumes_options_only_what_makes_another_is_the_same() {
    let field = "HostConfig.Mounts./workspace";
    let with = |change: fn(&mut Value)| {
        kinds(field, |stored| {
            change(&mut stored["HostConfig"]["Mounts"][0]["VolumeOptions"]);
        })
    };
    assert_eq!(with(|options| options["Labels"] = json!({"a": "b"})), []);
    assert_eq!(with(|options| *options = json!({"NoCopy": true})), []);
    assert_eq!(
        with(|options| options["DriverConfig"]["Options"] = json!({"size": "5"})),
        []
    );
    let device = json!({"size": "5", "type": "none", "o": "bind", "device": "/"});
    let hard = [DifferenceKind::Hardening];
    // The Engine would put the image's owner on it when it is empty.
    assert_eq!(with(|options| *options = Value::Null), hard);
    assert_eq!(with(|options| options["NoCopy"] = json!(false)), hard);
    assert_eq!(
        kinds(field, |stored| {
            let options = &mut stored["HostConfig"]["Mounts"][0]["VolumeOptions"];
            options["DriverConfig"]["Options"] = device;
        }),
        hard
    );
    assert_eq!(
        with(|options| options["DriverConfig"]["Name"] = json!("other")),
        hard
    );
    assert_eq!(with(|options| options["Subpath"] = json!("..")), hard);
}

#[test]
fn every_hardening_taken_away_is_noticed_by_its_name() {
    let wanted = spec().body();
    for (field, weaken) in mutations() {
        let mut weakened = wanted.clone();
        weaken(&mut weakened);
        let found = compare(
            EngineKind::Docker,
            &wanted,
            &inspect(&weakened),
            &UnknownFields::default(),
        );
        assert!(
            found
                .iter()
                .any(|found| found.field == field && found.kind == DifferenceKind::Hardening),
            "{field} was not noticed: {found:?}"
        );
    }
}

#[test]
fn another_limit_is_a_limit_and_none_is_a_hardening() {
    let host = |field: &'static str, value: Value| {
        kinds(&format!("HostConfig.{field}"), move |stored| {
            stored["HostConfig"][field] = value
        })
    };
    for field in ["Memory", "NanoCpus", "PidsLimit"] {
        assert_eq!(host(field, json!(1)), [DifferenceKind::Limit], "{field}");
        for none in [json!(0), json!(-1), Value::Null] {
            assert_eq!(host(field, none), [DifferenceKind::Hardening], "{field}");
        }
    }
    assert_eq!(host("ShmSize", json!(1)), [DifferenceKind::Limit]);
}

#[test]
fn swap_is_a_limit_only_together_with_memory() {
    let both = |memory: i64, swap: i64| {
        kinds("HostConfig.MemorySwap", move |stored| {
            stored["HostConfig"]["Memory"] = json!(memory);
            stored["HostConfig"]["MemorySwap"] = json!(swap);
        })
    };
    assert_eq!(both(1 << 30, 1 << 30), [DifferenceKind::Limit]);
    assert_eq!(both(512 << 20, 1 << 30), [DifferenceKind::Hardening]);
    assert_eq!(both(512 << 20, -1), [DifferenceKind::Hardening]);
}

#[test]
fn another_version_or_user_is_an_identity() {
    for (pointer, field) in [
        ("/Image", "Image"),
        ("/Config/Hostname", "Config.Hostname"),
        (
            "/Config/Labels/io.casemate.user",
            "Config.Labels.io.casemate.user",
        ),
        ("/Config/Entrypoint/2", "Config.Entrypoint.args"),
        ("/Config/Env/0", "Config.Env"),
    ] {
        let found = kinds(field, |stored| {
            *stored.pointer_mut(pointer).unwrap() = json!("other")
        });
        assert_eq!(found, [DifferenceKind::Identity], "{field}");
    }
}

#[test]
fn labels_of_the_image_and_of_another_server_s_start_are_no_difference() {
    assert_eq!(
        differences(|stored| {
            let labels = &mut stored["Config"]["Labels"];
            labels["maintainer"] = json!("somebody");
            labels["io.casemate.version"] = json!("9.9.9");
            labels["io.casemate.since"] = json!("2030-01-01T00:00:00Z");
        }),
        []
    );
}

#[test]
fn a_network_joined_later_is_noticed() {
    let found = kinds("NetworkSettings.Networks", |stored| {
        stored["NetworkSettings"]["Networks"] = json!({ "bridge": {} });
    });
    assert_eq!(found, [DifferenceKind::Hardening]);
}

#[test]
fn a_running_container_that_apparmor_does_not_confine_is_noticed() {
    let found = kinds("AppArmorProfile", |stored| {
        stored["AppArmorProfile"] = json!("unconfined")
    });
    assert_eq!(found, [DifferenceKind::Hardening]);
}

#[test]
fn the_same_said_otherwise_is_no_difference() {
    assert_eq!(
        differences(|stored| {
            let host = &mut stored["HostConfig"];
            host["SecurityOpt"][0] = json!("no-new-privileges");
            host["SecurityOpt"].as_array_mut().unwrap().reverse();
            host["Ulimits"].as_array_mut().unwrap().reverse();
            let tmp = "mode=1777,nr_inodes=16k,size=128m,exec,nodev,nosuid,rw";
            host["Tmpfs"]["/tmp"] = json!(tmp);
            host["PidMode"] = Value::Null;
            host["CapAdd"] = json!([]);
            stored["Config"]["Env"].as_array_mut().unwrap().reverse();
        }),
        []
    );
}

#[test]
fn a_stricter_seccomp_profile_is_an_identity() {
    let found = kinds("HostConfig.SecurityOpt.seccomp", |stored| {
        let option = &mut stored["HostConfig"]["SecurityOpt"][1];
        let text = option.as_str().unwrap().replacen(r#""accept", "#, "", 1);
        assert_ne!(option.as_str(), Some(text.as_str()));
        *option = json!(text);
    });
    assert_eq!(found, [DifferenceKind::Identity]);
}

#[test]
fn an_unknown_field_weakens_unless_the_engine_fills_it_in_by_itself() {
    let add = |stored: &mut Value| {
        stored["HostConfig"]["HostFilesystem"] = json!("all");
        stored["Config"]["Nothing"] = json!([]);
    };
    let found = differences(add);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].field.as_str(), found[0].kind),
        ("HostConfig.HostFilesystem", DifferenceKind::Hardening)
    );

    let body = spec().body();
    let mut fresh = inspect(&body);
    add(&mut fresh);
    let mut unknown = UnknownFields::default();
    unknown.learn(&fresh);
    assert_eq!(compare(EngineKind::Docker, &body, &fresh, &unknown), []);
    fresh["HostConfig"]["HostFilesystem"] = json!("more");
    assert_eq!(
        compare(EngineKind::Docker, &body, &fresh, &unknown).len(),
        1
    );
}

#[test]
fn a_difference_shows_little_of_a_long_value() {
    let found = differences(|stored| stored["HostConfig"]["SecurityOpt"] = Value::Null);
    let seccomp = found
        .iter()
        .find(|found| found.field.ends_with("seccomp"))
        .unwrap();
    assert!(seccomp.wanted.chars().count() <= SHOWN_CHARS_LIMIT + 1);
    assert_eq!(seccomp.stored, "null");
}
