//! The values of single settings that have a form of their own.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::limits;
use super::units::{Bytes, Quantity as _};
use super::value_error::ValueError;

/// A name as the Engine's settings have it.
pub(super) fn runtime(text: &str) -> Result<String, ValueError> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if text.is_empty() || !text.chars().all(is_part) {
        return Err(ValueError::Form(
            "the name of a runtime in the Engine's settings, such as runsc",
        ));
    }
    Ok(text.to_owned())
}

/// `off`, or a size that is not nothing.
pub(super) fn bytes_per_day(text: &str) -> Result<Option<Bytes>, ValueError> {
    if text == "off" {
        return Ok(None);
    }
    let bytes = Bytes::read(text)?;
    match bytes.0 {
        0 => Err(ValueError::Form("1 byte at least, or off for any number")),
        _ => Ok(Some(bytes)),
    }
}

/// `off`, or a duration that is not too short by a typo.
pub(super) fn retention(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" {
        return Ok(None);
    }
    let time = Duration::read(text)?;
    match time >= limits::MIN_RETENTION {
        true => Ok(Some(time)),
        false => Err(ValueError::Form(
            "workspaces are kept for 1h at least, or with off for ever",
        )),
    }
}

/// Kept as text, because a filter cannot be cloned. White space around directives is removed:
/// tracing-subscriber 0.3 counts positions after it and cuts before it (`Directive::parse`), so
/// that ` a=warn` means another target, and in other scripts panics.
pub(super) fn log_filter(text: &str) -> Result<String, ValueError> {
    let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(ValueError::Log(error.to_string())),
    }
}
