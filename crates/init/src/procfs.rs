//! The processes of the container, read from `/proc/<pid>/stat`, which every
//! process may read of every other.

use rustix::process::Pid;

/// One process as `/proc/<pid>/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Its id.
    pub pid: Pid,
    /// Its parent; `None` when that is outside of the container.
    pub parent: Option<Pid>,
    /// Its process group; `None` when that is outside of the container.
    pub group: Option<Pid>,
    /// `Z` or `X`: it has ended and waits to be reaped.
    pub dead: bool,
    /// `T` or `t`: stopped.
    pub stopped: bool,
    /// When it started: with the id it names a process for good.
    pub started: u64,
    /// Whether it has become another program since it was forked. Known for certain of one
    /// that has ended.
    pub execed: ExecState,
}

/// Whether a process has become another program since it was forked. The kernel notes it
/// in the process; nothing in user space can change the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ExecState {
    /// This kernel does not say (gVisor).
    Unknown = 0,
    Yes = 1,
    Never = 2,
}

/// `PF_FORKNOEXEC` (include/linux/sched.h): forked, and never became another program.
const FORKED_ONLY: u64 = 0x40;

/// All processes that can be seen now. Processes may start and end during the call.
///
/// # Errors
/// When `/proc` cannot be read: then nothing is known, which does not mean that there are no
/// processes.
pub fn processes() -> std::io::Result<Vec<ProcessEntry>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| process(Pid::from_raw(pid)?))
        .collect())
}

/// How many there are now; 0 when `/proc` cannot be read.
pub fn count() -> usize {
    let names = std::fs::read_dir("/proc").into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.parse::<i32>().is_ok()).count()
}

/// The process `pid`, if it is there.
pub fn process(pid: Pid) -> Option<ProcessEntry> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    parse(pid, &stat)
}

/// The second field is the command in parentheses and may hold anything, also
/// `)` and newlines: what follows the last `)` is safe (proc_pid_stat(5)).
fn parse(pid: Pid, stat: &[u8]) -> Option<ProcessEntry> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    // Field 20. A main thread that has ended shows Z while the others run on.
    let threads: u32 = fields.get(17)?.parse().ok()?;
    // Field 9. gVisor shows no flags at all; another kernel shows at least PF_EXITING of a
    // process that has ended.
    let execed = match fields.get(6)?.parse().ok()? {
        0 => ExecState::Unknown,
        flags if flags & FORKED_ONLY != 0 => ExecState::Never,
        _ => ExecState::Yes,
    };
    Some(ProcessEntry {
        pid,
        execed,
        parent: id(fields.get(1)?)?,
        group: id(fields.get(2)?)?,
        dead: matches!(state, "Z" | "X") && threads < 2,
        stopped: matches!(state, "T" | "t"),
        // Field 22 of the line; the state is field 3.
        started: fields.get(19)?.parse().ok()?,
    })
}

/// An id, or `None` inside for 0 and for -1, which a process that is being reaped has.
fn id(field: &str) -> Option<Option<Pid>> {
    let id = field.parse().ok()?;
    Some(Some(id).filter(|id| *id > 0).and_then(Pid::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_cannot_forge_the_fields_behind_it() {
        let stat = b"7 (x) S 1 1) Z 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let process = parse(Pid::INIT, stat).expect("parses");
        assert_eq!(process.parent, Pid::from_raw(3));
        assert_eq!(process.group, Pid::from_raw(7));
        assert!(process.dead && !process.stopped);
        assert_eq!(process.started, 4242);
    }

    #[test]
    fn a_process_that_is_being_reaped_has_no_group() {
        let stat = b"7 (x) X 0 -1 -1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 0 0 4242 1 1";
        let process = parse(Pid::INIT, stat).expect("parses");
        assert_eq!((process.parent, process.group), (None, None));
        assert!(process.dead);
    }

    #[test]
    fn a_fork_that_never_became_another_program_is_known_by_the_kernels_flags() {
        for (flags, execed) in [
            ("4194624", ExecState::Never),
            ("4194560", ExecState::Yes),
            ("4", ExecState::Yes),
            ("0", ExecState::Unknown),
        ] {
            let stat = format!("7 (x) Z 3 7 7 0 -1 {flags} 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1");
            let process = parse(Pid::INIT, stat.as_bytes()).expect("parses");
            assert_eq!(process.execed, execed, "{flags}");
        }
    }

    #[test]
    fn a_process_whose_main_thread_has_ended_lives_while_another_runs() {
        let stat = b"7 (x) Z 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 2 0 4242 1 1";
        assert!(!parse(Pid::INIT, stat).expect("parses").dead);
    }

    #[test]
    fn the_own_process_is_among_all() {
        let me = rustix::process::getpid();
        let all = processes().expect("processes");
        assert!(all.iter().any(|process| process.pid == me));
        assert!(!process(me).expect("own stat").dead);
        assert!(count() > 0);
    }
}
