//! A directory of this host that is removed at the end of the test.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

/// A directory that belongs to `owner`, for bind mode.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes it under its real path, as bind mode requires. The tests run as root.
    pub fn new(owner: u32) -> Self {
        let name = format!("casemate-test-{}", uuid::Uuid::new_v4().simple());
        let base = fs::canonicalize(std::env::temp_dir()).expect("a real path");
        let directory = Self(base.join(name));
        fs::create_dir(&directory.0).expect("a directory");
        chown(&directory.0, Some(owner), Some(owner)).expect("the tests run as root");
        directory
    }

    /// Its path, for a setting.
    pub fn text(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
