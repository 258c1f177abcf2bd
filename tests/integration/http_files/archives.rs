//! Directories as tar archives, in both directions.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use super::client::{Reply, ask, get, put};
use crate::harness::{HttpServer, TestServer};

async fn unpack(server: &HttpServer, path: &str, archive: Vec<u8>) -> Reply {
    let path = format!("/files/content/{path}?unpack=tar");
    ask(server, "PUT", &path, &[], archive).await
}

/// Names, and contents of the files.
fn entries(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(Cursor::new(archive));
    let entries = archive.entries().expect("an archive");
    let entries = entries.map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        (name, content)
    });
    entries.collect()
}

/// An archive of files, with their names exactly as they are here.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("GNU").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).expect("memory");
    }
    archive.into_inner().expect("memory")
}

#[tokio::test]
async fn a_directory_comes_as_an_archive_and_goes_back_as_the_same() {
    let server = TestServer::new().start_http().await;
    let made = "mkdir -p project/src project/empty; printf main > project/src/main.rs; \
                printf read > project/README; chmod 755 project/README; ln -s README project/link";
    server.shell(made).await;
    let reply = get(&server, "/files/download/project").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/x-tar");
    let disposition = reply.header("content-disposition");
    assert_eq!(disposition, r#"attachment; filename="project.tar""#);
    for (name, content) in [("src/main.rs", "main"), ("README", "read")] {
        let found = entries(&reply.body);
        let entry = found.iter().find(|(path, _)| path.ends_with(name));
        assert_eq!(entry.expect(name).1, content);
    }
    let back = unpack(&server, "copy/of", reply.body.to_vec()).await;
    assert!([200, 201].contains(&back.status), "{back:?}");
    assert_eq!(back.data()["size"], 8, "{back:?}");
    let same = server
        .shell("diff -r project copy/of && stat -c %a copy/of/README && readlink copy/of/link")
        .await;
    assert_eq!(same.stdout(), "755\nREADME\n", "{}", same.0);
    let all = get(&server, "/files/content/").await;
    let disposition = all.header("content-disposition");
    assert_eq!(disposition, r#"attachment; filename="workspace.tar""#);
    assert!(
        entries(&all.body)
            .keys()
            .any(|name| name.ends_with("copy/of/README"))
    );
}

#[tokio::test]
async fn a_hostile_or_invalid_archive_changes_nothing_outside() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "kept").await;
    let wrong: [Vec<u8>; 4] = [
        archive(&[("../file", "evil")]),
        archive(&[("/etc/evil", "evil")]),
        archive(&[("a/../../file", "evil")]),
        b"this is no archive, but it is long enough to be a block or two".repeat(20),
    ];
    for archive in wrong {
        let reply = unpack(&server, "in", archive).await;
        assert!([400, 403].contains(&reply.status), "{reply:?}");
        assert_eq!(reply.json()["success"], false);
    }
    let left = server.shell("cat file; ls -A in; ls /etc/evil").await;
    assert_eq!(left.stdout(), "kept", "{}", left.0);
    let onto = unpack(&server, "file", archive(&[("a", "x")])).await;
    assert_eq!(onto.error(), (409, "not_directory".to_owned()));
    let more = unpack(&server, "", archive(&[("file", "new"), ("b/c", "d")])).await;
    assert_eq!(
        (more.status, &more.data()["entries"]),
        (200, &2.into()),
        "{more:?}"
    );
    assert_eq!(server.shell("cat file b/c").await.stdout(), "newd");
}

#[tokio::test]
async fn an_archive_over_the_limit_is_413() {
    let server = TestServer::new().env("CASEMATE_UPLOAD_LIMIT", "64k");
    let server = server.start_http().await;
    let large = "x".repeat(65 << 10);
    let reply = unpack(&server, "in", archive(&[("large", &large)])).await;
    assert_eq!(reply.error(), (413, "too_large".to_owned()));
    assert_eq!(server.shell("ls -A in").await.stdout(), "");
}

