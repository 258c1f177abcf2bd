//! The lines of docs/clients.md, run as they stand there against a server over HTTP.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{Directory, TestServer, clients};

const PAGE: &str = include_str!("../../docs/clients.md");

/// Where the page says that the server listens.
const ADDRESS: &str = "127.0.0.1:8080";

/// The sections with lines, and where scripts/setup-clients installs what they import.
const SECTIONS: [(&str, &str); 9] = [
    ("mcp", "mcp"),
    ("fastmcp", "frameworks"),
    ("LangChain", "langchain"),
    ("OpenAI Agents", "converters"),
    ("pydantic-ai", "frameworks"),
    ("smolagents", "converters"),
    ("llama-index", "frameworks"),
    ("TypeScript SDK", "node"),
    ("mcp-remote", "node"),
];

/// What stands below a heading of the page, up to the next.
fn section(name: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n### {name}\n")).expect(name);
    rest.split("\n#").next().expect("text")
}

/// The lines of its only block of code, for the server at this address.
fn lines(name: &str, address: &str) -> String {
    let mut parts = section(name).split("```");
    let code = parts.nth(1).expect("a block of code");
    assert_eq!(parts.count(), 1, "{name} has one block");
    let (_language, code) = code.split_once('\n').expect("lines");
    assert!(code.contains(ADDRESS), "{name}: {code}");
    code.replace(ADDRESS, address)
}

async fn python(name: &str, environment: &str, address: &str) -> Option<String> {
    let python = clients::installed(environment)?.join("bin/python");
    // Not from a file, whose directory Python would look into for modules.
    let mut command = Command::new(python);
    Some(clients::succeeds(command.arg("-c").arg(lines(name, address))).await)
}

async fn typescript(address: &str) -> Option<String> {
    let modules = clients::installed("node")?.join("node_modules");
    let directory = Directory::new(0);
    let place = |name: &str| format!("{}/{name}", directory.text());
    std::os::unix::fs::symlink(modules, place("node_modules")).expect("a link");
    std::fs::write(place("lines.mjs"), lines("TypeScript SDK", address)).expect("a file");
    let mut node = clients::node_file(&place("lines.mjs"))?;
    Some(clients::succeeds(&mut node).await)
}

/// The entry of the page with the package that `npx` would fetch, under a client over stdio.
async fn bridge(address: &str) -> Option<String> {
    let file: Value = serde_json::from_str(&lines("mcp-remote", address)).expect("JSON");
    let entry = &file["mcpServers"]["casemate"];
    assert_eq!(entry["command"], "npx");
    let words = entry["args"].as_array().expect("arguments").iter();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let ["-y", "mcp-remote", arguments @ ..] = words.as_slice() else {
        panic!("{words:?}");
    };
    let bridge = clients::node("mcp-remote")?;
    let mut client = clients::python_script("mcp", "stdio.py")?;
    client
        .arg(bridge.as_std().get_program())
        .args(bridge.as_std().get_args())
        .args(arguments);
    let said = clients::succeeds(&mut client).await;
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("shell_exec: "));
    line.map(str::to_owned)
}

#[test]
fn every_section_with_lines_is_run() {
    let (_, part) = PAGE.split_once("\n## In a few lines\n").expect("the part");
    let part = part.split("\n## ").next().expect("text");
    let headings = part.lines().filter_map(|line| line.strip_prefix("### "));
    let run = SECTIONS.map(|(name, _)| name);
    assert_eq!(headings.collect::<BTreeSet<_>>(), BTreeSet::from(run));
}

#[tokio::test]
async fn the_lines_of_the_page_run_as_they_stand() {
    let server = TestServer::new().start_http().await;
    let address = server.address.to_string();
    for (name, environment) in SECTIONS {
        let said = match name {
            "TypeScript SDK" => typescript(&address).await,
            "mcp-remote" => bridge(&address).await,
            _ => python(name, environment, &address).await,
        };
        if let Some(said) = said {
            let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(words.any(|word| word == "42"), "{name}: {said}");
        }
    }
}

#[test]
fn the_lines_give_slow_calls_the_time_that_the_table_says() {
    for (name, setting) in [
        ("OpenAI Agents", "client_session_timeout_seconds=60"),
        ("llama-index", "timeout=60"),
        ("smolagents", "'mcp<2'"),
    ] {
        assert!(section(name).contains(setting), "{name}: {setting}");
    }
}
