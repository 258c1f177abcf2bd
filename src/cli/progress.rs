//! Progress of a long operation: a bar on a terminal, otherwise a line when a step begins.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::ops::backup::Event;

/// With a known total, with an estimate, and without one.
const KNOWN: &str = "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const ESTIMATED: &str =
    "{msg} [{bar:30}] {bytes} of about {total_bytes}, {bytes_per_sec}, about {eta} left";
const UNKNOWN: &str = "{spinner} {msg} {bytes}, {bytes_per_sec}";

/// Writes to stderr, because stdout has the results.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    user: String,
    /// `None` without a terminal and between operations.
    bar: Option<ProgressBar>,
    is_terminal: bool,
}

impl Progress {
    /// Of no operation yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            user: String::new(),
            bar: None,
            is_terminal: std::io::stderr().is_terminal(),
        })))
    }

    /// The following events are about this user.
    pub(super) fn begin(&self, user: &str) {
        user.clone_into(&mut self.0.lock().user);
    }

    /// The function that takes events.
    pub(super) fn listener(&self) -> impl Fn(Event) + Send + Sync + 'static {
        let this = self.clone();
        move |event| this.0.lock().tell(event)
    }

    /// Ends the bar and prints `result` as a line on stdout, unless it is empty.
    pub(super) fn end(&self, result: &str) -> anyhow::Result<()> {
        if let Some(bar) = self.0.lock().bar.take() {
            bar.finish_and_clear();
        }
        if !result.is_empty() {
            writeln!(std::io::stdout(), "{result}")?;
        }
        Ok(())
    }
}

impl State {
    fn tell(&mut self, event: Event) {
        let (what, total) = match event {
            Event::Moved(bytes) => {
                if let Some(bar) = &self.bar {
                    bar.inc(bytes);
                }
                return;
            }
            Event::Copying { number: 1, about } => ("copying".to_owned(), about),
            Event::Copying { number, about } => (
                format!("it changed while it was copied: copy {number} of"),
                about,
            ),
            Event::Verifying(bytes) => ("verifying".to_owned(), Some(bytes)),
            Event::Restoring(bytes) => ("restoring".to_owned(), Some(bytes)),
            Event::Comparing(bytes) => ("comparing".to_owned(), Some(bytes)),
        };
        let message = format!("{what} {}", self.user);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !self.is_terminal {
            // If stderr is closed, the operation continues.
            let _ = writeln!(std::io::stderr(), "{message}");
            return;
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = template(event, total);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(message);
        self.bar = Some(bar);
    }
}

fn template(event: Event, total: Option<u64>) -> &'static str {
    match (event, total) {
        (_, None) => UNKNOWN,
        (Event::Copying { .. }, Some(_)) => ESTIMATED,
        (_, Some(_)) => KNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shows_how_far_it_is_by_an_estimate_and_says_that_it_is_one() {
        let first = Event::Copying {
            number: 1,
            about: None,
        };
        assert_eq!(template(first, None), UNKNOWN);
        let copying = Event::Copying {
            number: 1,
            about: Some(7),
        };
        let shown = template(copying, Some(7));
        assert!(shown.contains("of about {total_bytes}") && shown.contains("{eta}"));
        assert_eq!(template(Event::Verifying(7), Some(7)), KNOWN);
        for template in [KNOWN, ESTIMATED, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
