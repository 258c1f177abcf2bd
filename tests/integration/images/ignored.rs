//! Parts of an image that a sandbox ignores, or uses with limits.

use std::collections::BTreeSet;
use std::time::Duration;

use super::output;
use crate::harness::docker::{self, Image};
use crate::harness::{TOOLS_IMAGE, TestServer, eventually};

/// Anonymous volumes: their names are 64 hex digits.
fn anonymous_volumes() -> BTreeSet<String> {
    let is_anonymous =
        |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    docker::lines(&["volume", "ls", "--quiet"])
        .into_iter()
        .filter(is_anonymous)
        .collect()
}

#[tokio::test]
async fn without_bash_sh_runs_with_the_images_path_and_environment() {
    let image = Image::from_tools(
        "rm /bin/bash /bin/rbash; mkdir -p /opt/x/bin; \
         printf '#!/bin/sh\\necho found\\n' > /opt/x/bin/only-here; chmod 755 /opt/x/bin/only-here; \
         echo node:x:1000:1000::/home/node:/bin/sh >> /etc/passwd; echo node:x:1000: >> /etc/group",
        &[
            "ENV PATH=/opt/x/bin:/usr/bin:/bin",
            "ENV GREETING=\"hello world\"",
            "ENV HOME=/home/node",
        ],
    );
    let server = TestServer::new().image(image.name()).start().await;
    assert_eq!(
        output(&server, "echo \"$0 [$BASH_VERSION]\"").await,
        "sh []"
    );
    assert_eq!(server.shell("exec bash").await.exit_code(), 127);
    assert_eq!(
        output(&server, "only-here; echo $PATH").await,
        "found\n/workspace/.home/.local/bin:/opt/x/bin:/usr/bin:/bin"
    );
    assert_eq!(
        output(&server, "echo $GREETING; echo $HOME").await,
        "hello world\n/workspace/.home"
    );
    // Programs that the user installs there come first.
    let own = "mkdir -p ~/.local/bin && printf '#!/bin/sh\\necho mine\\n' > ~/.local/bin/only-here && chmod +x ~/.local/bin/only-here";
    output(&server, own).await;
    assert_eq!(output(&server, "only-here").await, "mine");
    let long = format!("echo long # {}", "x".repeat(200_000));
    assert_eq!(output(&server, &long).await, "long");
}

#[tokio::test]
async fn every_volume_of_an_image_is_bounded_memory_and_none_is_anonymous() {
    let image = Image::from_tools(
        "mkdir -p /data /var/lib/database; echo of the image > /data/file; chmod 755 /tmp",
        &[
            "VOLUME /data",
            "VOLUME [\"/var/lib/database/\"]",
            "VOLUME /workspace",
            "VOLUME /tmp",
        ],
    );
    let before = anonymous_volumes();
    let server = TestServer::new().image(image.name()).start().await;
    for volume in ["/data", "/var/lib/database"] {
        let mount = output(
            &server,
            &format!("findmnt --noheadings --output FSTYPE,OPTIONS {volume}"),
        )
        .await;
        assert!(mount.starts_with("tmpfs "), "{mount}");
        // gVisor has no devices that a file could be.
        let no_devices = (!docker::on_gvisor()).then_some("nodev");
        for option in ["nosuid", "size=16384k"].into_iter().chain(no_devices) {
            assert!(mount.contains(option), "{mount}");
        }
        // With any mode and owner of the image's directory.
        let write = format!("echo new > {volume}/new; cat {volume}/new");
        assert_eq!(output(&server, &write).await, "new");
        let flood = server
            .shell(&format!("head -c 64M /dev/zero > {volume}/flood"))
            .await;
        assert!(
            flood.stderr().contains("No space left on device"),
            "{}",
            flood.0
        );
    }
    assert_eq!(
        output(&server, "echo kept > kept; stat -c %U . ; stat -c %s kept").await,
        format!(
            "casemate-{}\n5",
            server.instance.uid().parse::<u32>().expect("a uid") - docker::first_uid()
        )
    );
    let tmp = "echo new > /tmp/new && df --block-size=1 --output=size /tmp | tail -1";
    assert_eq!(output(&server, tmp).await, (128 << 20).to_string());

    let mounts = docker::inspect("container", &server.instance.container())["Mounts"].clone();
    let mounts = mounts.as_array().expect("mounts");
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0]["Name"], server.instance.volumes()[0].as_str());
    // Other users of the Engine may have some for a while.
    eventually(
        "no new anonymous volume is there",
        Duration::from_secs(20),
        async || anonymous_volumes().is_subset(&before),
    )
    .await;
}

#[tokio::test]
async fn an_images_entrypoint_command_user_and_healthcheck_are_ignored() {
    let image = Image::build(&format!(
        "FROM {TOOLS_IMAGE}\n\
         ENTRYPOINT [\"/bin/false\"]\n\
         CMD [\"of\", \"the\", \"image\"]\n\
         USER 0:0\n\
         WORKDIR /opt\n\
         STOPSIGNAL SIGUSR1\n\
         EXPOSE 80\n\
         LABEL io.casemate.user=mallory io.casemate.instance=other of.the=image\n\
         HEALTHCHECK --interval=1s CMD touch /workspace/checked\n"
    ));
    let server = TestServer::new().image(image.name()).start().await;
    assert_eq!(
        output(&server, "id -u; id -g; pwd").await,
        format!("{0}\n{0}\n/workspace", server.instance.uid())
    );
    let pid_1 = output(&server, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert!(
        pid_1.starts_with("/casemate-init pid1 ") && !pid_1.contains("image"),
        "{pid_1}"
    );
    let container = docker::inspect("container", &server.instance.container());
    assert_eq!(container["Config"]["Healthcheck"]["Test"][0], "NONE");
    assert!(
        container["State"]["Health"].is_null(),
        "{}",
        container["State"]
    );
    assert_eq!(container["Config"]["Labels"]["io.casemate.user"], "tester");
    assert_eq!(server.shell("ls").await.stdout(), "");
    // The prepared image still runs like the operator's image. Podman's commit adds who it is.
    let config = |image: &str| {
        let mut config = docker::inspect("image", image)["Config"].clone();
        let env = config["Env"].as_array_mut().expect("variables");
        env.retain(|variable| variable != "container=podman");
        env.sort_by_key(ToString::to_string);
        config
    };
    let [prepared] = &image.prepared()[..] else {
        panic!("{:?}", image.prepared())
    };
    for field in [
        "Entrypoint",
        "Cmd",
        "User",
        "WorkingDir",
        "Env",
        "Healthcheck",
    ] {
        assert_eq!(
            config(prepared)[field],
            config(image.name())[field],
            "{field}"
        );
    }
}
