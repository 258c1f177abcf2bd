//! What the tests of both phases share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::identity::Identity;
use clap::Parser;

mod backup;
mod bind;
mod egress;
mod egress_errors;
mod egress_watch;
mod file;
mod flags;
mod given;
mod group_errors;
mod groups;
mod http;
mod readme;
mod reload;
mod shared;
mod users;
mod valid;

#[derive(Parser)]
struct Verb {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// A settings file that is gone when the test is.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("casemate-{}-{nth}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    /// By another file in its place, as careful people change one.
    fn write(&self, content: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn environment(variables: &[(&str, &str)]) -> MapEnvironment {
    MapEnvironment {
        variables: variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        os_user: "alice".to_owned(),
    }
}

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let verb = Verb::try_parse_from([&["verb"], flags].concat()).unwrap();
    Config::load(verb.settings, &environment(variables))
}

/// What holds, without where it was given.
fn values(config: Config) -> Config {
    Config {
        given: Layer::default(),
        egress_source: EgressSource::default(),
        shared: Arc::default(),
        ..config
    }
}

/// The flag as it is typed.
fn flag(setting: Setting) -> String {
    format!("--{}", setting.flag())
}

fn local(subject: &str) -> User {
    User::local(subject.parse().unwrap())
}

/// The whole message, as a person reads it.
fn refused(flags: &[&str], variables: &[(&str, &str)]) -> String {
    load(flags, variables).unwrap_err().to_string()
}

fn load_file(name: &str, content: &str) -> Result<Config, ConfigError> {
    let file = TempFile::new(name, content);
    load(&["--config", file.path()], &[])
}
