//! The top of the workspace, which its owner must be able to enter.
//!
//! After `chmod -R 644 .` no command can begin there, no file can be reached, and the next
//! container cannot open it. PID 1 runs as the owner and restores the rights at the top. Below
//! it, it leaves them as the user set them.

use std::path::Path;

use rustix::fs::{Mode, chmod, fstat, stat};

use super::Workspace;

/// Reading, writing and entering: all that a container needs at its start.
const ALL: u32 = 0o700;

/// Without these every tool fails. A top that can only not be written to is left so: it may
/// be meant.
const NEEDED: u32 = 0o500;

/// Gives the owner of the directory `top` all rights. Where PID 1 is not the owner nothing
/// happens, and opening it says the rest.
pub(super) fn open_up(top: &Path) {
    if let Ok(stat) = stat(top)
        && stat.st_mode & ALL != ALL
    {
        give_back(top, stat.st_mode);
    }
}

impl Workspace {
    /// Gives the owner the rights at the top without which nothing works. Returns whether they
    /// were missing and are there now: then a failed call may be tried again. Costs one `fstat`
    /// if nothing is missing.
    pub(crate) fn unlock(&self) -> bool {
        match fstat(&self.root) {
            Ok(stat) if stat.st_mode & NEEDED != NEEDED => give_back(&self.place, stat.st_mode),
            _ => false,
        }
    }
}

fn give_back(top: &Path, mode: u32) -> bool {
    let given = chmod(top, Mode::from_raw_mode(mode & 0o7777 | ALL)).is_ok();
    if given {
        crate::report_error("the owner's rights at the top of the workspace were given back");
    }
    given
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::testing::Sandbox;
    use super::*;

    fn set(sandbox: &Sandbox, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(sandbox.at(""), mode).expect("mode");
    }

    fn mode(sandbox: &Sandbox) -> u32 {
        fs::metadata(sandbox.at(""))
            .expect("top")
            .permissions()
            .mode()
            & 0o7777
    }

    #[test]
    fn what_is_missing_is_given_back_and_other_bits_stay() {
        for (before, at_start, in_use) in [
            (0, 0o700, 0o700),
            (0o600, 0o700, 0o700),
            (0o300, 0o700, 0o700),
            (0o1644, 0o1744, 0o1744),
            (0o555, 0o755, 0o555),
            (0o2750, 0o2750, 0o2750),
        ] {
            let sandbox = Sandbox::new(true);
            set(&sandbox, before);
            assert_eq!(sandbox.workspace.unlock(), in_use != before, "{before:o}");
            assert_eq!(mode(&sandbox), in_use, "{before:o}");
            set(&sandbox, before);
            Workspace::open(&sandbox.at("")).expect("opened");
            assert_eq!(mode(&sandbox), at_start, "{before:o}");
            set(&sandbox, 0o755);
        }
    }
}
