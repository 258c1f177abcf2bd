//! The JSON of the console. Each answer is kept for a moment, so that many open pages cost as much as
//! one, and is made in a separate task: the doctor removes its sandbox also when the page is closed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::counters::counters;
use crate::audit::chain;
use crate::config::{AwsVariables, Config};
use crate::engine::Engine;
use crate::http::settings_check::over_http;
use crate::ops::backup::Backups;
use crate::ops::doctor::{self, Finding, Inputs};
use crate::ops::sandbox_entry::SandboxEntry;
use crate::ops::workspace_list::WorkspaceLister;
use crate::sandbox::{Manager, RecentRefusal, RepeatedSurvey};

/// How long a look at what is live is shown.
const LIVE_TTL: Duration = Duration::from_secs(1);

/// How long the counters are shown: to measure asks this server's sandboxes once more.
const COUNTERS_TTL: Duration = Duration::from_secs(10);

/// How long the list of workspaces is shown: it lists the store of backups, once for each workspace.
const WORKSPACES_TTL: Duration = Duration::from_secs(60);

/// How long the findings of the doctor are shown: it tries a sandbox.
const DOCTOR_TTL: Duration = Duration::from_secs(30);

/// How long after the last look the channels to sandboxes are kept: each has a process in its sandbox.
const UNWATCHED_TIMEOUT: Duration = Duration::from_secs(10);

/// What the console shows.
pub(super) struct Answers {
    config: Config,
    manager: Manager,
    engine: Engine,
    backups: Option<Backups>,
    aws: AwsVariables,
    survey: Mutex<RepeatedSurvey>,
    /// Counts the looks.
    looks: AtomicU64,
    live: RecentAnswer,
    counters: RecentAnswer,
    workspaces: RecentAnswer,
    doctor: RecentAnswer,
}

/// An answer and its time. Requests that come before it is ready wait for it.
#[derive(Debug, Default)]
struct RecentAnswer(Arc<Mutex<Option<TimedAnswer>>>);

type TimedAnswer = (Instant, Arc<Value>);

impl RecentAnswer {
    async fn get(
        &self,
        ttl: Duration,
        make: impl Future<Output = Value> + Send + 'static,
    ) -> Arc<Value> {
        let known = self.0.clone();
        let task = tokio::spawn(async move {
            let mut known = known.lock_owned().await;
            if let Some((at, answer)) = &*known
                && at.elapsed() < ttl
            {
                return answer.clone();
            }
            let answer = Arc::new(make.await);
            *known = Some((Instant::now(), answer.clone()));
            answer
        });
        let ended_early = |_| Arc::new(json!({ "problem": "the look ended early" }));
        task.await.unwrap_or_else(ended_early)
    }
}

/// A refusal, with its time as text.
#[derive(Debug, Serialize)]
struct DenialEntry {
    user: String,
    issuer: String,
    host: String,
    port: Option<u16>,
    reason: &'static str,
    time: String,
    count: u64,
}

impl From<RecentRefusal> for DenialEntry {
    fn from(refusal: RecentRefusal) -> Self {
        Self {
            user: refusal.user,
            issuer: refusal.issuer,
            host: refusal.host,
            port: refusal.port,
            reason: refusal.reason,
            time: rfc3339(refusal.last),
            count: refusal.count,
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl Answers {
    pub fn new(
        config: Config,
        manager: Manager,
        engine: Engine,
        backups: Option<Backups>,
        aws: AwsVariables,
    ) -> Self {
        let survey = RepeatedSurvey::new(engine.clone(), config.instance.clone(), None, true);
        Self {
            survey: Mutex::new(survey),
            looks: AtomicU64::new(0),
            config,
            manager,
            engine,
            backups,
            aws,
            live: RecentAnswer::default(),
            counters: RecentAnswer::default(),
            workspaces: RecentAnswer::default(),
            doctor: RecentAnswer::default(),
        }
    }

    /// The sandboxes of all servers of the instance, the counters of this server, and what it refused.
    pub async fn live(self: &Arc<Self>) -> Arc<Value> {
        let look = Self::look_at_live(self.clone());
        self.live.get(LIVE_TTL, look).await
    }

    async fn look_at_live(self: Arc<Self>) -> Value {
        let found = self.survey.lock().await.next().await;
        tokio::spawn(Self::rest_unless_watched(self.clone()));
        let (sandboxes, problem) = match found {
            Ok(found) => {
                let entry = |live| SandboxEntry::new(live, &self.config.instance, None);
                (Some(found.into_iter().map(entry).collect::<Vec<_>>()), None)
            }
            Err(error) => (None, Some(chain(&error))),
        };
        let counters = Self::look_at_counters(self.clone());
        let counters = self.counters.get(COUNTERS_TTL, counters).await;
        let denials = self.manager.recent_refusals().into_iter();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.config.instance.as_str(),
            "problem": problem,
            "sandboxes": sandboxes,
            "counters": *counters,
            "denials": denials.map(DenialEntry::from).collect::<Vec<_>>(),
        })
    }

    async fn look_at_counters(self: Arc<Self>) -> Value {
        self.manager.measure().await;
        let metrics = self.manager.meter().text().unwrap_or_default();
        json!(counters(&metrics))
    }

    /// Closes the channels to sandboxes, unless another look comes.
    async fn rest_unless_watched(self: Arc<Self>) {
        let look = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(UNWATCHED_TIMEOUT).await;
        if self.looks.load(Ordering::Relaxed) == look {
            self.survey.lock().await.rest();
        }
    }

    /// All workspaces, without sizes and the last uses of those without a sandbox.
    pub async fn workspaces(self: &Arc<Self>) -> Arc<Value> {
        let look = Self::look_at_workspaces(self.clone());
        self.workspaces.get(WORKSPACES_TTL, look).await
    }

    async fn look_at_workspaces(self: Arc<Self>) -> Value {
        let listed = async {
            let known = self.manager.all_workspaces(false).await;
            let known = known.map_err(|error| chain(&error))?;
            let backups = self.backups.as_ref();
            let lister = WorkspaceLister::new(&self.manager, backups, &self.engine, true).await;
            let lister = lister.map_err(|error| chain(&error))?;
            Ok::<_, String>(lister.list(known).await)
        };
        match listed.await {
            Ok(workspaces) => json!({ "workspaces": workspaces }),
            Err(problem) => json!({ "problem": problem }),
        }
    }

    /// What `casemate doctor` would find.
    pub async fn doctor(self: &Arc<Self>) -> Arc<Value> {
        let examination = Self::examine(self.clone());
        self.doctor.get(DOCTOR_TTL, examination).await
    }

    async fn examine(self: Arc<Self>) -> Value {
        let mut findings: Vec<Finding> = Vec::new();
        let (callers, sessions) = over_http(&self.config);
        let given = Inputs {
            config: Ok(&self.config),
            keeps_old_egress: false,
            callers,
            sessions,
            aws: self.aws.clone(),
        };
        let address = Ok(self.engine.address().clone());
        let never = CancellationToken::new();
        doctor::examine(&given, address, &never, &mut |found| findings.push(found)).await;
        json!({ "time": rfc3339(SystemTime::now()), "findings": findings })
    }
}
