//! The containers of the instance, over all its servers: the Engine's rows, and what each PID 1
//! reports.

use std::time::Duration;

use casemate_protocol::StatsReply;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::connect::connect_to;
use crate::channel::Channel;
use crate::engine::{ContainerSummary, Engine, EngineError, State, labels};
use crate::identity::{Instance, User};

/// Sandboxes that are asked at once: each costs a bridge.
const PROBE_LIMIT: usize = 8;

/// How long one may take to be connected to and to answer.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// One container of the instance.
#[derive(Debug, Clone)]
pub struct LiveSandbox {
    /// The Engine's row.
    pub row: ContainerSummary,
    /// To its PID 1; `None` when it does not run or does not answer.
    pub channel: Option<Channel>,
    /// The report of PID 1.
    pub stats: Option<StatsReply>,
}

/// All containers of an instance, by name.
///
/// # Errors
/// The Engine's. A sandbox that does not answer is there without its stats.
pub async fn survey(engine: &Engine, instance: &Instance) -> Result<Vec<LiveSandbox>, EngineError> {
    let ours = [(labels::INSTANCE, instance.as_str())];
    let mut rows = engine.list_containers(&ours).await?;
    rows.retain(|row| row.labels.contains_key(labels::USER));
    Ok(connect_by_name(engine, rows).await)
}

/// The containers of one user, by name.
///
/// # Errors
/// As [`survey`].
pub async fn survey_of(
    engine: &Engine,
    instance: &Instance,
    user: &User,
) -> Result<Vec<LiveSandbox>, EngineError> {
    let theirs = labels::user_filter(instance, user);
    let rows = engine.list_containers(&theirs).await?;
    Ok(connect_by_name(engine, rows).await)
}

async fn connect_by_name(engine: &Engine, rows: Vec<ContainerSummary>) -> Vec<LiveSandbox> {
    let mut sandboxes = connect(engine, rows).await;
    sandboxes.sort_by(|a, b| a.row.name.cmp(&b.row.name));
    sandboxes
}

/// Opens a channel to each that runs and asks it.
pub async fn connect(engine: &Engine, rows: Vec<ContainerSummary>) -> Vec<LiveSandbox> {
    connect_within(engine, rows, PROBE_TIMEOUT, false).await
}

/// As [`connect`], where each may take this long to be connected to and to answer.
pub(super) async fn connect_within(
    engine: &Engine,
    rows: Vec<ContainerSummary>,
    limit: Duration,
    with_scripts: bool,
) -> Vec<LiveSandbox> {
    let each = rows.into_iter().map(|row| async move {
        let end = Instant::now() + limit;
        let channel = match row.state {
            State::Running => timeout_at(end, connect_to(engine, &row.id)).await.ok(),
            _ => None,
        };
        let channel = channel.and_then(Result::ok);
        let stats = match &channel {
            Some(channel) => stats_by(end, channel, with_scripts).await,
            None => None,
        };
        LiveSandbox {
            row,
            channel,
            stats,
        }
    });
    stream::iter(each)
        .buffer_unordered(PROBE_LIMIT)
        .collect()
        .await
}

/// The report of PID 1, if it comes in time; with the scripts of the commands if they are wanted.
pub(super) async fn stats_by(
    end: Instant,
    channel: &Channel,
    with_scripts: bool,
) -> Option<StatsReply> {
    let stats = async {
        match with_scripts {
            true => channel.stats_with_scripts().await,
            false => channel.stats().await,
        }
    };
    timeout_at(end, stats).await.ok()?.ok()
}

/// Asks those that have a channel already.
pub async fn probe(channels: Vec<(ContainerSummary, Channel)>) -> Vec<LiveSandbox> {
    let each = channels
        .into_iter()
        .map(|(row, channel)| sandbox(row, Some(channel)));
    stream::iter(each)
        .buffer_unordered(PROBE_LIMIT)
        .collect()
        .await
}

/// Asks those that have a channel; the others are returned without their stats.
pub async fn look(
    rows: Vec<ContainerSummary>,
    channel: impl Fn(&ContainerSummary) -> Option<Channel>,
) -> Vec<LiveSandbox> {
    let each = rows.into_iter().map(|row| {
        let channel = channel(&row);
        sandbox(row, channel)
    });
    stream::iter(each)
        .buffer_unordered(PROBE_LIMIT)
        .collect()
        .await
}

async fn sandbox(row: ContainerSummary, channel: Option<Channel>) -> LiveSandbox {
    let stats = match &channel {
        Some(channel) => channel.stats().await.ok(),
        None => None,
    };
    LiveSandbox {
        row,
        channel,
        stats,
    }
}
