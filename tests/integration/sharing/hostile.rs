//! The user's own code writes into the directory of shares.

use super::*;

/// Replaces the record of a link by this JSON.
async fn forge(server: &HttpServer, link: &str, record: &str) {
    let path = format!(".casemate/shares/{}.json", parts(link)[1]);
    write(server, "ada", &path, record).await;
}

#[tokio::test]
async fn a_forged_record_opens_nothing_that_was_not_shared() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    write(&server, "ada", "a.txt", "a").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let id = parts(&link)[1].clone();
    let file = format!(".casemate/shares/{id}.json");
    let record: Value =
        serde_json::from_str(&run(&server, "ada", &format!("cat {file}")).await).expect("JSON");
    let with = |key: &str, value: Value| {
        let mut changed = record.clone();
        changed[key] = value;
        changed.to_string()
    };
    for forged in [
        String::new(),
        "{}".to_owned(),
        "not JSON".to_owned(),
        with("path", json!("../../etc/passwd")),
        with("path", json!("/etc/passwd")),
        with("path", json!(".home/.bashrc")),
        with("path", json!(".")),
        with("etag", json!("0000000000000000")),
        with("etag", json!("00".repeat(32))),
        with("name", json!("a\r\nSet-Cookie: b=c")),
        with("expires_at", json!("2020-01-01T00:00:00Z")),
        format!("{}{}", record, " ".repeat(40_000)),
    ] {
        forge(&server, &link, &forged).await;
        let opened = open_as(&server, "ada", &link).await;
        assert_eq!(opened.status, 404, "{forged:.200}");
    }
    // Another kind of thing in its place: a directory, a pipe, a link that leads out.
    for thing in ["mkdir", "mkfifo", "ln -s /etc/passwd"] {
        run(&server, "ada", &format!("rm -rf {file}; {thing} {file}")).await;
        assert_eq!(open_as(&server, "ada", &link).await.status, 404, "{thing}");
    }
    run(&server, "ada", &format!("rm -rf {file}")).await;
    forge(&server, &link, &record.to_string()).await;
    assert_eq!(open_as(&server, "ada", &link).await.text(), "a");
}

/// Neither opens a private link to strangers, nor makes any link last longer.
#[tokio::test]
async fn a_record_that_says_everybody_is_not_believed() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    write(&server, "ada", "a.txt", "a").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let file = format!(".casemate/shares/{}.json", parts(&link)[1]);
    let everybody = format!("sed -i s/private/link/ {file} && grep -c '\"link\"' {file}");
    assert_eq!(run(&server, "ada", &everybody).await, "1\n");
    assert_eq!(open(&server, &link, &NAVIGATION).await.status, 403);

    let instance = server.instance.name().to_owned();
    let over = signed(&KEY, &instance, "ada", &parts(&link)[1], now() - 1);
    assert_eq!(open_as(&server, "ada", &over).await.status, 404);
    drop(server);

    // Where links are open, one that was signed for a week is so for its last hour alone.
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &deployment.path("tokens.toml"))
        .env("CASEMATE_LINK_KEY_FILE", &deployment.path("key"))
        .env("CASEMATE_SHARE_LINKS", "on")
        .env("CASEMATE_SHARE_LINK_MAX", "1h")
        .start_http()
        .await;
    write(&server, "ada", "a.txt", "a").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let (id, instance) = (parts(&link)[1].clone(), server.instance.name().to_owned());
    let year = "sed -i 's/\"expires_at\": \".*\"/\"expires_at\": \"2999-01-01T00:00:00Z\"/'";
    run(
        &server,
        "ada",
        &format!("{year} .casemate/shares/{id}.json"),
    )
    .await;
    let week = signed(&KEY, &instance, "ada", &id, now() + 604_800);
    assert_eq!(open(&server, &week, &[]).await.status, 403, "for strangers");
    assert_eq!(open_as(&server, "ada", &week).await.text(), "a");
    let hour = signed(&KEY, &instance, "ada", &id, now() + 3_500);
    assert_eq!(open(&server, &hour, &[]).await.text(), "a");
}

#[tokio::test]
async fn a_directory_full_of_other_files_is_bounded() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    server.shell("echo a > a").await;
    let fill = "mkdir -p .casemate/shares && cd .casemate/shares && \
                for i in $(seq 600); do echo '{}' > junk-$i; done; ls | wc -l";
    assert_eq!(server.shell(fill).await.stdout(), "600\n");
    let refused = server.call("share", json!({ "path": "a" })).await;
    assert!(
        refused.is_error() && refused.text().contains("500"),
        "{}",
        refused.text()
    );
    let listed = server
        .ask(crate::harness::MODERN, "resources/list", &json!({}))
        .await;
    let listed = listed.answer().await;
    assert_eq!(listed["result"]["resources"], json!([]), "{listed}");
    assert!(listed["result"]["nextCursor"].is_string(), "{listed}");

    // Those that have ended make room.
    let ended = "cd .casemate/shares && rm * && for i in $(seq 500); do \
        printf '{\"path\":\"a\",\"etag\":\"0000000000000000\",\"name\":\"a\",\"visibility\":\"link\",\
        \"expires_at\":\"2020-01-01T00:00:00Z\"}' > $(printf %032x $i).json; done";
    assert_eq!(server.shell(ended).await.exit_code(), 0);
    let shared = server.call("share", json!({ "path": "a" })).await;
    assert!(!shared.is_error(), "{}", shared.text());
    assert_eq!(
        server.shell("ls .casemate/shares | wc -l").await.stdout(),
        "1\n"
    );
}
