//! `casemate tools-image`: what `docker build` needs to make the images of sandboxes, for people who
//! have the server and not its sources.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::ensure;

use crate::config::limits;

/// Flags of `tools-image`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "casemate tools-image | docker build --tag casemate-tools:latest -\n\
                  casemate tools-image --data | docker build --tag casemate-data:latest -"
)]
pub struct Args {
    /// The image for work with data and documents, which is built upon the other one
    #[arg(long)]
    data: bool,
}

/// The files that an image is built from: name and content.
type BuildContext = &'static [(&'static str, &'static str)];

/// The files of images/tools, which `make image` builds too.
const TOOLS: BuildContext = &[
    ("Dockerfile", include_str!("../../images/tools/Dockerfile")),
    ("left-out", include_str!("../../images/tools/left-out")),
    ("packages", include_str!("../../images/tools/packages")),
];

/// The files of images/data, which `make image-data` builds too.
const DATA: BuildContext = &[
    ("Dockerfile", include_str!("../../images/data/Dockerfile")),
    ("finish", include_str!("../../images/data/finish")),
    ("left-out", include_str!("../../images/data/left-out")),
    ("packages", include_str!("../../images/data/packages")),
];

/// Writes them as a tar archive.
///
/// # Errors
/// A terminal, which is no place for an archive, or a reader that went away.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (files, image) = if args.data {
        (DATA, limits::DATA_IMAGE)
    } else {
        (TOOLS, limits::IMAGE)
    };
    let mut output = io::stdout().lock();
    ensure!(
        !output.is_terminal(),
        "this is an archive for docker build: casemate tools-image{} | docker build --tag {image} -",
        if args.data { " --data" } else { "" }
    );
    output.write_all(&archive(files)?)?;
    Ok(output.flush()?)
}

fn archive(files: BuildContext) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
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

    fn paths(files: BuildContext) -> BTreeSet<String> {
        let bytes = archive(files).expect("an archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                entry.path().expect("a path").display().to_string()
            })
            .collect()
    }

    #[test]
    fn the_archive_has_all_that_the_dockerfile_copies() {
        for files in [TOOLS, DATA] {
            let paths = paths(files);
            let lines = files[0].1.lines();
            let copied = lines.filter_map(|line| line.strip_prefix("COPY "));
            let mut sources: Vec<&str> = copied
                .flat_map(|line| line.rsplit(' ').skip(1))
                .chain([files[0].0])
                .collect();
            sources.sort_unstable();
            assert_eq!(paths.iter().collect::<Vec<_>>(), sources, "{paths:?}");
        }
    }
}
