//! The dashboard and the alerts: what they name exists, and a real Prometheus that scrapes
//! a real server answers every query of the dashboard.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use casemate::meter::METRICS;
use serde_json::{Value, json};

use crate::harness::{Directory, HttpServer, Instance, TestServer, eventually, not_run_but_in_ci};

const SOON: Duration = Duration::from_secs(40);

fn packaged(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(packaged(path)).expect("text")
}

/// Every query of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/casemate.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let text = targets.map(|target| target["expr"].as_str().expect("a query").to_owned());
    text.collect()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| {
        let metric = word
            .strip_prefix("casemate_")
            .or(word.strip_prefix("process_"));
        metric.is_some_and(|rest| !rest.is_empty())
    };
    words.filter(ours).collect()
}

/// A server that has done everything that the dashboard shows.
async fn busy(audit: &Directory) -> HttpServer {
    let instance = Instance::new();
    // A workspace to back up exists before the server's first check.
    let mut exec = instance.command(&["exec", "tester", "--create", "--", "true"]);
    assert!(exec.status().expect("it runs").success());
    let server = TestServer::on(&instance)
        .env("CASEMATE_ADMIN", "0")
        .env(
            "CASEMATE_BACKUP_TARGET",
            &format!("{}/backups", audit.text()),
        )
        .env("CASEMATE_BACKUP_EVERY", "1h")
        .env("CASEMATE_AUDIT", audit.text())
        .start_http()
        .await;
    server.shell("echo a > file").await;
    let late = json!({ "command": "sleep 60", "timeout_seconds": 1 });
    server.call("shell_exec", late).await;
    assert_eq!(server.get("/files/download/file").await.0, 200);
    server
}

/// Whether a program of the package `prometheus` is installed. In CI it must be.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        not_run_but_in_ci(&format!(
            "{program} is missing; scripts/setup-tests installs it"
        ));
    }
    found
}

#[tokio::test]
async fn every_metric_that_dashboard_and_alerts_name_exists() {
    let audit = Directory::new(0);
    let scraped = busy(&audit).await.metrics().await;
    let exists = |name: &&str| {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let ours = |name: &str| METRICS.iter().any(|known| known.name == name);
        let process = name.starts_with("process_") && scraped.contains(&format!("\n{name} "));
        process || ours(name) || base.is_some_and(ours)
    };
    for (file, least) in [
        ("grafana/casemate.json", 18),
        ("prometheus/casemate.rules.yml", 8),
    ] {
        let text = read(file);
        let names = named(&text);
        assert!(names.len() >= least, "{file}: {names:?}");
        let unknown: Vec<_> = names.into_iter().filter(|name| !exists(name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[tokio::test]
async fn promtool_accepts_the_alerts_and_what_a_server_tells() {
    if !has("promtool") {
        return;
    }
    let rules = packaged("prometheus/casemate.rules.yml");
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(rules)
        .output();
    let checked = checked.expect("promtool");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let (audit, directory) = (Directory::new(0), Directory::new(0));
    let file = format!("{}/scraped", directory.text());
    std::fs::write(&file, busy(&audit).await.metrics().await).expect("written");
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(file).expect("the text"))
        .output()
        .expect("promtool");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn each_alert_is_seen_to_fire_by_promtool() {
    let (rules, tests) = (
        read("prometheus/casemate.rules.yml"),
        read("prometheus/casemate.rules.test.yml"),
    );
    for line in rules.lines() {
        let Some(alert) = line.trim().strip_prefix("- alert: ") else {
            continue;
        };
        // Alerts about backups concern only servers that make backups.
        let is_tested = tests.contains(&format!("alertname: {alert}\n"));
        assert!(is_tested || alert.contains("Backup"), "{alert}");
    }
    if !has("promtool") {
        return;
    }
    let tested = Command::new("promtool")
        .args(["test", "rules"])
        .arg(packaged("prometheus/casemate.rules.test.yml"))
        .output()
        .expect("promtool");
    let said = String::from_utf8_lossy(&tested.stdout) + String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}");
}

/// A Prometheus for one test. Dropping it ends it.
struct Prometheus {
    child: std::process::Child,
    port: u16,
    _data: Directory,
}

impl Prometheus {
    fn start(server: &HttpServer) -> Self {
        let data = Directory::new(0);
        let file = format!("{}/prometheus.yml", data.text());
        let target = server.admin.expect("an admin address");
        let rules = packaged("prometheus/casemate.rules.yml");
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "casemate",
                "static_configs": [{ "targets": [target.to_string()] }],
            }],
        });
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).expect("written");
        // A free port, released again: Prometheus accepts no port 0.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={file}"))
            .arg(format!("--storage.tsdb.path={}/data", data.text()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        let _data = data;
        Self { child, port, _data }
    }

    /// How many series a query has now; `None` without an answer.
    async fn series(&self, server: &HttpServer, query: &str) -> Option<usize> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        tokio::net::TcpStream::connect(address).await.ok()?;
        let query =
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let request = hyper::Request::builder().uri(format!("/api/v1/query?query={query}"));
        let request = request.header("host", address.to_string());
        let answer = server.send_to(address, request, "").await.text().await;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        Some(answer["data"]["result"].as_array()?.len())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn every_query_of_the_dashboard_is_answered_by_a_real_prometheus() {
    if !has("prometheus") {
        return;
    }
    let audit = Directory::new(0);
    let server = busy(&audit).await;
    let prometheus = Prometheus::start(&server);
    // Values of variables, as Grafana fills them in.
    let queries = queries().into_iter();
    let queries = queries.map(|query| query.replace("$__rate_interval", "1m"));
    let queries: Vec<_> = queries
        .map(|query| query.replace("$instance", ".*"))
        .collect();
    assert!(queries.len() >= 15, "{queries:?}");
    for query in &queries {
        eventually(query, SOON, async || {
            prometheus.series(&server, query).await > Some(0)
        })
        .await;
    }
    let firing = r#"ALERTS{alertname="CasemateEngineDown"}"#;
    assert_eq!(prometheus.series(&server, firing).await, Some(0));
}
