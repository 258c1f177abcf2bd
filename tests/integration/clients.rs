//! Clients that others wrote, with a server that asks nobody who they are: those of
//! `examples/`, and the command line of the MCP Inspector.

use tokio::process::Command;

use super::harness::{Directory, HttpServer, TestServer, clients};

/// What the Inspector is asked to do, and what it then shows.
const ASKED: [(&[&str], &str); 2] = [
    (
        // Fails on what the schemas of tools should not have.
        &["--method", "tools/list", "--strict"],
        r#""name": "shell_exec""#,
    ),
    (
        &[
            "--method",
            "tools/call",
            "--tool-name",
            "shell_exec",
            "--tool-arg",
            r"command=expr 6 \* 7",
        ],
        r#""stdout": "42\n""#,
    ),
];

/// Has the Inspector list the tools of a target and call one.
pub async fn inspect(target: &[&str]) {
    // What it keeps is not for the home of who runs the tests.
    let kept = Directory::new(0);
    for (what, shown) in ASKED {
        let Some(mut inspector) = clients::node("mcp-inspector") else {
            return;
        };
        let inspector = inspector
            .arg("--cli")
            .args(target)
            .args(what)
            .env("MCP_STORAGE_DIR", kept.text());
        let said = clients::succeeds(inspector).await;
        assert!(said.contains(shown), "{target:?}: {said}");
    }
}

/// Runs an example against a server over HTTP, with a token where there is one.
pub async fn try_with(example: Option<Command>, server: &HttpServer, token: Option<&str>) {
    let Some(mut example) = example else { return };
    example.arg(format!("http://{}", server.address));
    if let Some(token) = token {
        example.env("TOKEN", token);
    }
    clients::succeeds(&mut example).await;
}

/// All examples that need no more than a server and perhaps a token.
pub async fn try_all(server: &HttpServer, token: Option<&str>) {
    for (environment, example) in [
        ("mcp", "mcp_http.py"),
        ("mcp", "mcp_sse.py"),
        ("langchain", "langchain_agent.py"),
    ] {
        try_with(clients::python(environment, example), server, token).await;
    }
    try_with(Some(clients::curl()), server, token).await;
}

#[tokio::test]
async fn the_examples_work_over_http_and_sse() {
    let server = TestServer::new().start_http().await;
    try_all(&server, None).await;
}

#[tokio::test]
async fn the_example_of_a_client_that_starts_the_server_works() {
    let server = TestServer::new();
    let Some(mut example) = clients::python("mcp", "mcp_stdio.py") else {
        return;
    };
    let example = example
        .arg(env!("CARGO_BIN_EXE_casemate"))
        .env("CASEMATE_INSTANCE", server.instance().name());
    clients::succeeds(example).await;
}

#[tokio::test]
async fn the_inspector_finds_nothing_to_say_over_stdio() {
    let server = TestServer::new();
    let instance = format!("CASEMATE_INSTANCE={}", server.instance().name());
    inspect(&["-e", &instance, env!("CARGO_BIN_EXE_casemate"), "serve"]).await;
}

#[tokio::test]
async fn the_inspector_finds_nothing_to_say_over_http_and_sse() {
    let server = TestServer::new().start_http().await;
    for (path, transport) in [("mcp", "http"), ("sse", "sse")] {
        let url = format!("http://{}/{path}", server.address);
        inspect(&[&url, "--transport", transport]).await;
    }
}

#[tokio::test]
async fn every_schema_passes_the_converters_of_frameworks() {
    let Some(mut converters) = clients::python_script("converters", "converters.py") else {
        return;
    };
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tools.json");
    let said = clients::succeeds(converters.arg(tools)).await;
    assert_eq!(said.lines().count(), 25, "{said}");
}
