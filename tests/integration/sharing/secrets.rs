//! A link is as good as what it opens: its signature is in no log, no record and no metric.

use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::harness::eventually;

#[tokio::test]
async fn no_log_no_audit_and_no_metric_has_the_signature_of_a_link() {
    let deployment = Deployment::new();
    let (log, audit) = (deployment.path("log"), deployment.path("audit"));
    let server = deployment
        .for_users()
        // rmcp would log whole messages.
        .env("CASEMATE_LOG", "trace,rmcp=off")
        .env("CASEMATE_AUDIT", &audit)
        .env("CASEMATE_AUDIT_CONTENT", "on")
        .env("CASEMATE_SHARE_LINKS", "on")
        .flag("--admin", "127.0.0.1:0")
        .flag("--http", "127.0.0.1:0");
    let child = server
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the server starts");
    let address = |begin: &str| {
        let text = fs::read_to_string(&log).expect("a log");
        let line = text.lines().find_map(|line| line.strip_prefix(begin));
        line.and_then(|address| address.trim().parse().ok())
    };
    let listens = async || address("listening on ").is_some();
    eventually("it listens", Duration::from_secs(15), listens).await;
    let server = HttpServer {
        instance: server.instance().clone(),
        child,
        address: address("listening on ").expect("an address"),
        admin: address("metrics on "),
    };
    write(&server, "ada", "a.txt", "content of a").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let signature = parts(&link)[3].clone();
    assert_eq!(open(&server, &link, &NAVIGATION).await.status, 200);
    assert_eq!(open(&server, &format!("{link}?x=1"), &[]).await.status, 400);
    assert_eq!(open(&server, &format!("{link}x"), &[]).await.status, 404);
    // One that the guard refuses, and logs.
    let embedded = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    assert_eq!(open(&server, &link, &embedded).await.status, 403);
    let admin = server.admin.expect("metrics");
    let metrics = server.send_to(admin, server.request("GET", "/metrics"), "");
    let metrics = metrics.await.text().await;

    let records: String = fs::read_dir(&audit)
        .expect("a directory")
        .map(|file| fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    let opened: Vec<&str> = records
        .lines()
        .filter(|line| line.contains("\"tool\":\"http_share\""))
        .collect();
    assert_eq!(opened.len(), 1, "{records}");
    assert!(opened[0].contains(&parts(&link)[1]), "it names the share");
    assert!(opened[0].contains("\"subject\":\"ada\"") && opened[0].contains("\"outcome\":\"ok\""));
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("DEBUG"), "the log is there");
    for (what, text) in [("log", &log), ("audit", &records), ("metrics", &metrics)] {
        assert!(!text.contains(&signature), "the {what} has the signature");
    }
    assert!(metrics.contains("route=\"/s/{token}\""), "{metrics}");
}
