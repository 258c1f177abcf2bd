//! `casemate-init volume DIRECTORY`: makes the workspace in a new volume, where the Engine gives a
//! volume to a group and not to its user, as Kubernetes does. It runs once, before PID 1, as the
//! user and with nothing but the volume; PID 1 then sees only the directory that this makes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use casemate_protocol::{VOLUME_WORKSPACE, exit};

pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let (Some(volume), None) = (args.next(), args.next()) else {
        crate::report_error("usage: casemate-init volume DIRECTORY");
        return exit_code(exit::USAGE);
    };
    match make(Path::new(&volume)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::report_error(&format!(
                "cannot make a workspace in the volume: {error}; its storage class does not follow \
                 fsGroup, or the volume is full"
            ));
            exit_code(exit::NO_WORKSPACE)
        }
    }
}

fn exit_code(code: i64) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// One that exists keeps its mode: it is the user's.
fn make(volume: &Path) -> io::Result<()> {
    let workspace = volume.join(VOLUME_WORKSPACE);
    match fs::create_dir(&workspace) {
        // The volume gives what is made in it its group and the bit for that.
        Ok(()) => fs::set_permissions(&workspace, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_made_once_and_keeps_the_mode_that_its_user_gives_it() {
        let volume = std::env::temp_dir().join(format!("casemate-volume-{}", std::process::id()));
        fs::create_dir(&volume).expect("a directory");
        fs::set_permissions(&volume, Permissions::from_mode(0o2775)).expect("its mode");
        let workspace = volume.join(VOLUME_WORKSPACE);
        let mode = || {
            let mode = fs::metadata(&workspace)
                .expect("there")
                .permissions()
                .mode();
            mode & 0o7777
        };
        make(&volume).expect("made");
        assert_eq!(mode(), 0o755);
        fs::set_permissions(&workspace, Permissions::from_mode(0o700)).expect("its mode");
        make(&volume).expect("found");
        assert_eq!(mode(), 0o700);
        fs::remove_dir_all(&volume).expect("removed");
        assert!(make(&volume).is_err());
    }
}
