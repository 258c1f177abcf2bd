//! Tar archives for tests, of entries that no library would write. The integration tests read this
//! file too.

use tar::{EntryType, Header};

/// Bytes of a block of a tar archive.
const BLOCK: usize = 512;

/// An archive that is written without any check.
#[derive(Debug, Default)]
pub struct RawArchive(pub Vec<u8>);

impl RawArchive {
    /// With one more entry, of any type.
    pub fn entry(mut self, kind: u8, path: &[u8], target: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(0o6755);
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().expect("GNU");
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.linkname[..target.len()].copy_from_slice(target);
        // Without it a sparse entry is malformed.
        gnu.set_real_size(0);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// With one more file.
    pub fn file(self, path: &str, content: &str) -> Self {
        self.entry(b'0', path.as_bytes(), b"", content.as_bytes())
    }

    /// The whole archive.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}
