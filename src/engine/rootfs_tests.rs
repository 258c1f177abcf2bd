use std::collections::BTreeMap;

use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n";
const GROUP: &str = "root:x:0:\n";

fn accounts(passwd: &str, group: &str) -> AccountFiles {
    AccountFiles {
        passwd: Some(passwd.as_bytes().to_vec()),
        group: Some(group.as_bytes().to_vec()),
        gitconfig: None,
        trusted: None,
    }
}

/// Path, mode, owner and content of each entry.
fn entries(accounts: &AccountFiles) -> BTreeMap<String, (u32, u64, String)> {
    entries_with(accounts, b"init".into())
}

fn entries_with(
    accounts: &AccountFiles,
    files: SandboxFiles<'_>,
) -> BTreeMap<String, (u32, u64, String)> {
    let layer = layer(files, accounts, &[], UidRange::new(70_000, 2)).unwrap();
    let mut archive = Archive::new(layer.as_slice());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            assert_eq!(header.uid().unwrap(), header.gid().unwrap());
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            (
                path,
                (header.mode().unwrap(), header.uid().unwrap(), content),
            )
        })
        .collect()
}

fn text(merged: Option<Vec<u8>>) -> String {
    String::from_utf8(merged.expect("something to add")).unwrap()
}

#[test]
fn what_the_operator_trusts_is_added_to_what_the_image_trusts() {
    let image = AccountFiles {
        trusted: Some(b"the image's".to_vec()),
        ..accounts(PASSWD, GROUP)
    };
    let path = CA_PATH.trim_start_matches('/');
    assert!(!entries_with(&image, b"init".into()).contains_key(path));
    let files = SandboxFiles {
        readable: false,
        init: b"init",
        roots: "the operator's\n",
    };
    let content = "the image's\nthe operator's\n".to_owned();
    assert_eq!(entries_with(&image, files)[path], (0o644, 0, content));
    let none = entries_with(&accounts(PASSWD, GROUP), files);
    assert_eq!(none[path].2, "the operator's\n");
    assert_ne!(files_digest(files), files_digest(b"init".into()));
}

#[test]
fn the_layer_has_the_init_the_workspace_and_the_merged_files() {
    let entries = entries(&accounts(PASSWD, GROUP));
    assert_eq!(entries["casemate-init"], (0o711, 0, "init".to_owned()));
    assert_eq!(entries["casemate"], (0o755, 0, String::new()));
    let script = (0o644, 0, node::NETIF.to_owned());
    assert_eq!(entries["casemate/netif.cjs"], script);
    let (mode, owner, _) = &entries["workspace"];
    assert_eq!((*mode, *owner), (0o755, 1000));
    let (mode, owner, passwd) = &entries["etc/passwd"];
    assert_eq!((*mode, *owner), (0o644, 0));
    let own = "casemate-1:x:70001:70001::/workspace/.home:/bin/sh\n";
    assert!(
        passwd.starts_with(PASSWD) && passwd.ends_with(own),
        "{passwd}"
    );
    let own = "casemate:x:1000:\ncasemate-0:x:70000:\ncasemate-1:x:70001:\n";
    assert_eq!(entries["etc/group"], (0o644, 0, format!("{GROUP}{own}")));
    assert_eq!(entries["etc/gitconfig"], (0o644, 0, GIT_SAFE.to_owned()));
    assert_eq!(entries["etc/resolv.conf"], (0o644, 0, RESOLVER.to_owned()));
    assert_eq!(entries.len(), 9);
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    let accounts = accounts(PASSWD, GROUP);
    assert_eq!(
        layer(b"init".into(), &accounts, &[], UidRange::NONE).unwrap(),
        layer(b"init".into(), &accounts, &[], UidRange::NONE).unwrap()
    );
}

#[test]
fn git_is_told_once() {
    let merged = text(merged_gitconfig(Some(b"[user]\n\tname = a")));
    assert_eq!(merged, format!("[user]\n\tname = a\n{GIT_SAFE}"));
    assert!(merged_gitconfig(Some(merged.as_bytes())).is_none());
}

#[test]
fn what_is_no_regular_file_is_taken_for_none() {
    assert_eq!(only_file(&[]).unwrap(), None);
    let mut link = header(EntryType::Symlink, 0o777, 0, 0);
    let mut tar = Builder::new(Vec::new());
    tar.append_link(&mut link, "passwd", "/nix/store/passwd")
        .unwrap();
    assert_eq!(only_file(&tar.into_inner().unwrap()).unwrap(), None);

    let mut tar = Builder::new(Vec::new());
    append(
        &mut tar,
        header(EntryType::Regular, 0o644, 0, 1),
        "passwd",
        b"a",
    )
    .unwrap();
    assert_eq!(
        only_file(&tar.into_inner().unwrap()).unwrap(),
        Some(b"a".to_vec())
    );
}

#[test]
fn an_archive_that_breaks_off_is_an_error() {
    let mut tar = Builder::new(Vec::new());
    append(
        &mut tar,
        header(EntryType::Regular, 0o644, 0, 600),
        "passwd",
        &[b'a'; 600],
    )
    .unwrap();
    let whole = tar.into_inner().unwrap();
    assert!(only_file(&whole[..700]).is_err());
}

#[test]
fn the_directory_under_a_volume_and_tmp_let_everybody_write() {
    let layer = layer(
        b"init".into(),
        &AccountFiles::default(),
        &["/var/lib/data".to_owned()],
        UidRange::NONE,
    );
    let layer = layer.unwrap();
    let mut archive = Archive::new(layer.as_slice());
    let open: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.header().mode().unwrap() == 0o1777)
        .map(|entry| entry.path().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(open, ["var/lib/data", "tmp"]);
}
