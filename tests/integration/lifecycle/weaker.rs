//! Containers with the right labels and weaker isolation.

use super::{SOON, copied, result, start};
use crate::harness::{TestServer, docker, eventually};

#[tokio::test]
async fn a_container_of_ours_that_is_weaker_is_never_used() {
    let server = TestServer::new().start().await;
    server.shell("echo kept > file").await;
    let (name, options) = copied(&server.instance.container());
    let inspected = docker::inspect("container", &name);
    let entrypoint = inspected["Config"]["Entrypoint"]
        .as_array()
        .expect("an entrypoint");
    let entrypoint: Vec<&str> = entrypoint
        .iter()
        .map(|part| part.as_str().expect("text"))
        .collect();
    let image = inspected["Image"].as_str().expect("an image");
    let volume = format!("--volume={name}:/workspace");
    let uid = server.instance.uid();
    let user = format!("--user={uid}:{uid}");
    for weaker in [
        &[user.as_str()][..],
        &[&user, "--cap-drop=ALL"],
        &["--cap-drop=ALL"],
    ] {
        docker::output(&["rm", "--force", &name]);
        let run = [
            "run",
            "--detach",
            "--rm",
            "--network=none",
            &volume,
            "--entrypoint",
            entrypoint[0],
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let found = docker::output(&[&run, weaker, &options, &[image], &entrypoint[1..]].concat());
        let result = server
            .shell("cat file; grep -E '^(CapBnd|NoNewPrivs|Uid)' /proc/self/status")
            .await;
        let ids = [&*uid; 4].join("\t");
        let seen = format!("kept\nUid:\t{ids}\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n");
        assert_eq!(result.stdout(), seen, "{weaker:?}: {}", result.0);
        assert_ne!(server.instance.container(), found, "{weaker:?}");
    }
}

#[tokio::test]
async fn a_busy_container_that_was_made_weaker_is_left_alone_and_not_used() {
    let server = TestServer::new().start().await;
    let running = start(&server, "until [ -e go ]; do sleep 0.1; done; echo end").await;
    let container = server.instance.container();
    docker::output(&["update", "--pids-limit", "-1", &container]);
    let strict = TestServer::on(&server.instance).start().await;
    let result = strict.shell("touch used").await;
    assert!(result.is_error(), "{}", result.0);
    assert_eq!(result.code(), "sandbox_unavailable", "{}", result.text());
    assert!(result.text().contains("PidsLimit"), "{}", result.text());
    // The server must not end the command. After its end a new container is made.
    server.write("go", "").await;
    assert_eq!(self::result(running).await.stdout(), "end\n");
    eventually("a new container", SOON, async || {
        !strict.shell("ls -A used").await.is_error()
    })
    .await;
    assert_eq!(strict.shell("ls -A used 2> /dev/null").await.stdout(), "");
    assert_ne!(server.instance.container(), container);
}
