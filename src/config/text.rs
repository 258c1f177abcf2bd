//! Values that are text: paths of files, and names that another program chose.

use std::path::PathBuf;

use super::bind::PATH_BYTES;
use super::value_error::ValueError;
use crate::identity::ID_BYTES;

const FILE: ValueError =
    ValueError::Form("a file is named by a path without control characters, of 4095 bytes at most");
const NAME: ValueError =
    ValueError::Form("a name is 1 to 1024 bytes without white space and control characters");

/// The path of a file.
pub fn path(text: &str) -> Result<PathBuf, ValueError> {
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_control());
    let short = text.len() <= PATH_BYTES;
    (plain && short).then(|| text.into()).ok_or(FILE)
}

/// An audience or a client's id. Its form is the issuer's choice.
pub fn name(text: &str) -> Result<String, ValueError> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let good = (1..=ID_BYTES).contains(&text.len()) && !text.contains(odd);
    good.then(|| text.to_owned()).ok_or(NAME)
}
