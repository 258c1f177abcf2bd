//! The raw output of a command whose result cannot show it all: both streams as
//! they came, in `/workspace/.casemate/output/<id>.log`.
//!
//! Bounds: 16 MiB a command, 64 MiB a user, the oldest removed; two commands at a
//! time, so that growing files cannot pass that. An output that a result shows whole never
//! reaches the disk. On a full disk the file is lost, not the command.

use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use casemate_protocol::WORKSPACE;

use crate::files::Pool;

/// Where the files are, relative to the workspace.
const FOLDER: &str = ".casemate/output";

/// Kept of one command.
const MAX_FILE: u64 = 16 << 20;

/// Kept of a user.
const MAX_ALL: u64 = 64 << 20;

/// Commands that write at the same time.
const MAX_OPEN: usize = 2;

/// Names of the files that are written to. They are not removed to make room.
static OPEN_FILES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn open_files() -> MutexGuard<'static, Vec<String>> {
    OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raw output of one command.
#[derive(Debug)]
pub struct Spill {
    id: String,
    /// An output that is shown whole needs no file: this many bytes are kept in memory first.
    from: usize,
    state: Mutex<State>,
    /// One write at a time, in the order of [`Self::push`].
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    file: Option<Arc<File>>,
    written: u64,
    failed: bool,
    closed: bool,
}

