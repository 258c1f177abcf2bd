//! The user that PID 1 and all commands run as.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

/// Users and their names: passwd(5).
const PASSWD: &str = "/etc/passwd";

/// For a user without a line there: the owner of a directory of the host.
const NAMELESS: &str = "casemate";

/// Most of the file that is read, in bytes: the image's, and a line for each uid of the server's
/// (16,384 of 60 bytes at most).
const ACCOUNT_FILE_LIMIT: u64 = 4 << 20;

/// The user's name, as `id -un` says it.
pub fn name() -> Vec<u8> {
    let passwd = read(PASSWD).unwrap_or_default();
    let uid = geteuid().as_raw().to_string();
    named(&passwd, uid.as_bytes())
        .unwrap_or(NAMELESS.as_bytes())
        .to_vec()
}

/// Whether the user owns this directory, and may do with it what only an owner may.
pub fn owns(directory: &Path) -> io::Result<bool> {
    Ok(fs::metadata(directory)?.uid() == geteuid().as_raw())
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut content = Vec::new();
    fs::File::open(path)?
        .take(ACCOUNT_FILE_LIMIT)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// The first field of the first line whose third is `uid`.
fn named<'a>(passwd: &'a [u8], uid: &[u8]) -> Option<&'a [u8]> {
    let lines = passwd.split(|&b| b == b'\n');
    let mut names = lines.filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == uid).then_some(name)
    });
    names.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_first_line_with_the_uid() {
        let passwd = b"root:x:0:0::/root:/bin/sh\n\n:x:7:7::/:\na:b\n\
                       casemate-0:x:70000:70000::/workspace/.home:/bin/sh\n\
                       again:x:70000:70000::/:/bin/sh";
        assert_eq!(named(passwd, b"70000"), Some(b"casemate-0".as_slice()));
        assert_eq!(named(passwd, b"0"), Some(b"root".as_slice()));
        for nobody in [b"7".as_slice(), b"7000", b"", b"x"] {
            assert_eq!(named(passwd, nobody), None);
        }
    }

    #[test]
    fn a_directory_is_owned_by_who_made_it_and_not_by_the_next() {
        let directory = std::env::temp_dir().join(format!("casemate-owns-{}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        assert!(owns(&directory).expect("it is there"));
        let is_root = geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&directory, Some(70_000), None).expect("chown");
            assert!(!owns(&directory).expect("it is there"));
        }
        fs::remove_dir(&directory).expect("removed");
        assert!(owns(&directory).is_err());
    }
}
