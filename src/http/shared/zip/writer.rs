//! The records of a zip archive. All numbers are little-endian.

use std::io::{self, Write};

use chrono::{DateTime, Datelike as _, Timelike as _};

use super::crc::Crc32;

/// "Version needed to extract": 4.5, for sizes of 8 bytes (4.4.3.2).
const VERSION: u16 = 45;

/// "Version made by": the same, on Unix, so that modes are there (4.4.2).
const MADE_BY: u16 = 3 << 8 | VERSION;

/// The sum follows the content, and names are UTF-8 (4.4.4: bits 3 and 11).
const FLAGS: u16 = 1 << 3 | 1 << 11;

/// Where a number is in the extra field instead (4.4.8).
const ELSEWHERE: u32 = u32::MAX;

/// Longest name, in bytes: its length has 16 bits, and the workspace allows 4 KiB.
const NAME_BYTES_LIMIT: usize = 8 * 1024;

/// Unix kinds of entries, in the external attributes.
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;

/// Writes an archive, entry after entry.
#[derive(Debug)]
pub struct ZipWriter<W> {
    out: W,
    written: u64,
    /// The directory at the end, record after record.
    directory: Vec<u8>,
    entries: u64,
}

/// One entry, as both of its headers have it.
#[derive(Debug)]
struct Header {
    name: Vec<u8>,
    mode: u32,
    /// MS-DOS date and time, in this order.
    modified: (u16, u16),
    at: u64,
}

/// A file whose content is being written.
#[derive(Debug)]
pub struct ZipFile<'a, W> {
    zip: &'a mut ZipWriter<W>,
    header: Header,
    crc: Crc32,
    size: u64,
}

impl<W: Write> ZipWriter<W> {
    pub fn new(out: W) -> Self {
        Self {
            out,
            written: 0,
            directory: Vec::new(),
            entries: 0,
        }
    }

    /// An empty directory; `path` may end with a slash.
    pub fn directory(&mut self, path: &[u8], mode: u32, modified: u64) -> io::Result<()> {
        let mut path = path.to_vec();
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        self.start(&path, S_IFDIR | mode & 0o777, modified)?.end()
    }

