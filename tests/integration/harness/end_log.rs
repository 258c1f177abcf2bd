//! What a server knows of the ends of its containers.

use std::time::Duration;

use super::{SettingFile, TestServer, eventually};

/// How long the Engine may take to tell a server of an end.
const TOLD: Duration = Duration::from_secs(20);

/// What it logs when it begins to use a container, and when it no longer does.
const BEGINNINGS: [&str; 2] = ["container started", "container adopted"];
const ENDS: [&str; 2] = ["container ended", "container retired"];

/// The log of a server, which names each container that has ended, or that the server itself ends.
/// Docker tells the server before it answers who removed the container, and Podman some time later: a
/// command that is sent in between is lost.
#[derive(Debug)]
pub struct EndLog(SettingFile);

impl EndLog {
    /// Of `server`, which is not started yet.
    pub fn of(server: TestServer) -> (Self, TestServer) {
        let log = SettingFile::new("");
        let server = server.env("CASEMATE_LOG", "info,casemate::sandbox=debug");
        let server = server.log_to(&log.path());
        (Self(log), server)
    }

    /// Waits until the server knows that these containers have ended, of those that it used.
    pub async fn until_known(&self, containers: &[String]) {
        let is_known = async || {
            let log = std::fs::read_to_string(self.0.path()).expect("the log");
            let says = |one: &String, words: [&str; 2]| {
                let mut lines = log.lines().filter(|line| line.contains(one.as_str()));
                lines.any(|line| words.iter().any(|words| line.contains(words)))
            };
            let mut used = containers.iter().filter(|one| says(one, BEGINNINGS));
            used.all(|one| says(one, ENDS))
        };
        eventually("the server knows of the end", TOLD, is_known).await;
    }
}
