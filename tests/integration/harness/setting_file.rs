//! A file that a setting names.

use std::fs;
use std::path::{Path, PathBuf};

use super::Directory;

/// A file that is removed at the end of the test.
#[derive(Debug)]
pub struct SettingFile(Directory);

impl SettingFile {
    /// With this content.
    pub fn new(content: &str) -> Self {
        let file = Self(Directory::new(0));
        file.write(content);
        file
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        Path::new(self.0.text()).join("file")
    }

    /// Its path, for a setting.
    pub fn text(&self) -> String {
        self.path().to_str().expect("UTF-8").to_owned()
    }

    /// Replaces it by another file.
    pub fn write(&self, content: &str) {
        let new = self.path().with_extension("new");
        fs::write(&new, content).expect("a file");
        fs::rename(new, self.path()).expect("a file");
    }
}

/// A row of the file of tokens, for `token`: `holder` is whose it is, as a line of the row.
pub fn token_row(name: &str, token: &str, holder: &str) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(token);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[tokens]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n{holder}\n")
}
