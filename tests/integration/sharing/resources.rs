//! The resources of MCP: over both transports, in both forms of the protocol.

use super::*;
use crate::harness::MODERN;

/// `resources/read`: the first of its contents, or the error.
async fn read(server: &HttpServer, version: &str, uri: &str) -> Value {
    let params = json!({ "uri": uri });
    let (mut request, body) = server.question(version, "resources/read", &params);
    if version == MODERN {
        request = request.header("mcp-name", uri);
    }
    let answer = server.send(request, body).await.answer().await;
    match answer.get("error") {
        Some(error) => error.clone(),
        None => answer["result"]["contents"][0].clone(),
    }
}

#[tokio::test]
async fn a_file_is_a_resource_over_both_transports() {
    let http = TestServer::new().start_http().await;
    let stdio = TestServer::new().start().await;
    let make = "printf 'x,y\\n1,2\\n' > 'a b.csv'; printf '\\0\\377' > data; mkdir d";
    http.shell(make).await;
    stdio.shell(make).await;
    let of_stdio = async |uri: &str| {
        let answer = stdio
            .rpc
            .request("resources/read", json!({ "uri": uri }))
            .await;
        answer["result"]["contents"][0].clone()
    };
    for (uri, wanted) in [
        (
            "casemate:///a%20b.csv",
            json!({ "uri": "casemate:///a%20b.csv", "mimeType": "text/csv", "text": "x,y\n1,2\n" }),
        ),
        (
            "casemate:///data",
            json!({
                "uri": "casemate:///data", "mimeType": "application/octet-stream", "blob": "AP8=",
            }),
        ),
    ] {
        assert_eq!(of_stdio(uri).await, wanted);
        for version in ["2025-06-18", MODERN] {
            assert_eq!(read(&http, version, uri).await, wanted, "{version}");
        }
    }
    let templates = stdio
        .rpc
        .request("resources/templates/list", json!({}))
        .await;
    let template = &templates["result"]["resourceTemplates"][0];
    assert_eq!(template["uriTemplate"], "casemate:///{+path}");
    let info = stdio.initialize("2025-06-18").await;
    assert!(info["capabilities"]["resources"].is_object(), "{info}");
}

#[tokio::test]
async fn what_read_file_refuses_is_no_resource_with_the_same_code() {
    let server = TestServer::new().start_http().await;
    server
        .shell("mkdir d; mkfifo pipe; ln -s /etc out; truncate -s 3145729 large")
        .await;
    for (uri, path, code) in [
        ("casemate:///none", "none", "not_found"),
        ("casemate:///d", "d", "is_directory"),
        ("casemate:///d/", "d/", "is_directory"),
        ("casemate:///pipe", "pipe", "not_regular"),
        ("casemate:///out/passwd", "out/passwd", "outside_workspace"),
        (
            "casemate:///../etc/passwd",
            "../etc/passwd",
            "outside_workspace",
        ),
        (
            "casemate:///%2e%2e/etc/passwd",
            "../etc/passwd",
            "outside_workspace",
        ),
    ] {
        let tool = server.call("read_file", json!({ "path": path })).await;
        assert_eq!(tool.code(), code, "{path}");
        let error = read(&server, "2025-06-18", uri).await;
        assert_eq!(error["data"]["code"], code, "{uri}: {error}");
        let wanted = if code == "not_found" { -32002 } else { -32602 };
        assert_eq!(error["code"], wanted, "{uri}: {error}");
        assert_eq!(read(&server, MODERN, uri).await["code"], -32602, "{uri}");
    }
    for uri in [
        "file:///etc/passwd",
        "casemate://other/a",
        "",
        "casemate:///a?b",
    ] {
        let error = read(&server, "2025-06-18", uri).await;
        assert_eq!(error["data"]["code"], "invalid_argument", "{uri}: {error}");
    }
    let error = read(&server, "2025-06-18", "casemate:///large").await;
    assert_eq!(error["data"]["code"], "too_large", "{error}");
    server.shell("truncate -s 3145728 large").await;
    let whole = read(&server, "2025-06-18", "casemate:///large").await;
    let blob = BASE64_STANDARD.decode(whole["blob"].as_str().expect("a blob"));
    assert_eq!(blob.expect("base64"), vec![0; 3_145_728]);
}

/// All pages of `resources/list`, page by page.
async fn pages(server: &HttpServer) -> Vec<Vec<Value>> {
    let (mut pages, mut params) = (Vec::new(), json!({}));
    loop {
        let listed = server.ask("2025-06-18", "resources/list", &params).await;
        let result = listed.answer().await["result"].clone();
        pages.push(result["resources"].as_array().expect("a list").clone());
        match result["nextCursor"].as_str() {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn the_list_is_the_directory_of_shares_page_by_page() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    assert_eq!(
        pages(&server).await,
        [Vec::<Value>::new()],
        "nothing is shared"
    );
    server
        .shell("mkdir d; echo d > d/d; for i in $(seq 60); do echo $i > f$i.txt; done")
        .await;
    for number in 1..=60 {
        let arguments = json!({ "path": format!("f{number}.txt"), "name": format!("n{number}") });
        server.call("share", arguments).await;
    }
    server.call("share", json!({ "path": "d" })).await;
    let listed = pages(&server).await;
    assert_eq!(listed.len(), 2, "61 shares are two pages");
    let all: Vec<Value> = listed.concat();
    let mut uris: Vec<&str> = all
        .iter()
        .map(|one| one["uri"].as_str().expect("a URI"))
        .collect();
    uris.sort_unstable();
    uris.dedup();
    assert_eq!(uris.len(), 60, "each file once, and no directory");
    let first = all.iter().find(|one| one["uri"] == "casemate:///f7.txt");
    let wanted = json!({
        "uri": "casemate:///f7.txt", "name": "n7", "mimeType": "text/plain", "size": 2,
    });
    assert_eq!(first, Some(&wanted));

    server.shell("rm .casemate/shares/*.json").await;
    assert_eq!(pages(&server).await.concat(), Vec::<Value>::new());
    let odd = server
        .ask("2025-06-18", "resources/list", &json!({ "cursor": "!" }))
        .await;
    assert_eq!(
        odd.answer().await["error"]["data"]["code"],
        "invalid_argument"
    );
}
