//! Progress of a call, for a client that asked for it with a token: its position in the queue or
//! its newest output, at most four times a second, and a heartbeat without news.

use std::convert::Infallible;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::api::render;
use crate::config::limits::{HEARTBEAT_INTERVAL, PROGRESS_INTERVAL};
use crate::sandbox::ProgressUpdate;

/// Reports until it is dropped, with the answer, so that no report comes later. Without a token it
/// sends nothing.
pub async fn report(
    context: &RequestContext<RoleServer>,
    mut progress: watch::Receiver<ProgressUpdate>,
) -> Infallible {
    let Some(token) = context.meta.get_progress_token() else {
        return std::future::pending().await;
    };
    let start = Instant::now();
    let mut step = Step::default();
    loop {
        let message = match timeout(HEARTBEAT_INTERVAL, progress.changed()).await {
            Ok(Ok(())) => text(&progress.borrow_and_update()),
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => heartbeat(start.elapsed()),
        };
        let notification = step.next(token.clone(), message);
        // A client that no longer listens loses only this.
        let _ = context.peer.notify_progress(notification).await;
        sleep(PROGRESS_INTERVAL).await;
    }
}

/// An update as text for a person, without characters that would move a cursor.
fn text(progress: &ProgressUpdate) -> String {
    let progress = match progress {
        ProgressUpdate::Nothing => return String::new(),
        ProgressUpdate::Waiting { ahead } => {
            return format!("waiting; calls before this one: {ahead}");
        }
        ProgressUpdate::Output(progress) => progress,
    };
    let newest = String::from_utf8_lossy(&progress.newest);
    let lines = newest
        .lines()
        .map(|line| render::visible(last_frame(line).as_bytes()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Of a line that carriage returns overwrite, what a terminal would show.
fn last_frame(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').next().unwrap_or(line)
}

fn heartbeat(elapsed: Duration) -> String {
    format!("still running after {} s", elapsed.as_secs())
}

/// Counts the notifications: progress must rise.
#[derive(Debug, Default)]
struct Step(u32);

impl Step {
    fn next(&mut self, token: ProgressToken, message: String) -> ProgressNotificationParam {
        self.0 += 1;
        ProgressNotificationParam::new(token, f64::from(self.0)).with_message(message)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use casemate_protocol::Progress;

    use super::*;

    #[test]
    fn output_cannot_move_the_cursor_of_a_reader() {
        let output = ProgressUpdate::Output(Progress {
            offset: 9,
            newest: Bytes::from_static(b"a\x1b[2J\nb"),
        });
        assert_eq!(text(&output), "a\\x1b[2J\nb");
    }

    #[test]
    fn of_an_overwritten_line_the_last_frame_is_sent() {
        let output = ProgressUpdate::Output(Progress {
            offset: 30,
            newest: Bytes::from_static(b"begin\r\n 1 %\r 99 %\r100 %\r"),
        });
        assert_eq!(text(&output), "begin\n100 %");
    }
}
