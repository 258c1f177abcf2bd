//! Listings.

use serde_json::{Value, json};

use super::client::{ask, get, is_success, put};
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
        json!({
            "filename": "a.txt",
            "url": "/files/content/dir/a.txt",
            "size": 3,
            "is_dir": false,
            "modified": modified,
        })
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
    // Files of commands and their output are hidden, as in the tool.
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
}

#[tokio::test]
async fn names_that_are_not_text_differ_and_each_has_an_address() {
    let server = TestServer::new().start_http().await;
    let made = r#"mkdir d && cd d && printf byte > $'caf\xe9' && printf text > 'caf\xe9' && printf quoted > '$'"'"'caf\xe9'"'""#;
    assert_eq!(server.shell(made).await.exit_code(), 0);
    let listing = list(&server, "?path=d").await;
    let shown = names(&listing);
    let wanted = [r"$'$\'caf\\xe9\''", r"caf\xe9", r"$'caf\xe9'"];
    assert_eq!(shown, wanted);
    let files = listing["files"].as_array().expect("files").clone();
    for (file, text) in files.iter().zip(["quoted", "text", "byte"]) {
        let url = file["url"].as_str().expect("an address");
        assert_eq!(get(&server, url).await.body, text, "{url}");
        // The tools accept names as they show them.
        let path = file["filename"].as_str().expect("a name");
        let path = match path.strip_prefix("$'") {
            Some(rest) => format!("$'d/{rest}"),
            None => format!("d/{path}"),
        };
        let read = server.call("read_file", json!({ "path": path })).await;
        assert_eq!(read.text(), text, "{path}");
    }
    let listed = server.call("list_files", json!({ "path": "d" })).await;
    let paths = listed.field("entries").as_array().expect("entries").iter();
    let paths: Vec<&str> = paths
        .map(|entry| entry["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(paths, [r"d/$'caf\xe9'", r"d/caf\xe9", r"$'d/caf\xe9'"]);
    for (path, text) in paths.iter().zip(["quoted", "text", "byte"]) {
        let read = server.call("read_file", json!({ "path": path })).await;
        assert_eq!(read.text(), text, "{path}");
    }
    // The listed address finds this file and no other.
    assert_eq!(get(&server, "/files/content/d/caf%E9").await.body, "byte");
    assert_eq!(
        get(&server, "/files/content/d/caf%5Cxe9").await.body,
        "text"
    );
    let shown = "/files/content/d/$%27caf%5Cxe9%27";
    assert_eq!(get(&server, shown).await.body, "quoted");
    let gone = ask(&server, "DELETE", "/files/content/d/caf%E9", &[], "").await;
    assert_eq!(gone.status, 200);
    let put = ask(&server, "PUT", "/files/content/d/%FF/new", &[], "x").await;
    assert_eq!(
        (put.status, &put.data()["filename"]),
        (201, &json!(r"$'d/\xff/new'"))
    );
    assert_eq!(list(&server, "?path=d%2F%FF").await["total"], 1);
    let left = server
        .shell(r"cd d && cat 'caf\xe9' $'\xff/new' && ls | wc -l")
        .await;
    assert_eq!(left.stdout(), "textx3\n");
    let download = get(&server, "/files/download/d/%FF").await;
    assert_eq!(download.status, 200);
}

#[tokio::test]
async fn a_failed_listing_says_why() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "x").await;
    for (query, status, code) in [
        ("?path=no", 404, "not_found"),
        ("?path=file", 409, "not_directory"),
        ("?path=file%2Fa", 409, "not_directory"),
        ("?path=..", 403, "outside_workspace"),
        ("?path=%2Fetc", 403, "outside_workspace"),
        ("?path=a%00b", 400, "invalid_argument"),
        ("?path=%ff", 404, "not_found"),
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
