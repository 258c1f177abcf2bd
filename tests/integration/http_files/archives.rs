//! Directories as tar archives, both ways.

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
async fn an_archive_that_leads_out_or_is_none_changes_nothing_outside() {
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
