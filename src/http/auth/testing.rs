//! What the tests of this layer share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that is gone when the test is.
pub struct TempFile(PathBuf);

impl TempFile {
    pub fn new(content: &str) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("casemate-auth-{}-{nth}", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    /// By another file in its place, as careful people change one.
    pub fn write(&self, content: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
