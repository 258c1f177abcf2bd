//! An Engine whose data is on a separate disk: a file with a file system in it, which
//! is mounted where only that Engine sees it, and is removed with it.

use super::Engine;

/// The disk for the Engine's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// 200 MiB of ext4, of which 5 % are root's, as is usual.
    Small,
    /// 512 MiB of XFS, where volumes can have a size.
    WithQuotas,
}

impl Disk {
    /// Size in MiB, the command that makes the file system, and the mount options.
    fn made(self) -> (u32, &'static str, &'static str) {
        match self {
            Self::Small => (200, "mkfs.ext4 -q -F", "loop"),
            // mkfs.xfs refuses less than 300 MiB.
            Self::WithQuotas => (512, "mkfs.xfs -q -f", "loop,prjquota"),
        }
    }
}

impl Engine {
    /// An Engine that answers and has the tools image.
    ///
    /// # Errors
    /// The message of the command that failed, on a machine that cannot have such a disk.
    pub async fn on(disk: Disk) -> Result<Self, String> {
        let engine = Self::down();
        engine.mount(disk)?;
        engine.run(false);
        engine.up().await;
        engine.import();
        Ok(engine)
    }

    fn mount(&self, disk: Disk) -> Result<(), String> {
        let (mib, mkfs, options) = disk.made();
        let (file, data) = (self.place("disk"), self.data());
        self.host(&format!("truncate --size={mib}M {file} && mkdir -p {data}"));
        let made = format!("{mkfs} {file} && mount -o {options} {file} {data}");
        let said = self.host(&format!(
            "{made} || {{ echo; dmesg | tail -n 1; echo failed; }}"
        ));
        match said.strip_suffix("failed") {
            Some(why) => Err(format!("`{made}`: {}", why.trim())),
            None => Ok(()),
        }
    }
}