impl Spill {
    /// For the command `id`; nothing is written before there are more than `from`
    /// bytes.
    pub fn new(id: &str, from: usize) -> Self {
        Self {
            id: id.to_owned(),
            from,
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    fn name(&self) -> String {
        format!("{}.log", self.id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relative to the workspace; empty without a file.
    pub fn path(&self) -> String {
        let state = self.state();
        match (&state.file, state.failed) {
            (Some(_), false) => format!("{FOLDER}/{}", self.name()),
            _ => String::new(),
        }
    }

    /// Adds output. The caller writes the returned bytes with [`Self::write`].
    pub fn push(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut state = self.state();
        let room = usize::try_from(MAX_FILE - state.written).unwrap_or(0);
        let room = room.saturating_sub(state.waiting.len());
        if state.failed || state.closed || room == 0 {
            return None;
        }
        let kept = &bytes[..bytes.len().min(room)];
        state.waiting.extend_from_slice(kept);
        if state.written == 0 && state.waiting.len() <= self.from {
            return None;
        }
        self.hand_on(&mut state)
    }

    /// What waits, where one more file may be written to.
    fn hand_on(&self, state: &mut State) -> Option<Bytes> {
        if state.written == 0 {
            let mut open = open_files();
            if open.len() >= MAX_OPEN {
                state.failed = true;
                state.waiting = Vec::new();
                return None;
            }
            open.push(self.name());
        }
        let chunk = std::mem::take(&mut state.waiting);
        state.written += chunk.len() as u64;
        Some(chunk.into())
    }

    /// What still waits of a short output that is not shown whole.
    fn rest(&self) -> Option<Bytes> {
        let mut state = self.state();
        if state.waiting.is_empty() || state.failed || state.closed {
            return None;
        }
        self.hand_on(&mut state)
    }

    /// Writes on a file thread. The caller awaits it before it reads more, so no
    /// more than a pipe's content waits here.
    pub async fn write(&self, pool: &Pool, chunk: Bytes) {
        let _turn = self.writing.lock().await;
        let file = self.state().file.clone();
        let name = self.name();
        let written = pool.run(move |_| {
            let file = match file {
                Some(file) => file,
                None => Arc::new(create(&Path::new(WORKSPACE).join(FOLDER), &name)?),
            };
            (&*file).write_all(&chunk)?;
            io::Result::Ok(file)
        });
        let written = written.await;
        let mut state = self.state();
        match written {
            Ok(Ok(file)) => state.file = Some(file),
            // The file on the disk is incomplete: no result names it.
            _ => state.failed = true,
        }
    }

    /// Ends the file when the outcome is known: later output is not kept. The file is removed if
    /// the result shows everything. A short output gets a file if the result does not show all of
    /// it, as frames of its lines were overwritten.
    pub async fn close(&self, pool: &Pool, shown_whole: bool) {
        if !shown_whole && let Some(rest) = self.rest() {
            self.write(pool, rest).await;
        }
        let _turn = self.writing.lock().await;
        let had_file = {
            let mut state = self.state();
            state.waiting = Vec::new();
            state.closed = true;
            state.file.is_some()
        };
        let name = self.name();
        open_files().retain(|open| *open != name);
        if shown_whole && had_file {
            self.state().file = None;
            let path = Path::new(WORKSPACE).join(FOLDER).join(name);
            let _ = pool.run(move |_| fs::remove_file(path)).await;
        }
    }
}

/// Makes room, then the file. The folder is the user's own: a link there leads
/// where the user may write anyway.
fn create(folder: &Path, name: &str) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    make_room(folder, MAX_ALL - MAX_OPEN as u64 * MAX_FILE, &open_files())?;
    File::options()
        .write(true)
        .create_new(true)
        .open(folder.join(name))
}

/// Removes the oldest files of ours but the `open` ones until the rest has at most `most`
/// bytes. The user may have put any number of files there: so many are looked at, and what
/// is known of them at a time is bounded.
fn make_room(folder: &Path, most: u64, open: &[String]) -> io::Result<()> {
    for _ in 0..ROUND_LIMIT {
        let FolderScan { mut size, oldest } = look(folder, open)?;
        let all_known = oldest.len() < OLDEST_FILES_LIMIT;
        for (_, bytes, name) in oldest.into_sorted_vec() {
            if size <= most {
                return Ok(());
            }
            fs::remove_file(folder.join(name))?;
            size -= bytes;
        }
        if all_known {
            break;
        }
    }
    Ok(())
}

/// Entries looked at: 64 MiB of output that no result can show whole are some 2,000 files,
/// and a look at so many takes some milliseconds.
const SCAN_ENTRY_LIMIT: usize = 20_000;

/// Files of which is known when they were written, at a time.
const OLDEST_FILES_LIMIT: usize = 256;

/// Looks before a file, each of which removes so many.
const ROUND_LIMIT: usize = 16;

/// The files in the folder, as far as it was read.
struct FolderScan {
    /// Bytes of all files of ours.
    size: u64,
    /// The oldest of them: time, bytes and name.
    oldest: BinaryHeap<(SystemTime, u64, OsString)>,
}

fn look(folder: &Path, open: &[String]) -> io::Result<FolderScan> {
    let mut found = FolderScan {
        size: 0,
        oldest: BinaryHeap::new(),
    };
    for entry in fs::read_dir(folder)?
        .take(SCAN_ENTRY_LIMIT)
        .filter_map(Result::ok)
    {
        let name = entry.file_name();
        if !is_ours(&name) || open.iter().any(|open| name == open.as_str()) {
            continue;
        }
        let Ok(facts) = entry.metadata() else {
            continue;
        };
        let (Ok(modified), true) = (facts.modified(), facts.is_file()) else {
            continue;
        };
        found.size += facts.len();
        found.oldest.push((modified, facts.len(), name));
        if found.oldest.len() > OLDEST_FILES_LIMIT {
            found.oldest.pop();
        }
    }
    Ok(found)
}

/// `<id>.log`, an id being 32 hexadecimal digits.
fn is_ours(name: &OsStr) -> bool {
    let id = name.as_encoded_bytes().strip_suffix(b".log");
    id.is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_result_can_show_is_never_handed_on() {
        let spill = Spill::new("a", 10);
        assert_eq!(spill.push(b"0123456789"), None);
        assert_eq!(spill.push(b"x"), Some(Bytes::from_static(b"0123456789x")));
        open_files().retain(|open| open != "a.log");
    }

    #[test]
    fn a_short_output_is_handed_on_when_it_is_not_shown_whole() {
        let spill = Spill::new("short", 10);
        assert_eq!(spill.push(b"old\rnew"), None);
        assert_eq!(spill.rest(), Some(Bytes::from_static(b"old\rnew")));
        assert_eq!(spill.rest(), None);
        open_files().retain(|open| open != "short.log");
    }

    #[test]
    fn no_more_is_handed_on_than_is_kept() {
        let spill = Spill::new("b", 0);
        let chunk = vec![0; 1 << 20];
        let all: usize = (0..40)
            .filter_map(|_| spill.push(&chunk))
            .map(|bytes| bytes.len())
            .sum();
        assert_eq!(all as u64, MAX_FILE);
        open_files().retain(|open| open != "b.log");
    }

    /// A folder that is gone with this.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("casemate-spill-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).expect("folder");
            Self(folder)
        }

        fn file(&self, name: &str, size: u64, minutes_ago: u64) {
            let file = File::create(self.0.join(name)).expect("file");
            file.set_len(size).expect("size");
            let time = SystemTime::now() - std::time::Duration::from_secs(minutes_ago * 60);
            file.set_modified(time).expect("time");
        }

        fn has(&self, name: &str) -> bool {
            self.0.join(name).exists()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn ours(n: usize) -> String {
        format!("{n:032x}.log")
    }

    #[test]
    fn the_oldest_make_room_and_what_is_open_or_no_file_of_ours_stays() {
        let folder = Folder::new("oldest");
        for (name, minutes) in [(ours(1), 3), (ours(2), 2), (ours(3), 1), (ours(4), 9)] {
            folder.file(&name, 100, minutes);
        }
        folder.file("notes.log", 1000, 10);
        make_room(&folder.0, 150, &[ours(4)]).expect("room");
        assert!(!folder.has(&ours(1)) && !folder.has(&ours(2)));
        assert!(folder.has(&ours(3)) && folder.has(&ours(4)) && folder.has("notes.log"));
    }

    #[test]
    fn more_files_than_are_known_at_a_time_make_room_too() {
        let folder = Folder::new("many");
        let count = 3 * OLDEST_FILES_LIMIT;
        for n in 0..count {
            folder.file(&ours(n), 10, u64::try_from(count - n).expect("minutes"));
        }
        make_room(&folder.0, 100, &[]).expect("room");
        let left = fs::read_dir(&folder.0).expect("folder").count();
        assert_eq!(left, 10);
        assert!((count - 10..count).all(|n| folder.has(&ours(n))));
    }

    #[test]
    fn what_is_known_at_a_time_is_bounded() {
        let folder = Folder::new("bounded");
        for n in 0..OLDEST_FILES_LIMIT + 50 {
            folder.file(&ours(n), 1, 1);
        }
        let found = look(&folder.0, &[]).expect("look");
        assert_eq!(found.oldest.len(), OLDEST_FILES_LIMIT);
        assert_eq!(usize::try_from(found.size), Ok(OLDEST_FILES_LIMIT + 50));
    }
}
