//! Projects of files, to which file systems give quotas.

use std::os::fd::AsFd;

use rustix::ioctl::{Getter, Opcode, ioctl, opcode};

/// `struct fsxattr` of linux/fs.h: flags, size of an extent, number of them, project, and more.
type Attributes = [u32; 7];

/// Where the project is in it.
const PROJECT: usize = 3;

/// FS_IOC_FSGETXATTR.
const GET_ATTRIBUTES: Opcode = opcode::read::<Attributes>(b'X', 31);

/// Whether a directory belongs to a project, which is how the Engine gives a volume a size. Not
/// every file system has projects.
pub fn is_in_project(directory: impl AsFd) -> bool {
    // SAFETY: the request fills a structure of this size, which has no invalid values.
    let attributes = unsafe { ioctl(directory, Getter::<GET_ATTRIBUTES, Attributes>::new()) };
    attributes.is_ok_and(|attributes| attributes[PROJECT] != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_kernels_and_a_usual_directory_is_in_no_project() {
        assert_eq!(GET_ATTRIBUTES, 0x801c_581f);
        let directory = std::fs::File::open("/").expect("it opens");
        assert!(!is_in_project(directory));
    }
}
