//! Why a socket of the Engine cannot be opened, and the command that allows it.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// Whether the cause of `error` is a missing permission.
pub(super) fn is_denied(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
            return true;
        }
        // An io::Error shows the error inside it through itself, and not as its source.
        cause = error.source();
    }
    false
}

/// How this user gets the permission to open the socket at `address`.
pub(super) fn remedy(address: &str) -> String {
    let group = address.strip_prefix("unix://").and_then(group_of);
    match group.as_deref() {
        // The socket has no special group, or only its owner may open it.
        None | Some("root") => {
            format!("ask the administrator of this machine for access to {address}")
        }
        Some(group) => format!(
            "it belongs to the group {group}: run `sudo usermod -aG {group} \"$USER\"`, then log in again"
        ),
    }
}

/// The name of the group that may open the socket.
fn group_of(path: &str) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let may_open = metadata.mode() & 0o060 == 0o060;
    let groups = fs::read_to_string("/etc/group").ok()?;
    may_open.then(|| name_of(&groups, metadata.gid()))?
}

/// group(5): `name:password:gid:members`.
fn name_of(groups: &str, gid: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_by_its_number() {
        let groups = "root:x:0:\ndocker:x:998:ada,bob\nbroken\n";
        assert_eq!(name_of(groups, 998).as_deref(), Some("docker"));
        assert_eq!(name_of(groups, 99), None);
    }

    #[test]
    fn a_denial_is_found_below_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let of = |kind| is_denied(&Outer(io::Error::from(kind)));
        assert!(of(io::ErrorKind::PermissionDenied));
        assert!(!of(io::ErrorKind::NotFound));
    }
}
