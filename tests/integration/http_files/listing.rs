//! Listings.

use serde_json::{Value, json};

use super::client::{get, is_success, put};
use crate::harness::{HttpServer, TestServer};

async fn list(server: &HttpServer, query: &str) -> Value {
    get(server, &format!("/files/list{query}")).await.data()
}

fn names(listing: &Value) -> Vec<&str> {
    let files = listing["files"].as_array().expect("files");
    let names = files.iter().map(|file| file["filename"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[tokio::test]
async fn a_listing_has_the_documented_form() {
    let server = TestServer::new().start_http().await;
    let empty = list(&server, "").await;
    assert_eq!(
        empty,
        json!({ "files": [], "total": 0, "next_cursor": null })
    );
    let made = "mkdir -p dir/sub .config; printf 123 > dir/a.txt; ln -s a.txt dir/link; \
                touch -d '2023-11-14 22:13:20 UTC' dir/a.txt dir/sub";
    server.shell(made).await;
    let listing = list(&server, "?path=dir").await;
    let modified = "2023-11-14T22:13:20Z";
    let files = &listing["files"];
    assert_eq!(
        files[0],
        json!({ "filename": "a.txt", "size": 3, "is_dir": false, "modified": modified })
    );
    assert_eq!(files[1]["filename"], "link");
    assert_eq!(files[1]["is_dir"], false);
    assert_eq!(
        (
            &files[2]["filename"],
            &files[2]["is_dir"],
            &files[2]["modified"]
        ),
        (&json!("sub"), &json!(true), &json!(modified))
    );
    assert_eq!(
        (&listing["total"], &listing["next_cursor"]),
        (&json!(3), &Value::Null)
    );
    // What commands and their output leave is hidden, as for the tool.
    assert_eq!(names(&list(&server, "").await), [".config", "dir"]);
    let deep = list(&server, "?depth=2&path=.").await;
    assert_eq!(
        names(&deep),
        [".config", "dir", "dir/a.txt", "dir/link", "dir/sub"]
    );
    assert_eq!(
        names(&list(&server, "?path=%2Fworkspace%2Fdir%2F").await).len(),
        3
    );
}

#[tokio::test]
async fn pages_hold_every_entry_once_and_the_total_of_all() {
    let server = TestServer::new().start_http().await;
    server
        .shell("mkdir many; cd many; seq -f %05.0f 2500 | xargs touch")
        .await;
    let mut cursor = String::new();
    let mut found = Vec::new();
    for page in 1..=3 {
        let listing = list(&server, &format!("?path=many&cursor={cursor}")).await;
        assert_eq!(listing["total"], 2500, "page {page}");
        found.extend(names(&listing).into_iter().map(str::to_owned));
        cursor = listing["next_cursor"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(cursor.is_empty(), page == 3, "page {page}");
    }
    let wanted: Vec<String> = (1..=2500).map(|nth| format!("{nth:05}")).collect();
    assert_eq!(found, wanted);
    for (more, total) in [(7_500, json!(10_000)), (1, Value::Null)] {
        let last = 2_500 + more;
        server.shell(&format!("cd many; seq -f %05.0f {last} | xargs touch -c; seq -f %05.0f 2501 {} | xargs touch", 10_000 + i32::from(more == 1))).await;
        assert_eq!(list(&server, "?path=many").await["total"], total);
    }
}

#[tokio::test]
async fn a_name_from_a_listing_can_be_asked_for() {
    let server = TestServer::new().start_http().await;
    let name = "say \"hi\"\n\u{1b}[31m 日\\";
    let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert!(is_success(put(&server, &escaped, "x").await.status));
    let listing = list(&server, "").await;
    assert_eq!(names(&listing), [name]);
    assert_eq!(
        get(&server, &format!("/files/content/{escaped}"))
            .await
            .body,
        "x"
    );
    server.shell("rm -- *; touch $'\\xff'").await;
    assert_eq!(names(&list(&server, "").await), ["\\xff"]);
}

#[tokio::test]
async fn what_cannot_be_listed_says_why() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "x").await;
    for (query, status, code) in [
        ("?path=no", 404, "not_found"),
        ("?path=file", 409, "not_directory"),
        ("?path=file%2Fa", 409, "not_directory"),
        ("?path=..", 403, "outside_workspace"),
        ("?path=%2Fetc", 403, "outside_workspace"),
        ("?path=a%00b", 400, "invalid_argument"),
        ("?path=%ff", 400, "invalid_argument"),
        ("?depth=0", 400, "invalid_argument"),
        ("?depth=65", 400, "invalid_argument"),
        ("?depth=x", 400, "invalid_argument"),
        ("?cursor=nonsense", 400, "invalid_argument"),
        ("?limit=5", 400, "invalid_argument"),
    ] {
        let reply = get(&server, &format!("/files/list{query}")).await;
        assert_eq!(reply.error(), (status, code.to_owned()), "{query}");
    }
}