    /// A file.
    pub fn begin(&mut self, path: &[u8], mode: u32, modified: u64) -> io::Result<ZipFile<'_, W>> {
        self.start(path, S_IFREG | mode & 0o777, modified)
    }

    fn start(&mut self, path: &[u8], mode: u32, modified: u64) -> io::Result<ZipFile<'_, W>> {
        // What is no UTF-8 becomes so: the names in an archive are (bit 11).
        let name = String::from_utf8_lossy(path).into_owned().into_bytes();
        if name.len() > NAME_BYTES_LIMIT {
            let what = "a path is too long for a zip archive";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let header = Header {
            name,
            mode,
            modified: dos_time(modified),
            at: self.written,
        };
        let mut record = Vec::new();
        record.extend(0x0403_4b50_u32.to_le_bytes());
        record.extend(VERSION.to_le_bytes());
        header.common(&mut record, 0);
        // Sizes of 8 bytes in the extra field: the descriptor has such then (4.3.9.2).
        record.extend(ELSEWHERE.to_le_bytes());
        record.extend(ELSEWHERE.to_le_bytes());
        record.extend(length(&header.name));
        record.extend(20_u16.to_le_bytes());
        record.extend(&header.name);
        record.extend(zip64(&[0, 0]));
        self.write(&record)?;
        Ok(ZipFile {
            zip: self,
            header,
            crc: Crc32::new(),
            size: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes the directory, and returns what it wrote to.
    pub fn finish(mut self) -> io::Result<W> {
        let (at, directory) = (self.written, std::mem::take(&mut self.directory));
        let size = directory.len() as u64;
        self.write(&directory)?;
        let end = self.written;
        let mut record = Vec::new();
        // Zip64 end of central directory (4.3.14), and where it is (4.3.15).
        record.extend(0x0606_4b50_u32.to_le_bytes());
        record.extend(44_u64.to_le_bytes());
        record.extend(MADE_BY.to_le_bytes());
        record.extend(VERSION.to_le_bytes());
        record.extend([0; 8]);
        for number in [self.entries, self.entries, size, at] {
            record.extend(number.to_le_bytes());
        }
        record.extend(0x0706_4b50_u32.to_le_bytes());
        record.extend([0; 4]);
        record.extend(end.to_le_bytes());
        record.extend(1_u32.to_le_bytes());
        // End of central directory (4.3.16).
        record.extend(0x0605_4b50_u32.to_le_bytes());
        record.extend([0; 4]);
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        record.extend(entries.to_le_bytes());
        record.extend(entries.to_le_bytes());
        for number in [size, at] {
            record.extend(u32::try_from(number).unwrap_or(ELSEWHERE).to_le_bytes());
        }
        record.extend([0; 2]);
        self.write(&record)?;
        Ok(self.out)
    }
}

impl<W: Write> ZipFile<'_, W> {
    /// More of the content.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.add(bytes);
        self.size += bytes.len() as u64;
        self.zip.write(bytes)
    }

    /// There is no more.
    pub fn end(self) -> io::Result<()> {
        let (crc, size) = (self.crc.end(), self.size);
        let mut descriptor = Vec::new();
        descriptor.extend(0x0807_4b50_u32.to_le_bytes());
        descriptor.extend(crc.to_le_bytes());
        descriptor.extend(size.to_le_bytes());
        descriptor.extend(size.to_le_bytes());
        self.zip.write(&descriptor)?;
        let header = self.header;
        let record = &mut self.zip.directory;
        record.extend(0x0201_4b50_u32.to_le_bytes());
        record.extend(MADE_BY.to_le_bytes());
        record.extend(VERSION.to_le_bytes());
        header.common(record, crc);
        record.extend(ELSEWHERE.to_le_bytes());
        record.extend(ELSEWHERE.to_le_bytes());
        record.extend(length(&header.name));
        record.extend(28_u16.to_le_bytes());
        // No comment, the first disk, no internal attributes.
        record.extend([0; 6]);
        record.extend((header.mode << 16).to_le_bytes());
        record.extend(ELSEWHERE.to_le_bytes());
        record.extend(&header.name);
        record.extend(zip64(&[size, size, header.at]));
        self.zip.entries += 1;
        Ok(())
    }
}

impl Header {
    /// From the flags to the sum, the same in both headers.
    fn common(&self, record: &mut Vec<u8>, crc: u32) {
        let (date, time) = self.modified;
        let stored = 0_u16;
        for number in [FLAGS, stored, time, date] {
            record.extend(number.to_le_bytes());
        }
        record.extend(crc.to_le_bytes());
    }
}

fn length(name: &[u8]) -> [u8; 2] {
    // Bounded by `NAME_BYTES_LIMIT`.
    u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes()
}

/// The extra field of numbers that are elsewhere (4.5.3).
fn zip64(numbers: &[u64]) -> Vec<u8> {
    let bytes = u16::try_from(numbers.len() * 8).unwrap_or(u16::MAX);
    let mut field = Vec::new();
    field.extend(1_u16.to_le_bytes());
    field.extend(bytes.to_le_bytes());
    for number in numbers {
        field.extend(number.to_le_bytes());
    }
    field
}

/// In UTC, as MS-DOS had it: from 1980 to 2107, in steps of two seconds.
fn dos_time(seconds: u64) -> (u16, u16) {
    const FIRST: (u16, u16) = (1 << 5 | 1, 0);
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let Some(time) = time else { return FIRST };
    let small = |number: u32| u16::try_from(number).unwrap_or(0);
    let Ok(year @ 0..128) = u16::try_from(time.year() - 1980) else {
        return FIRST;
    };
    let date = year << 9 | small(time.month()) << 5 | small(time.day());
    let clock = small(time.hour()) << 11 | small(time.minute()) << 5 | small(time.second() / 2);
    (date, clock)
}
