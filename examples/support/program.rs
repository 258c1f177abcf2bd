//! The program of the server.

use std::path::PathBuf;

use anyhow::Context as _;

/// The server that was built with this program: beside it, or beside the folder of examples.
pub fn server() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let mut folders = here.ancestors().skip(1).take(2);
    folders
        .find_map(|folder| Some(folder.join("casemate")).filter(|server| server.exists()))
        .context("there is no server beside this program; build it with the same profile first")
}
