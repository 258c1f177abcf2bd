//! Images that cannot be used, or not yet.

use std::path::PathBuf;

use super::output;
use crate::harness::docker::{self, Image};
use crate::harness::{TOOLS_IMAGE, TestServer};

/// A tar archive on the disk, removed at the end of the test.
struct Archive(PathBuf);

impl Archive {
    /// With these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let name = format!("casemate-test-{}.tar", uuid::Uuid::new_v4().simple());
        let archive = Self(std::env::temp_dir().join(name));
        let mut tar = tar::Builder::new(std::fs::File::create(&archive.0).expect("a file"));
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, content.as_bytes())
                .expect("append");
        }
        tar.finish().expect("finish");
        archive
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn an_image_without_a_shell_serves_files_and_says_why_no_command_runs() {
    let archive = Archive::with(&[("etc/only", "file\n")]);
    let image = Image::import(&archive.0);
    let server = TestServer::new().image(image.name()).start().await;
    let result = server.shell("true").await;
    assert!(result.is_error());
    assert_eq!(result.code(), "no_shell", "{}", result.text());
    assert!(
        result.text().contains("bash") && result.text().contains("CASEMATE_IMAGE"),
        "{}",
        result.text()
    );
    let written = server.write("notes/today.txt", "one\ntwo\n").await;
    assert_eq!(written.field("size"), 8, "{}", written.0);
    assert_eq!(server.read("notes/today.txt").await.text(), "one\ntwo\n");
    let listed = server.list("notes").await;
    assert_eq!(
        listed.field("entries")[0]["path"],
        "notes/today.txt",
        "{}",
        listed.0
    );
    // The files outlive the container, as everywhere.
    docker::output(&["rm", "--force", &server.instance.container()]);
    assert_eq!(
        server.read("notes/today.txt").await.text().lines().next(),
        Some("one")
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_refused_by_what_is_wrong_with_it() {
    for (line, named) in [
        ("VOLUME /", "VOLUME /"),
        ("VOLUME /workspace/sub", "VOLUME /workspace/sub"),
        ("VOLUME /tmp/sub", "VOLUME /tmp/sub"),
        ("VOLUME /proc", "VOLUME /proc"),
        ("VOLUME /casemate-init", "VOLUME /casemate-init"),
        ("ONBUILD RUN true", "ONBUILD"),
    ] {
        let image = Image::build(&format!("FROM {TOOLS_IMAGE}\n{line}\n"));
        let server = TestServer::new().image(image.name()).start().await;
        for result in [server.shell("true").await, server.list(".").await] {
            assert_eq!(result.code(), "image_unusable", "{line}: {}", result.0);
            let text = result.text();
            assert!(
                text.contains(named) && text.contains(image.name()),
                "{line}: {text}"
            );
            assert!(text.contains("CASEMATE_IMAGE"), "{line}: {text}");
        }
        assert!(server.instance.containers().is_empty(), "{line}");
        assert!(server.instance.volumes().is_empty(), "{line}");
        assert!(image.prepared().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn an_image_that_is_missing_is_named_and_used_once_it_is_there() {
    // No registry listens there.
    let missing = Image(format!(
        "127.0.0.1:1/casemate-test-{}:latest",
        uuid::Uuid::new_v4().simple()
    ));
    let server = TestServer::new().image(missing.name()).start().await;
    for result in [
        server.shell("true").await,
        server.write("file", "").await,
        server.shell("true").await,
    ] {
        assert!(result.is_error());
        assert_eq!(result.code(), "image_missing", "{}", result.text());
        assert!(result.text().contains(missing.name()), "{}", result.text());
    }
    assert!(server.instance.containers().is_empty());

    let image = Image::build(&format!(
        "FROM {TOOLS_IMAGE}\nLABEL unique={}\n",
        missing.name()
    ));
    docker::output(&["tag", image.name(), missing.name()]);
    assert_eq!(output(&server, "echo there").await, "there");
}