#[tokio::test]
async fn a_directory_with_something_unreadable_is_refused_whole_and_names_it() {
    let server = TestServer::new().start_http().await;
    let made =
        "mkdir -p project/sub; touch project/a project/sub/secret; chmod 0 project/sub/secret";
    server.shell(made).await;
    let reply = get(&server, "/files/download/project").await;
    assert_eq!(reply.error(), (403, "permission_denied".to_owned()));
    let message = reply.json()["error"]["message"].to_string();
    assert!(
        message.contains(r#"\"sub/secret\" in \"project\""#),
        "{message}"
    );
    server
        .shell("chmod 600 project/sub/secret; chmod 0 project/sub")
        .await;
    let reply = get(&server, "/files/content/").await;
    assert_eq!(reply.status, 403);
    assert!(
        reply.json()["error"]["message"]
            .to_string()
            .contains("project/sub")
    );
    server.shell("chmod 700 project/sub").await;
    assert_eq!(get(&server, "/files/download/project").await.status, 200);
}

#[tokio::test]
async fn a_project_with_links_goes_in_as_it_is_and_works() {
    let server = TestServer::new().start_http().await;
    let made = "mkdir shared project && echo data > shared/file && \
                python3 -m venv --without-pip project/env && ln -s ../shared project/data";
    assert_eq!(server.shell(made).await.exit_code(), 0);
    let reply = get(&server, "/files/download/project").await;
    let back = unpack(&server, "copy", reply.body.to_vec()).await;
    assert_eq!(back.status, 201, "{back:?}");
    let same = "diff -r --no-dereference project copy && cat copy/data/file && \
                copy/env/bin/python3 -c 'print(40 + 2)'";
    assert_eq!(server.shell(same).await.stdout(), "data\n42\n");
    // Links are resolved beneath the workspace when they are used.
    let out = get(&server, "/files/content/copy/env/bin/python3").await;
    assert_eq!(out.error(), (403, "outside_workspace".to_owned()));
    assert_eq!(
        get(&server, "/files/content/copy/data/file").await.body,
        "data\n"
    );
}

/// An archive of a link and of a file that would go through it.
fn through_a_link(target: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    archive
        .append_link(&mut header, "evil", target)
        .expect("memory");
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    header.set_cksum();
    archive
        .append_data(&mut header, "evil/x", &b"x"[..])
        .expect("memory");
    archive.into_inner().expect("memory")
}

#[tokio::test]
async fn no_entry_goes_through_a_link_of_its_archive_and_the_error_names_it() {
    let server = TestServer::new().start_http().await;
    server.shell("mkdir outside").await;
    for target in ["/tmp", "../outside", "/workspace/outside", ".."] {
        let reply = unpack(&server, "in", through_a_link(target)).await;
        assert_eq!(reply.error(), (409, "not_directory".to_owned()), "{target}");
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(r#"\"evil/x\" in \"in\""#), "{message}");
        assert!(
            message.contains("The entry before it was stored"),
            "{message}"
        );
    }
    let left = server
        .shell("ls -A outside; ls /tmp/x x; readlink in/evil")
        .await;
    assert_eq!(left.stdout(), "..\n");
}

#[tokio::test]
async fn a_file_with_holes_is_unpacked_as_it_was_by_any_tar_or_refused() {
    let server = TestServer::new().start_http().await;
    let made = "mkdir d && printf begin > d/disk.img && \
                printf end | dd of=d/disk.img bs=1 seek=1M conv=notrunc status=none && \
                truncate -s 1500000 d/disk.img && sha256sum < d/disk.img";
    let sum = server.shell(made).await.stdout().to_owned();
    for version in ["0.0", "0.1", "1.0"] {
        let packed =
            format!("tar -cf {version}.tar --format=pax --sparse --sparse-version={version} d");
        assert_eq!(server.shell(&packed).await.exit_code(), 0);
        let archive = get(&server, &format!("/files/content/{version}.tar"))
            .await
            .body;
        assert!(archive.len() < 100_000, "{version}: not sparse");
        let reply = unpack(&server, version, archive.to_vec()).await;
        assert_eq!(
            (reply.status, &reply.data()["size"]),
            (201, &1_500_000.into())
        );
        let same = format!("ls -R {version} | grep -c Sparse; sha256sum < {version}/d/disk.img");
        assert_eq!(server.shell(&same).await.stdout(), format!("0\n{sum}"));
    }
}
