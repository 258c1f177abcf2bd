//! Why a command could not be started, in the words of the protocol. An errno says little
//! without its place: `ENOSPC` of an epoll instance is no full disk, and `EAGAIN` means the
//! limit of processes for `fork` alone.

use std::io;

use casemate_protocol::{Failure, FailureExt as _, failure::Code};

use super::evidence::Cause;
use crate::supervisor::{StartError, Step};

/// What could not be had for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingResource {
    /// The socket to its supervisor.
    Socket,
    /// A pipe for one of its streams.
    Pipe,
    /// A place where PID 1 watches one of these (epoll).
    Watch,
    /// A process.
    Process,
    /// A file in memory, for its standard input or its script.
    Memory,
    /// A descriptor of PID 1 itself.
    Descriptor,
    /// Its working directory.
    Directory,
    /// Its program.
    Program,
}

/// A supervisor could not be started.
#[derive(Debug)]
pub struct SpawnFailure {
    need: MissingResource,
    error: io::Error,
}

impl MissingResource {
    /// The error that says that this could not be had.
    pub fn missing(self) -> impl Fn(io::Error) -> SpawnFailure {
        move |error| SpawnFailure { need: self, error }
    }
}

impl From<SpawnFailure> for Failure {
    fn from(SpawnFailure { need, error }: SpawnFailure) -> Self {
        failure(need, error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Of a command that did not run.
pub fn not_started(cause: Cause) -> Failure {
    let prevented = |detail| Failure::new(Code::NotStarted, detail);
    match cause {
        Cause::Failed(StartError { step, errno }) => {
            let need = match Step::try_from(step) {
                Ok(Step::Fork) => MissingResource::Process,
                Ok(Step::Chdir) => MissingResource::Directory,
                Ok(Step::Memory) => MissingResource::Memory,
                Ok(Step::Descriptors) => MissingResource::Descriptor,
                Ok(Step::Exec) | Err(_) => MissingResource::Program,
            };
            failure(need, errno)
        }
        Cause::SupervisorKilled => prevented("the process that should start it was killed"),
        Cause::Prevented => prevented("its process ended before the command started"),
    }
}

fn failure(need: MissingResource, errno: i32) -> Failure {
    let says = io::Error::from_raw_os_error(errno);
    match (need, errno) {
        (MissingResource::Process, libc::EAGAIN) => {
            Failure::new(Code::TooManyProcesses, says.to_string())
        }
        (_, libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EDQUOT)
        | (_, libc::ENOSPC | libc::EAGAIN) => {
            let detail = format!("{} ({says})", exhausted(need, errno));
            Failure::new(Code::Exhausted, detail)
        }
        (MissingResource::Directory, _) => Failure::new(Code::BadCwd, says.to_string()),
        (MissingResource::Program, libc::E2BIG) => {
            Failure::new(Code::Invalid, "arguments and environment are too long")
        }
        (MissingResource::Program, _) => Failure::new(Code::Other, format!("its shell: {says}")),
        _ => Failure::new(Code::Other, format!("{}: {says}", name(need))),
    }
}

/// Which resource of the kernel is used up.
fn exhausted(need: MissingResource, errno: i32) -> &'static str {
    match (need, errno) {
        (_, libc::ENOMEM | libc::ENOBUFS) => "the kernel has no memory for it",
        // PID 1's own, and those of the whole machine.
        (_, libc::EMFILE) => "one process has reached its limit of open files",
        // A pipe answers so at the limit of pipe pages too (pipe(7)).
        (MissingResource::Pipe, libc::ENFILE) => {
            "the machine has no more open files, or this user no more pipe buffers"
        }
        (_, libc::ENFILE) => "the machine has reached its limit of open files",
        // epoll_ctl(2): fs.epoll.max_user_watches.
        (MissingResource::Watch, libc::ENOSPC) => {
            "this user has reached the limit of epoll watches"
        }
        (MissingResource::Memory, _) => "there is no room for a file in memory",
        _ => name(need),
    }
}

fn name(need: MissingResource) -> &'static str {
    match need {
        MissingResource::Socket => "a socket",
        MissingResource::Pipe => "a pipe",
        MissingResource::Watch => "an epoll watch",
        MissingResource::Process => "a process",
        MissingResource::Memory => "a file in memory",
        MissingResource::Descriptor => "a descriptor",
        MissingResource::Directory => "the working directory",
        MissingResource::Program => "the shell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [MissingResource; 8] = [
        MissingResource::Socket,
        MissingResource::Pipe,
        MissingResource::Watch,
        MissingResource::Process,
        MissingResource::Memory,
        MissingResource::Descriptor,
        MissingResource::Directory,
        MissingResource::Program,
    ];

    #[test]
    fn nothing_that_is_missing_at_a_start_is_called_a_full_disk() {
        let scarce = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOSPC,
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::EDQUOT,
            libc::EAGAIN,
        ];
        for need in ALL {
            for errno in scarce {
                let failure = failure(need, errno);
                let limit = need == MissingResource::Process && errno == libc::EAGAIN;
                let code = if limit {
                    Code::TooManyProcesses
                } else {
                    Code::Exhausted
                };
                assert_eq!(failure.code(), code, "{need:?} {errno}: {}", failure.detail);
            }
            for errno in 1..134 {
                assert_ne!(failure(need, errno).code(), Code::NoSpace);
            }
        }
    }

    #[test]
    fn the_resource_is_named() {
        let watch = failure(MissingResource::Watch, libc::ENOSPC);
        assert!(watch.detail.contains("epoll watches"), "{}", watch.detail);
        let pipe = failure(MissingResource::Pipe, libc::ENFILE);
        assert!(pipe.detail.contains("pipe buffers"), "{}", pipe.detail);
    }

    #[test]
    fn a_directory_is_bad_and_arguments_too_long_only_where_that_was_tried() {
        for (need, errno, code) in [
            (MissingResource::Directory, libc::ENOENT, Code::BadCwd),
            (MissingResource::Directory, libc::EACCES, Code::BadCwd),
            (MissingResource::Directory, libc::ENOMEM, Code::Exhausted),
            (MissingResource::Program, libc::E2BIG, Code::Invalid),
            (MissingResource::Program, libc::EACCES, Code::Other),
            (MissingResource::Process, libc::EACCES, Code::Other),
        ] {
            assert_eq!(failure(need, errno).code(), code, "{need:?} {errno}");
        }
    }
}
