//! `doctor`, and a server whose settings file changes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{SETTINGS, Settings};

/// The findings of `doctor` about egress.
fn findings(settings: &Settings) -> Vec<(String, String)> {
    let report = settings.run(&["doctor", "--json"]).stdout;
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let findings = report["findings"].as_array().expect("findings").iter();
    let about = findings.filter(|finding| finding["check"] == "egress");
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    about
        .map(|finding| (word(&finding["level"]), word(&finding["found"])))
        .collect()
}

#[test]
fn doctor_warns_of_ports_of_servers_and_of_a_file_that_a_server_cannot_read_again() {
    let settings = Settings::new(SETTINGS);
    assert_eq!(findings(&settings), []);
    settings.write("[[users]]\nuser = \"ada\"\negress.allow = [\"a.example.com:5173\"]");
    let (level, found) = findings(&settings).remove(0);
    assert_eq!(level, "warning");
    assert!(found.contains("a.example.com:5173"), "{found}");
    settings.write("[egress]\nalow = []");
    let (level, found) = findings(&settings).remove(0);
    assert_eq!(level, "warning");
    assert!(found.contains("keeps the egress rules"), "{found}");
    // A running server does not read the other settings again.
    settings.write("pids = 1");
    assert_eq!(findings(&settings), []);
}

/// A server, ended by its Drop.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test]
async fn a_file_that_breaks_while_a_server_runs_is_in_the_metrics_and_once_in_the_log() {
    let settings = Settings::new(SETTINGS);
    let log = settings.file.with_extension("log");
    let mut serve = settings.command(&["serve", "--http", "0", "--admin", "0"]);
    let stderr = std::fs::File::create(&log).expect("a file");
    let _server = Serving(
        serve
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("it runs"),
    );
    let lines = || std::fs::read_to_string(&log).expect("the log");
    let deadline = Instant::now() + Duration::from_secs(60);
    let until = async |what: &str, is_so: &mut dyn FnMut() -> Option<String>| {
        loop {
            if let Some(found) = is_so() {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: {}", lines());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let address = until("it serves", &mut || {
        let lines = lines();
        let (_, after) = lines.split_once("metrics on ")?;
        Some(after.split_once('\n')?.0.to_owned())
    })
    .await;
    let metric = |wanted: u8| {
        let address = address.clone();
        move || {
            let line = format!("\ncasemate_egress_settings_broken {wanted}\n");
            metrics(&address).contains(&line).then_some(line)
        }
    };
    until("as at the start", &mut metric(0)).await;
    settings.write("[egress]\nallow = [\"*.com\"]");
    until("the file is broken", &mut metric(1)).await;
    // More than one look at the broken file.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = lines();
    let complaints = said
        .matches("the file is not used; what it said before holds")
        .count();
    assert_eq!(complaints, 1, "{said}");
    assert!(said.contains("key egress.allow[0] in line 2 of "), "{said}");
    settings.write("[egress]\nallow = [\"a.example.com\"]");
    until("the file is fixed", &mut metric(0)).await;
    until("the rules changed", &mut || {
        lines()
            .contains("the rules of egress changed")
            .then(String::new)
    })
    .await;
}
