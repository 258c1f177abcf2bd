//! Surveys one after the other, for an operator who watches. The channels are kept in between: each
//! costs a bridge.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::survey::{LiveSandbox, PROBE_TIMEOUT, connect_within, stats_by};
use crate::channel::Channel;
use crate::engine::{ContainerSummary, Engine, EngineError, labels};
use crate::identity::{Instance, User};

/// How long a sandbox may take to answer after the first round. Those that are known are asked at once:
/// one that is silent is shown as such after this time, and asked again in the next round.
const ROUND_TIMEOUT: Duration = Duration::from_secs(3);

/// The containers of an instance, or of one user in it, as often as they are asked for.
#[derive(Debug)]
pub struct RepeatedSurvey {
    engine: Engine,
    instance: Instance,
    user: Option<User>,
    with_scripts: bool,
    /// Those of the last round that are open, by the id of the container.
    channels: HashMap<String, Channel>,
    /// How long each may take to answer in the next round.
    limit: Duration,
}

impl RepeatedSurvey {
    /// Of all users, or of `user`. `with_scripts`: of the commands.
    pub fn new(engine: Engine, instance: Instance, user: Option<User>, with_scripts: bool) -> Self {
        Self {
            engine,
            instance,
            with_scripts,
            user,
            channels: HashMap::new(),
            limit: PROBE_TIMEOUT,
        }
    }

    /// The containers as they are now, by name. One that does not answer is there without its stats.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn next(&mut self) -> Result<Vec<LiveSandbox>, EngineError> {
        let (known, mut others): (Vec<_>, Vec<_>) = self
            .rows()
            .await?
            .into_iter()
            .partition(|row| self.channels.contains_key(&row.id));
        let asked = known.into_iter().map(|row| {
            let channel = self.channels.get(&row.id).cloned();
            self.ask(LiveSandbox {
                row,
                channel,
                stats: None,
            })
        });
        let (mut sandboxes, broken): (Vec<_>, Vec<_>) = join_all(asked)
            .await
            .into_iter()
            .partition(|sandbox| sandbox.stats.is_some() || open_channel(sandbox).is_some());
        // A channel that broke may be one of many: the sandbox has another chance.
        others.extend(broken.into_iter().map(|sandbox| sandbox.row));
        let connected = connect_within(&self.engine, others, self.limit, self.with_scripts);
        sandboxes.extend(connected.await);
        sandboxes.sort_by(|a, b| a.row.name.cmp(&b.row.name));
        let open = |one: &LiveSandbox| Some((one.row.id.clone(), open_channel(one)?));
        self.channels = sandboxes.iter().filter_map(open).collect();
        self.limit = ROUND_TIMEOUT;
        Ok(sandboxes)
    }

    /// Closes the channels, until the next round.
    pub fn rest(&mut self) {
        self.channels.clear();
        self.limit = PROBE_TIMEOUT;
    }

    async fn rows(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        let filter = match &self.user {
            Some(user) => labels::user_filter(&self.instance, user).to_vec(),
            None => vec![(labels::INSTANCE, self.instance.as_str())],
        };
        let mut rows = self.engine.list_containers(&filter).await?;
        rows.retain(|row| row.labels.contains_key(labels::USER));
        Ok(rows)
    }

    async fn ask(&self, mut sandbox: LiveSandbox) -> LiveSandbox {
        if let Some(channel) = &sandbox.channel {
            let end = Instant::now() + self.limit;
            sandbox.stats = stats_by(end, channel, self.with_scripts).await;
        }
        sandbox
    }
}

fn open_channel(sandbox: &LiveSandbox) -> Option<Channel> {
    sandbox.channel.clone().filter(Channel::is_open)
}
