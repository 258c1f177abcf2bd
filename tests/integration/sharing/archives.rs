//! A directory by its link: an archive, of both kinds.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::*;

const TREE: &str = "mkdir -p site/img site/.git && cd site && echo hi > index.html && \
    echo secret > .env && echo x > .git/config && head -c 300000 /dev/urandom > img/a.bin && \
    ln -s index.html link";

fn tar_names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    let name = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("an entry");
        std::io::copy(&mut entry, &mut std::io::sink()).expect("whole");
        String::from_utf8_lossy(&entry.path_bytes()).into_owned()
    };
    entries.map(name).collect()
}

/// Names and sums by Python's own reader.
fn zip_names(archive: &[u8]) -> Vec<String> {
    const READ: &str = "import io, sys, zipfile\n\
        z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n\
        assert z.testzip() is None\nprint('\\n'.join(z.namelist()))\n";
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().expect("its input");
    input.write_all(archive).expect("it reads");
    drop(input);
    let mut names = String::new();
    let mut output = python.stdout.take().expect("its output");
    output.read_to_string(&mut names).expect("UTF-8");
    assert!(python.wait().expect("it ends").success());
    names.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_directory_is_a_tar_or_a_zip_without_hidden_names() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    assert_eq!(server.shell(TREE).await.exit_code(), 0);
    let shared = server.call("share", json!({ "path": "site" })).await;
    assert!(shared.0["structuredContent"].get("resource_uri").is_none());
    assert_eq!(shared.field("mime_type"), "inode/directory");
    let link = link_of(&shared);

    let tar = open(&server, &link, &[]).await;
    assert_eq!(
        (tar.status, tar.header("content-type")),
        (200, "application/x-tar")
    );
    assert_eq!(
        tar.header("content-disposition"),
        "attachment; filename=\"site.tar\""
    );
    assert_eq!(
        tar_names(&tar.body),
        ["img/", "img/a.bin", "index.html", "link"]
    );

    let zip = open(&server, &format!("{link}?format=zip"), &[]).await;
    assert_eq!(
        (zip.status, zip.header("content-type")),
        (200, "application/zip")
    );
    assert_eq!(
        zip.header("content-disposition"),
        "attachment; filename=\"site.zip\""
    );
    assert_eq!(zip_names(&zip.body), ["img/", "img/a.bin", "index.html"]);
    for reply in [&tar, &zip] {
        assert_eq!(reply.header("cache-control"), "private, no-store");
        assert_eq!(
            reply.header("content-security-policy"),
            "sandbox; default-src 'none'"
        );
    }
    assert_eq!(
        open(&server, &format!("{link}?format=rar"), &[])
            .await
            .status,
        400
    );
    let head = send(&server, "HEAD", &link, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));

    // A hidden file may change, a shared one may not.
    server
        .shell("echo more >> site/.env; touch site/.new")
        .await;
    assert_eq!(open(&server, &link, &[]).await.status, 200);
    server.shell("echo more >> site/img/a.bin").await;
    let changed = open(&server, &link, &[]).await;
    assert_eq!(
        (changed.status, changed.code()),
        (404, "changed".to_owned())
    );
}

#[tokio::test]
async fn a_hidden_name_is_shared_where_it_is_meant_and_a_huge_directory_is_not() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    server
        .shell("mkdir -p .config/app; echo a > .config/app/a; echo b > .env")
        .await;
    for (path, text) in [(".env", "b\n")] {
        let link = link_of(&server.call("share", json!({ "path": path })).await);
        assert_eq!(open(&server, &link, &[]).await.text(), text);
        let archive = open(&server, &format!("{link}?format=zip"), &[]).await;
        assert_eq!(archive.status, 400, "a file comes as it is");
    }
    let link = link_of(&server.call("share", json!({ "path": ".config" })).await);
    assert_eq!(
        tar_names(&open(&server, &link, &[]).await.body),
        ["app/", "app/a"]
    );

    let many = "mkdir many && cd many && seq 10001 | xargs touch";
    assert_eq!(server.shell(many).await.exit_code(), 0);
    let refused = server.call("share", json!({ "path": "many" })).await;
    assert_eq!(refused.code(), "too_large", "{}", refused.text());
}
