use casemate_protocol::{INIT_PATH, WORKSPACE};

use super::*;
use crate::engine::Workspace;
use crate::engine::docker::testing::spec;

/// Shared data whose newest version has a hash of this digit.
fn share(name: &str, path: &str, digit: &str) -> SharedMount {
    let volume = crate::engine::version_volume("test", name, &digit.repeat(64));
    SharedMount {
        name: name.to_owned(),
        path: path.to_owned(),
        volume: Some(volume),
    }
}

#[test]
fn the_hash_does_not_change_with_the_version_of_shared_data() {
    let with = |share: SharedMount| ContainerSpec {
        shared: vec![share],
        ..spec()
    };
    let (first, second) = (share("a", "/shared/a", "1"), share("a", "/shared/a", "2"));
    let none = SharedMount {
        volume: None,
        ..first.clone()
    };
    let mounts = |spec: &ContainerSpec| spec.body().host_config.unwrap().mounts.unwrap();
    let (first, second, none) = (with(first), with(second), with(none));
    assert_eq!(first.hash(), second.hash());
    assert_eq!(first.hash(), none.hash());
    assert_ne!(mounts(&first), mounts(&second));
    assert_eq!(mounts(&none).len(), 1);
}

#[test]
fn shared_data_at_a_volume_of_the_image_takes_its_place() {
    let tmpfs = |share: SharedMount| {
        let spec = ContainerSpec {
            shared: vec![share],
            ..spec()
        };
        spec.body().host_config.unwrap().tmpfs.unwrap()
    };
    let mounted = share("a", "/covered", "1");
    assert!(!tmpfs(mounted.clone()).contains_key("/covered"));
    let absent = SharedMount {
        volume: None,
        ..mounted
    };
    assert!(tmpfs(absent).contains_key("/covered"));
}

#[test]
fn the_hash_changes_with_all_that_matters() {
    let changes: &[fn(&mut ContainerSpec)] = &[
        |spec| spec.image.base_id = "sha256:other".to_owned(),
        |spec| spec.image.files_digest = "other".to_owned(),
        |spec| spec.image.env.push("A=b".to_owned()),
        |spec| spec.image.volumes.clear(),
        |spec| spec.run_as = RunAs::new(501, 20).unwrap(),
        |spec| spec.init_args.push("--other".to_owned()),
        |spec| spec.workspace = Workspace::Bind("/srv/a".to_owned()),
        |spec| spec.limits.memory += 1,
        |spec| spec.limits.nano_cpus += 1,
        |spec| spec.limits.pids += 1,
        |spec| spec.limits.file_size += 1,
        |spec| spec.runtime = "runsc".to_owned(),
        |spec| spec.separate_init = true,
        |spec| spec.apparmor = true,
        |spec| spec.swap_limit = false,
        |spec| spec.shared = vec![share("a", "/shared/a", "1")],
        |spec| spec.shared = vec![share("b", "/shared/a", "1")],
        |spec| spec.shared = vec![share("a", "/shared/b", "1")],
    ];
    let mut hashes = vec![spec().hash()];
    for change in changes {
        let mut changed = spec();
        change(&mut changed);
        hashes.push(changed.hash());
    }
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn the_hash_does_not_change_with_who_made_it() {
    let mut other = spec();
    other.labels.version = "9.0.0".to_owned();
    other.labels.since = "2030-01-01T00:00:00Z".to_owned();
    other.image.id = "sha256:prepared-again".to_owned();
    assert_eq!(other.hash(), spec().hash());
    assert_eq!(spec().hash().len(), HASH_DIGITS);
}

#[test]
fn the_order_of_a_map_does_not_change_the_hash() {
    let with = |volumes: &[&str]| {
        let mut spec = spec();
        spec.image.volumes = volumes.iter().map(|&path| path.to_owned()).collect();
        spec.hash()
    };
    let one = with(&["/a", "/b", "/c", "/d"]);
    for _ in 0..20 {
        assert_eq!(with(&["/d", "/c", "/b", "/a"]), one);
    }
}

#[test]
fn pid_1_is_told_the_hash_that_the_label_has() {
    let body = spec().body();
    let entrypoint = body.entrypoint.unwrap();
    assert_eq!(
        entrypoint[..3],
        [INIT_PATH, "pid1", "--idle-timeout-ms=900000"]
    );
    assert_eq!(entrypoint[3], format!("--spec={}", spec().hash()));
    assert_eq!(body.labels.unwrap()[labels::SPEC], spec().hash());
}

#[test]
fn nobody_runs_as_root() {
    assert_eq!(RunAs::new(0, 1000), None);
    assert_eq!(RunAs::new(1000, 0), None);
    assert_eq!(RunAs::new(1000, 1000), Some(RunAs::DEFAULT));
}

#[test]
fn a_directory_of_the_host_is_the_only_mount() {
    let mut bind = spec();
    bind.workspace = Workspace::Bind("/srv/a".to_owned());
    let mounts = bind.body().host_config.unwrap().mounts.unwrap();
    let [mount] = mounts.as_slice() else {
        panic!("{mounts:?}")
    };
    assert_eq!(mount.source.as_deref(), Some("/srv/a"));
    assert_eq!(mount.target.as_deref(), Some(WORKSPACE));
}

#[test]
fn paths_are_masked_by_the_engine_s_own_list() {
    let host = spec().body().host_config.unwrap();
    assert_eq!((host.masked_paths, host.readonly_paths), (None, None));
}

#[test]
fn a_kernel_that_cannot_limit_swap_is_not_asked_to() {
    let mut spec = spec();
    assert_eq!(
        spec.body().host_config.unwrap().memory_swap,
        Some(512 << 20)
    );
    spec.swap_limit = false;
    assert_eq!(spec.body().host_config.unwrap().memory_swap, Some(-1));
}

#[test]
fn a_separate_pid_1_begins_as_root_with_three_capabilities_and_is_told_its_user() {
    let spec = ContainerSpec {
        separate_init: true,
        runtime: "runsc".to_owned(),
        ..spec()
    };
    let body = spec.unlabelled();
    assert_eq!(body.user.as_deref(), Some("0:0"));
    let entrypoint = body.entrypoint.expect("one");
    let arguments = ["--user=1000:1000", "--processes=256"].map(str::to_owned);
    assert!(arguments.iter().all(|it| entrypoint.contains(it)));
    let host = body.host_config.expect("one");
    let added = host.cap_add.expect("some");
    assert_eq!(added, ["CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"]);
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.runtime.as_deref(), Some("runsc"));
    // The host's threads of 256 processes.
    assert_eq!(host.pids_limit, Some(1024 + 8 * 256));
}
