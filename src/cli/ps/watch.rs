//! `ps --watch`: the same look, again and again, until a signal or the end of the reader stops it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::View;
use crate::cli::{json, setup};
use crate::ops::sandbox_entry::SandboxEntry;

/// From the end of a look to the next.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Moves the cursor to the top left of a terminal, and clears what is below: ECMA-48, CUP and ED.
const TOP_OF_SCREEN: &str = "\x1b[H\x1b[J";

/// One look as a line of JSON.
#[derive(Debug, Serialize)]
struct Look<'a> {
    /// RFC 3339.
    time: String,
    sandboxes: &'a [SandboxEntry],
}

/// Looks until SIGINT or SIGTERM.
///
/// # Errors
/// The output's, such as a closed pipe; the Engine's, at the first look. Later a terminal shows it,
/// and the next look may succeed.
pub(super) async fn run(mut view: View, json: bool) -> anyhow::Result<()> {
    let stop = setup::stop_on_signal()?;
    let is_terminal = std::io::stdout().is_terminal() && !json;
    let mut is_first = true;
    while !stop.is_cancelled() {
        let look = tokio::select! {
            look = view.look() => look,
            () = stop.cancelled() => break,
        };
        match look {
            Ok(sandboxes) if json => {
                let (time, sandboxes) = (now(), sandboxes.as_slice());
                json::write_line(&mut std::io::stdout().lock(), &Look { time, sandboxes })?;
            }
            Ok(sandboxes) => show(&view.text(&sandboxes), is_terminal)?,
            Err(error) if is_first || !is_terminal => return Err(error.into()),
            Err(error) => show(&format!("{:#}\n", anyhow::Error::from(error)), is_terminal)?,
        }
        is_first = false;
        pause(&stop).await;
    }
    Ok(())
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = sleep(LOOK_INTERVAL) => {}
        () = stop.cancelled() => {}
    }
}

fn show(text: &str, is_terminal: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let top = if is_terminal { TOP_OF_SCREEN } else { "" };
    write!(out, "{top}{}\n{text}\n", now())?;
    out.flush()
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
