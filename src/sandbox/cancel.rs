//! Cancelling a request that another server of the instance serves.
//!
//! A client's notification may reach any server. The commands of the request carry its tag, and
//! PID 1 knows them. So every running container of the user is asked, over this server's channel
//! or a new bridge; no container is made for it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::manager::Manager;
use crate::channel::Channel;
use crate::engine::{ContainerSummary, State, labels};
use crate::identity::User;
use crate::provision::{SandboxError, connect_to};

/// How long a container may take to be connected to and to answer: a client that cancels expects
/// the end within 2 s, and a container at its CPU limit is slow.
pub(super) const ASKING_TIMEOUT: Duration = Duration::from_secs(5);

/// A request may be cancelled before the other server has sent its command: so long after
/// the notification it is looked for again.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1500),
];

/// Which requests a notification may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    /// The tag belongs to one request: every command with it ends.
    Sure,
    /// Several requests of the user may have the tag: it ends if exactly one does.
    IfAlone,
}

impl Manager {
    /// Ends the commands of `user` that were started for the request with this tag, by
    /// whichever server. How many had it; with [`CancelScope::IfAlone`] more than one are left
    /// alone.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn cancel(
        &self,
        user: &User,
        tag: Bytes,
        scope: CancelScope,
    ) -> Result<u32, SandboxError> {
        let turns = self.cancellations(user).0;
        let _turn = turns.acquire().await.map_err(|_| SandboxError::Ending)?;
        if scope == CancelScope::IfAlone {
            let (channels, commands) = self.ask_all(user, &tag, true).await?;
            if commands == 1 {
                ask(&channels, &tag, false).await;
            }
            return Ok(commands);
        }
        for pause in RETRY_DELAYS {
            let (_, commands) = self.ask_all(user, &tag, false).await?;
            if commands > 0 {
                return Ok(commands);
            }
            sleep(pause).await;
        }
        Ok(self.ask_all(user, &tag, false).await?.1)
    }

    async fn ask_all(
        &self,
        user: &User,
        tag: &Bytes,
        count_only: bool,
    ) -> Result<(Vec<Channel>, u32), SandboxError> {
        let theirs = labels::user_filter(&self.config().instance, user);
        let mut rows = self.context.engine.list_containers(&theirs).await?;
        rows.retain(|row| row.state == State::Running);
        let channels = join_all(rows.iter().map(|row| self.channel(row))).await;
        let channels: Vec<Channel> = channels.into_iter().flatten().collect();
        let commands = ask(&channels, tag, count_only).await;
        Ok((channels, commands))
    }

    /// This server's own to the container, or a new one.
    pub(super) async fn channel(&self, row: &ContainerSummary) -> Option<Channel> {
        if let Some(channel) = self.context.capacity.channel(&row.id) {
            return Some(channel);
        }
        let connecting = connect_to(&self.context.engine, &row.id);
        timeout(ASKING_TIMEOUT, connecting).await.ok()?.ok()
    }
}

/// Asks all at once. A container that does not answer has ended, or ends commands that no server
/// watches.
async fn ask(channels: &[Channel], tag: &Bytes, count_only: bool) -> u32 {
    let each = channels.iter().map(|channel| async move {
        let asked = timeout(ASKING_TIMEOUT, channel.cancel(tag.clone(), count_only)).await;
        asked
            .ok()?
            .inspect_err(|error| {
                debug!(error = error as &dyn std::error::Error, "could not cancel");
            })
            .ok()
    });
    join_all(each).await.into_iter().flatten().sum()
}
