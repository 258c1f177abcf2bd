//! The layer that a prepared image adds to its base. Pure: from the base's files to one tar.

use std::io::{self, Read};

use casemate_protocol::{CA_PATH, INIT_PATH, WORKSPACE};
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::accounts::{merged_group, merged_passwd, with_line};
use super::node;
use super::uids::{RunAs, UidRange};
use crate::identity::hex;

/// Largest file of the base that is merged, with its tar headers, in bytes. /etc/passwd of a host
/// with thousands of users has some 100 kB.
pub(super) const MAX_FILE: usize = 1 << 20;

/// /etc/gitconfig: git trusts a workspace of another owner.
const GIT_SAFE: &str = "[safe]\n\tdirectory = *\n";

/// /etc/resolv.conf, as the Engine's `dns` and `dns_search` make it. Podman leaves the image's where
/// there is no network.
const RESOLVER: &str = "nameserver 127.0.0.1\nsearch .\n";

/// The directory in memory that every sandbox may write to.
const TMP: &str = "/tmp";

/// The files of this server that are put into an image.
#[derive(Debug, Clone, Copy)]
pub struct SandboxFiles<'a> {
    /// The casemate-init binary, built for the Engine's architecture.
    pub init: &'a [u8],
    /// Whether everybody may read it: gVisor runs no program that its user cannot read. Where a kernel
    /// does, nobody may, because a program that cannot be read cannot be traced or copied either.
    pub readable: bool,
    /// Certificates in PEM that programs trust besides those of the image; empty: none.
    pub roots: &'a str,
}

impl<'a> From<&'a [u8]> for SandboxFiles<'a> {
    fn from(init: &'a [u8]) -> Self {
        Self {
            init,
            readable: false,
            roots: "",
        }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for SandboxFiles<'a> {
    fn from(init: &'a [u8; N]) -> Self {
        Self::from(init.as_slice())
    }
}

/// Where images have the certificates that they trust, in PEM: Debian and most others, Red Hat's
/// family, Alpine.
pub(super) const TRUSTED: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Files of the base image that are merged; `None` for a missing one.
#[derive(Debug, Default)]
pub(super) struct AccountFiles {
    pub(super) passwd: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) gitconfig: Option<Vec<u8>>,
    /// The first of [`TRUSTED`] that it has. Read only where there are roots.
    pub(super) trusted: Option<Vec<u8>>,
}

/// SHA-256, in hex, over the files that are the same in every prepared image of this server.
pub(super) fn files_digest(files: SandboxFiles<'_>) -> String {
    let mode: &[u8] = if files.readable { b"readable" } else { b"" };
    let (netif, roots) = (node::NETIF.as_bytes(), files.roots.as_bytes());
    let each = [files.init, netif, roots, mode];
    // Without roots as before there were any: images that are prepared stay in use.
    let each = each.into_iter().filter(|file| !file.is_empty());
    let each: Vec<u8> = each.flat_map(Sha256::digest).collect();
    hex(&Sha256::digest(each))
}

/// The layer, as a tar to unpack at `/`. Owners and modes are exact; times are 1970, so that the
/// same inputs make the same bytes. `volumes` are the base's VOLUMEs: the tmpfs over each, as the
/// one at /tmp, takes its mode from the directory under it (runc copies it up), so the directory
/// must be writable for the user. `uids` are the uids of the users: each gets an account.
pub(super) fn layer(
    files: SandboxFiles<'_>,
    accounts: &AccountFiles,
    volumes: &[String],
    uids: UidRange,
) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let ours = header(EntryType::Directory, 0o755, 0, 0);
    append(&mut tar, ours, node::DIRECTORY, &[])?;
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let header = header(EntryType::Regular, mode, 0, content.len());
        append(&mut tar, header, path, content)
    };
    file(node::NETIF_PATH, 0o644, node::NETIF.as_bytes())?;
    file("etc/resolv.conf", 0o644, RESOLVER.as_bytes())?;
    if let Some(passwd) = merged_passwd(accounts.passwd.as_deref(), uids) {
        file("etc/passwd", 0o644, &passwd)?;
    }
    if let Some(group) = merged_group(accounts.group.as_deref(), uids) {
        file("etc/group", 0o644, &group)?;
    }
    if let Some(gitconfig) = merged_gitconfig(accounts.gitconfig.as_deref()) {
        file("etc/gitconfig", 0o644, &gitconfig)?;
    }
    if !files.roots.is_empty() {
        let trusted = accounts.trusted.as_deref().unwrap_or_default();
        file(CA_PATH, 0o644, &with_line(trusted, files.roots))?;
    }
    let mode = if files.readable { 0o755 } else { 0o711 };
    file(INIT_PATH, mode, files.init)?;
    let mut directory = |path: &str, mode: u32, owner: u32| {
        let header = header(EntryType::Directory, mode, owner, 0);
        append(&mut tar, header, path, &[])
    };
    directory(WORKSPACE, 0o755, RunAs::DEFAULT.uid())?;
    for path in volumes.iter().map(String::as_str).chain([TMP]) {
        directory(path, 0o1777, 0)?;
    }
    tar.into_inner()
}

pub(super) fn header(kind: EntryType, mode: u32, owner: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_size(size as u64);
    header.set_mtime(0);
    header
}

pub(super) fn append(
    tar: &mut Builder<Vec<u8>>,
    mut header: Header,
    path: &str,
    content: &[u8],
) -> io::Result<()> {
    tar.append_data(&mut header, path.trim_start_matches('/'), content)
}

/// The content of the one entry of `archive`; `None` if it is not a regular file, or the archive is
/// empty.
pub(super) fn only_file(archive: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut archive = Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let mut entry = entry?;
    if entry.header().entry_type() != EntryType::Regular {
        return Ok(None);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    // The reader of an entry does not report a missing end of the archive.
    if content.len() as u64 != entry.size() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(content))
}

fn merged_gitconfig(base: Option<&[u8]>) -> Option<Vec<u8>> {
    let base = base.unwrap_or_default();
    let says_so = |line: &[u8]| {
        let line: Vec<u8> = line
            .iter()
            .copied()
            .filter(|b| !b.is_ascii_whitespace())
            .collect();
        line == b"directory=*"
    };
    if base.split(|&b| b == b'\n').any(says_so) {
        return None;
    }
    Some(with_line(base, GIT_SAFE))
}

#[cfg(test)]
#[path = "rootfs_tests.rs"]
mod tests;
