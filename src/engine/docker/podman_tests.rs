use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::engine::testing::{TempDir, false_engine, ok};

#[test]
fn a_name_without_a_registry_is_local_first() {
    for short in ["casemate-tools:latest", "casemate-tools", "team/image:1"] {
        assert!(is_short(short), "{short}");
    }
    for full in [
        "sha256:a340c41cfb38",
        "localhost/casemate-tools",
        "registry.example.com/image",
        "registry:5000/image",
    ] {
        assert!(!is_short(full), "{full}");
    }
    assert_eq!(without_host(&local_name("a:1")), "a:1");
}

#[test]
fn a_tmpfs_is_asked_for_in_words_that_podman_takes() {
    let mut tmpfs = HashMap::from([
        ("/tmp".to_owned(), "rw,size=128m,nr_inodes=16k".to_owned()),
        ("/run".to_owned(), "rw,size=16m".to_owned()),
    ]);
    adapt_tmpfs(&mut tmpfs);
    assert_eq!(tmpfs["/tmp"], "rw,size=128m,notmpcopyup");
    // A VOLUME of the image stays as every other one.
    assert_eq!(tmpfs["/run"], "rw,size=16m,notmpcopyup");
    assert_eq!(tmpfs["/var/tmp"], COVERED_OPTIONS);
}

#[test]
fn a_volume_has_its_owner_and_its_size_in_one_option() {
    let with = |docker: &[(&str, &str)]| {
        let docker = docker
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let run_as = RunAs::with_uid(65_536).expect("a user");
        volume_options(&docker.collect(), run_as)
    };
    let options = |text: &str| BTreeMap::from([("o".to_owned(), text.to_owned())]);
    assert_eq!(with(&[]), options("uid=65536,gid=65536,nocopy"));
    assert_eq!(
        with(&[("size", "5")]),
        options("uid=65536,gid=65536,nocopy,size=5")
    );
}

#[test]
fn podmans_refusals_have_dockers_statuses() {
    for (message, status) in [
        (
            "container create: creating container storage: the container name \"a\" is already in use by 1",
            409,
        ),
        (
            "renaming container a: UNIQUE constraint failed: ContainerConfig.Name",
            409,
        ),
        (
            "can only create exec sessions on running containers: container state improper",
            409,
        ),
        (
            "no container with ID a found in database: no such container",
            404,
        ),
        ("mkdir /var/lib: permission denied", 500),
    ] {
        let refused = EngineError::refused("create", 500, message);
        assert_eq!(refused.status(), Some(status), "{message}");
        let other = EngineError::refused("create", 400, message);
        assert_eq!(other.status(), Some(400), "{message}");
    }
}

/// Podman looks for the volume, finds none, and then fails to make it.
#[tokio::test]
async fn a_volume_that_another_server_makes_at_the_same_moment_is_found() {
    let dir = TempDir::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let (engine, serve) = false_engine(&dir, move |request| {
        if !request.contains("/volumes/create") {
            return Some(ok(r#"{"ApiVersion":"1.41","Version":"5.8.6"}"#));
        }
        let refusal = r#"{"message":"volume with name v already exists: volume already exists"}"#;
        let volume = r#"{"Name":"v","Driver":"local","Mountpoint":"/v","Labels":{"l":"theirs"},"Scope":"local","Options":{}}"#;
        Some(match counted.fetch_add(1, Ordering::Relaxed) {
            0 => ok(refusal).replace("200 OK", "500 Internal Server Error"),
            _ => ok(volume),
        })
    });
    let server = tokio::spawn(serve);
    tokio::task::yield_now().await;
    let request = VolumeCreateRequest {
        name: Some("v".to_owned()),
        ..VolumeCreateRequest::default()
    };
    let found = engine.create_volume(request).await.expect("a volume");
    assert_eq!(found.labels["l"], "theirs");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    server.abort();
}
