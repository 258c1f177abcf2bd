use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::EgressConfig;
use crate::config::error::ConfigError;
use crate::config::file::{self, FileSettings};
use crate::config::layer::{Layer, RawValue};
use crate::config::limits::CONFIG_FILE_BYTES;
use crate::config::reload::{CHECK_INTERVAL, FileError, Reload};
use crate::config::setting::Setting;
use crate::config::{groups, users};

/// What the rules are read from, at the start and again later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressSource {
    path: Option<Arc<Path>>,
    /// From a flag or the environment, which do not change while a server runs.
    allow: Option<RawValue>,
}

/// The rules in force, while the settings file changes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EgressWatch {
    rules: Arc<watch::Sender<Arc<EgressConfig>>>,
    problem: Arc<watch::Sender<Option<String>>>,
}

impl EgressSource {
    /// `above`: flags and variables, which override the file.
    pub(in crate::config) fn new(path: Option<&Path>, above: &Layer) -> Self {
        Self {
            path: path.map(Arc::from),
            allow: above.get(Setting::EgressAllow).cloned(),
        }
    }

    /// What the file says about egress. Its other settings count only from the next start, but one
    /// that is unknown shows that the file is not finished.
    fn compile(&self, file: FileSettings) -> Result<EgressConfig, ConfigError> {
        let in_file = file.settings.get(Setting::EgressAllow);
        let allow = self.allow.as_ref().or(in_file);
        let groups = groups::identify(file.groups)?;
        let users = users::identify(file.users)?;
        EgressConfig::from_raw(file.egress.as_ref(), allow, &groups, &users)
    }

    fn parse(&self, path: &Arc<Path>, text: &str) -> Result<EgressConfig, FileError> {
        if text.len() as u64 > CONFIG_FILE_BYTES {
            return Err(FileError::Whole {
                path: path.clone(),
                message: format!("it has more than {CONFIG_FILE_BYTES} bytes"),
            });
        }
        let compiled = file::parse(path, text).and_then(|file| self.compile(file));
        Ok(compiled.map_err(Box::new)?)
    }

    /// The file, if it can be read twice: a pipe cannot.
    fn file(&self) -> Option<&Path> {
        let is_pipe = |path: &Path| fs::metadata(path).is_ok_and(|it| !it.is_file());
        self.path.as_deref().filter(|path| !is_pipe(path))
    }

    /// The rules of the file now; `None`: there is no file.
    pub(in crate::config) fn read(&self) -> Result<Option<EgressConfig>, ConfigError> {
        let file = self.file().map(file::read).transpose()?;
        file.map(|file| self.compile(file)).transpose()
    }
}

impl EgressWatch {
    /// Starts the task that checks the file once a second, until `stop`. There is no task without a
    /// file, or for a pipe, which cannot be read twice. Must be called inside the runtime.
    pub(in crate::config) fn start(
        first: Arc<EgressConfig>,
        source: EgressSource,
        stop: CancellationToken,
    ) -> Self {
        let watch = Self {
            rules: Arc::new(watch::Sender::new(first.clone())),
            problem: Arc::new(watch::Sender::new(None)),
        };
        if let Some(path) = source.file().map(Arc::<Path>::from) {
            let parse = move |path: &Arc<Path>, text: &str| source.parse(path, text);
            let file = Reload::starting_with(&path, first, parse);
            let watch = watch.clone();
            tokio::spawn(async move {
                stop.run_until_cancelled(watch.look_by_the_clock(&file))
                    .await;
            });
        }
        watch
    }

    /// The rules, now and when they change. The receiver closes when the task has ended and the last
    /// clone of this value is gone.
    #[must_use]
    pub fn rules(&self) -> watch::Receiver<Arc<EgressConfig>> {
        self.rules.subscribe()
    }

    /// Why the last check did not use the file, now and when that changes; `None`: it did.
    #[must_use]
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    async fn look_by_the_clock(&self, file: &Reload<EgressConfig>) {
        let mut clock = interval(CHECK_INTERVAL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            // On this thread: mostly one system call, and the runtime's blocking pool hangs at the limit
            // of processes.
            self.set(file.look_now(), file.problem());
        }
    }

    fn set(&self, rules: Arc<EgressConfig>, problem: Option<String>) {
        let is_other = self.rules.send_if_modified(|known| {
            // At most checks it is the same value: then only two pointers are compared.
            let is_other = *known != rules;
            *known = rules;
            is_other
        });
        if is_other {
            info!("the rules of egress changed");
        }
        self.problem.send_if_modified(|known| {
            let is_other = *known != problem;
            *known = problem;
            is_other
        });
    }
}
