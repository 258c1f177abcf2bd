//! The raw output of a command whose result cannot show it all: both streams as
//! they came, in `/workspace/.casemate/output/<id>.log`.
//!
//! Bounds: 16 MiB a command, 64 MiB a user, the oldest removed; two commands at a
//! time, so that what grows cannot pass that. What a result can
//! show whole never reaches the disk. A full disk costs the file, not the command.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
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
static OPEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn open_files() -> MutexGuard<'static, Vec<String>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raw output of one command.
#[derive(Debug)]
pub struct Spill {
    id: String,
    /// What is shown whole needs no file: this much waits in memory for more.
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

    /// Takes in output. What is returned is to be written by [`Self::write`].
    pub fn push(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut state = self.state();
        let room = usize::try_from(MAX_FILE - state.written).unwrap_or(0);
        let room = room.saturating_sub(state.waiting.len());
        if state.failed || state.closed || room == 0 {
            return None;
        }
        let kept = &bytes[..bytes.len().min(room)];
        state.waiting.extend_from_slice(kept);
        if state.written == 0 {
            if state.waiting.len() <= self.from {
                return None;
            }
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
            // Whatever is on the disk is not all: nobody is sent there.
            _ => state.failed = true,
        }
    }

    /// The outcome is known. What comes later is not kept, and the file goes when
    /// the result shows everything after all.
    pub async fn close(&self, pool: &Pool, shown_whole: bool) {
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

/// Removes the oldest files but the `open` ones until the rest has at most `most`
/// bytes.
fn make_room(folder: &Path, most: u64, open: &[String]) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let facts = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            if open.iter().any(|open| entry.file_name() == open.as_str()) {
                return None;
            }
            Some((facts.modified().ok()?, facts.len(), entry.path()))
        })
        .collect();
    files.sort_unstable();
    let mut all: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if all <= most {
            break;
        }
        fs::remove_file(path)?;
        all -= size;
    }
    Ok(())
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

    #[test]
    fn the_oldest_make_room() {
        let folder = std::env::temp_dir().join(format!("casemate-spill-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("folder");
        for (age, name) in [(3, "old"), (2, "middle"), (1, "new")] {
            let file = File::create(folder.join(name)).expect("file");
            file.set_len(100).expect("size");
            let time = SystemTime::now() - std::time::Duration::from_secs(age * 60);
            file.set_modified(time).expect("time");
        }
        make_room(&folder, 150, &[]).expect("room");
        let left = fs::read_dir(&folder).expect("folder").count();
        let new_is_there = folder.join("new").exists();
        fs::remove_dir_all(&folder).expect("clean up");
        assert!(left == 1 && new_is_there);
    }
}
