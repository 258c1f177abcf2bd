//! `casemate tools-image`: what `docker build` needs to make the image of sandboxes, for people who
//! have the server and not its sources.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::ensure;

use crate::config::limits;

/// Flags of `tools-image`: none.
#[derive(Debug, clap::Args)]
#[command(after_help = "casemate tools-image | docker build --tag casemate-tools:latest -")]
pub struct Args {}

/// The files of images/tools, which `make image` builds too.
const FILES: [(&str, &str); 2] = [
    ("Dockerfile", include_str!("../../images/tools/Dockerfile")),
    ("packages", include_str!("../../images/tools/packages")),
];

/// Writes them as a tar archive.
///
/// # Errors
/// A terminal, which is no place for an archive, or a reader that went away.
pub fn run(_: &Args) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    ensure!(
        !output.is_terminal(),
        "this is an archive for docker build: casemate tools-image | docker build --tag {} -",
        limits::IMAGE
    );
    output.write_all(&archive()?)?;
    Ok(output.flush()?)
}

fn archive() -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in FILES {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_archive_has_all_that_the_dockerfile_copies() {
        let bytes = archive().expect("an archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: BTreeSet<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .display()
                    .to_string()
            })
            .collect();
        let copied = FILES[0]
            .1
            .lines()
            .filter_map(|line| line.strip_prefix("COPY "))
            .flat_map(|line| line.split(' ').take(1));
        for path in copied.chain(["Dockerfile"]) {
            assert!(paths.contains(path), "{path}: {paths:?}");
        }
    }
}
