//! The JSON of the console. Each answer is kept for a moment, so that many open pages cost as much as
//! one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
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

/// How long the list of workspaces is shown: it lists the store of backups.
const WORKSPACES_TTL: Duration = Duration::from_secs(20);

/// How long the findings of the doctor are shown: it tries a sandbox.
const DOCTOR_TTL: Duration = Duration::from_secs(30);

/// What the console shows.
pub(super) struct Answers {
    config: Config,
    manager: Manager,
    engine: Engine,
    backups: Option<Backups>,
    aws: AwsVariables,
    survey: Mutex<RepeatedSurvey>,
    live: RecentAnswer,
    workspaces: RecentAnswer,
    doctor: RecentAnswer,
}

/// An answer and its time. Requests that come before it is ready wait for it.
#[derive(Debug, Default)]
struct RecentAnswer(Mutex<Option<(Instant, Arc<Value>)>>);

impl RecentAnswer {
    async fn get(&self, ttl: Duration, make: impl Future<Output = Value>) -> Arc<Value> {
        let mut known = self.0.lock().await;
        if let Some((at, answer)) = &*known
            && at.elapsed() < ttl
        {
            return answer.clone();
        }
        let answer = Arc::new(make.await);
        *known = Some((Instant::now(), answer.clone()));
        answer
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
        let survey = RepeatedSurvey::new(engine.clone(), config.instance.clone(), None);
        Self {
            survey: Mutex::new(survey.with_scripts()),
            config,
            manager,
            engine,
            backups,
            aws,
            live: RecentAnswer::default(),
            workspaces: RecentAnswer::default(),
            doctor: RecentAnswer::default(),
        }
    }

    /// The sandboxes of all servers of the instance, the counters of this server, and what it refused.
    pub async fn live(&self) -> Arc<Value> {
        self.live.get(LIVE_TTL, self.look_at_live()).await
    }

    async fn look_at_live(&self) -> Value {
        let found = self.survey.lock().await.next().await;
        let (sandboxes, problem) = match found {
            Ok(found) => {
                let entry = |live| SandboxEntry::new(live, &self.config.instance, None);
                (Some(found.into_iter().map(entry).collect::<Vec<_>>()), None)
            }
            Err(error) => (None, Some(chain(&error))),
        };
        self.manager.measure().await;
        let metrics = self.manager.meter().text().unwrap_or_default();
        let denials = self.manager.recent_refusals().into_iter();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.config.instance.as_str(),
            "problem": problem,
            "sandboxes": sandboxes,
            "counters": counters(&metrics),
            "denials": denials.map(DenialEntry::from).collect::<Vec<_>>(),
        })
    }

    /// All workspaces, without sizes and the last uses of those without a sandbox.
    pub async fn workspaces(&self) -> Arc<Value> {
        let look = self.look_at_workspaces();
        self.workspaces.get(WORKSPACES_TTL, look).await
    }

    async fn look_at_workspaces(&self) -> Value {
        let listed = async {
            let known = self.manager.all_workspaces().await;
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
    pub async fn doctor(&self) -> Arc<Value> {
        self.doctor.get(DOCTOR_TTL, self.examine()).await
    }

    async fn examine(&self) -> Value {
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
