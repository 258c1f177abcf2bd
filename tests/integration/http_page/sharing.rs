//! Shares that a person makes on the page, and their links.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{ask, with_tokens};
use crate::harness::{Directory, HttpServer, TestServer};
use crate::http_files::client;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(server: &HttpServer, path: &str, body: &Value) -> client::Reply {
    client::ask(server, "POST", path, &[JSON], body.to_string()).await
}

/// The path of a link of this server.
fn path_of(link: &Value) -> String {
    let link = link.as_str().expect("a link");
    let at = link.find("/s/").expect("a link to what is shared");
    link[at..].to_owned()
}

#[tokio::test]
async fn a_person_shares_a_file_gets_its_link_again_and_ends_it() {
    let server = TestServer::new().start_http().await;
    let put = client::ask(&server, "PUT", "/files/content/a.txt", &[], "hello").await;
    assert_eq!(put.status, 201, "{put:?}");
    let made = post(
        &server,
        "/shares",
        &json!({ "path": "a.txt", "expires_in_seconds": 600 }),
    )
    .await;
    assert_eq!(
        (made.status, made.header("cache-control")),
        (201, "no-store")
    );
    let made = made.data();
    let opened = client::ask(&server, "GET", &path_of(&made["link"]), &[], "").await;
    assert_eq!((opened.status, opened.text()), (200, "hello"));
    let (_, listed) = server.get("/shares").await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed["data"]["shares"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let links = post(&server, &format!("/shares/{id}/link"), &json!({})).await;
    let links = links.data();
    let ends = &made["expires_at"];
    assert_eq!(
        links,
        json!({ "link": made["link"], "preview_link": null, "expires_at": ends })
    );
    let ended = client::ask(&server, "DELETE", &format!("/shares/{id}"), &[], "").await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let gone = post(&server, &format!("/shares/{id}/link"), &json!({})).await;
    assert_eq!(gone.error(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_site_and_a_port_open_in_the_browser() {
    let server = TestServer::new().start_http().await;
    let put = client::ask(
        &server,
        "PUT",
        "/files/content/site/index.html",
        &[],
        "<p>hi",
    )
    .await;
    assert_eq!(put.status, 201, "{put:?}");
    for body in [json!({ "path": "site" }), json!({ "port": 8000 })] {
        let made = post(&server, "/shares", &body).await.data();
        let first = made["preview_link"].as_str().expect("a preview").to_owned();
        let (_, listed) = server.get("/shares").await;
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        let shares = listed["data"]["shares"]
            .as_array()
            .expect("an array")
            .clone();
        let name = &made["name"];
        let share = shares.iter().find(|share| share["name"] == *name);
        let id = share.expect("it is listed")["id"].as_str().expect("an id");
        let links = post(&server, &format!("/shares/{id}/link"), &json!({}))
            .await
            .data();
        let again = links["preview_link"].as_str().expect("a preview");
        // Signed at another time, at the same host.
        let host = |link: &str| link.split('#').next().unwrap_or_default().to_owned();
        assert_eq!(host(again), host(&first));
    }
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused_in_the_words_of_the_tool() {
    let server = TestServer::new().start_http().await;
    for (body, status, code) in [
        (json!({}), 400, "invalid_argument"),
        (json!({ "path": "nowhere" }), 404, "not_found"),
        (json!({ "port": 0 }), 400, "invalid_argument"),
        (json!({ "path": "a", "to": "b" }), 400, "invalid_argument"),
    ] {
        let refused = post(&server, "/shares", &body).await;
        assert_eq!(refused.error(), (status, code.to_owned()), "{body}");
    }
    let odd = post(&server, "/shares/x/link", &json!({})).await;
    assert_eq!(odd.error(), (400, "invalid_argument".to_owned()));
}

#[tokio::test]
async fn to_share_needs_the_scope_of_the_tools_and_no_one_gets_anothers_link() {
    let directory = Directory::new(0);
    let rows = [
        ("of-alice", r#"user = "alice""#, r#"["tools", "files"]"#),
        ("of-bob", r#"user = "bob""#, r#"["tools", "files"]"#),
        ("of-carol", r#"user = "alice""#, r#"["files"]"#),
    ];
    let server = with_tokens(&directory, &rows).await;
    let put = ask(&server, "of-alice", "PUT", "/files/content/a", "hers").await;
    assert_eq!(put.status(), 201);
    let share = async |token: &str, path: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [JSON, ("authorization", bearer.as_str())];
        client::ask(&server, "POST", path, &headers, body.to_owned()).await
    };
    let body = r#"{"path":"a"}"#;
    assert_eq!(share("of-carol", "/shares", body).await.status, 403);
    assert_eq!(share("of-alice", "/shares", body).await.status, 201);
    let listed = ask(&server, "of-alice", "GET", "/shares", "").await;
    let listed: Value = serde_json::from_str(&listed.text().await).expect("JSON");
    let id = listed["data"]["shares"][0]["id"].as_str().expect("an id");
    let path = format!("/shares/{id}/link");
    assert_eq!(share("of-bob", &path, "{}").await.error().0, 404);
    assert_eq!(share("of-carol", &path, "{}").await.status, 403);
    assert_eq!(share("of-alice", &path, "{}").await.status, 200);
}

/// The user's code can write a share that ends in a thousand years.
#[tokio::test]
async fn a_new_link_ends_no_later_than_that_of_a_new_share() {
    let server = TestServer::new().start_http().await;
    for (body, most) in [
        (json!({ "path": "a" }), 604_800),
        (json!({ "port": 8000 }), 28_800),
    ] {
        let put = client::ask(&server, "PUT", "/files/content/a", &[], "hello").await;
        assert_eq!(put.status, 201, "{put:?}");
        assert_eq!(post(&server, "/shares", &body).await.status, 201);
        let lasting = "sed -i 's/\"20[^\"]*Z\"/\"9999-01-01T00:00:00Z\"/' .casemate/shares/*.json; ls .casemate/shares";
        let ids = server.shell(lasting).await;
        let id = ids.stdout().trim().trim_end_matches(".json").to_owned();
        let links = post(&server, &format!("/shares/{id}/link"), &json!({})).await;
        let links = links.data();
        let end = links["expires_at"].as_str().expect("a time");
        let end = humantime::parse_rfc3339(end).expect("a time");
        let left = end.duration_since(SystemTime::now()).expect("later");
        assert!(left <= Duration::from_secs(most), "{body}: {links}");
        assert!(left > Duration::from_secs(most - 600), "{body}: {links}");
        let ended = client::ask(&server, "DELETE", &format!("/shares/{id}"), &[], "").await;
        assert_eq!(ended.status, 200, "{ended:?}");
        client::ask(&server, "DELETE", "/files/content/a", &[], "").await;
    }
}
