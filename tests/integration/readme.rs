//! The first screen of the README: every form of the entry for clients is that of mcp.json, and the
//! transcript is what happens.

use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::harness::{Directory, HttpServer, TestServer};

const README: &str = include_str!("../../README.md");

/// What the user of the transcript uploads.
const CITIES: &str = "city,2000,2020\nLagos,7281,14368\nLima,7294,10719\nOslo,508,697\n";

/// The entry that starts the image.
fn entry() -> Value {
    let file: Value = serde_json::from_str(include_str!("../../mcp.json")).expect("JSON");
    file["mcpServers"]["casemate"].clone()
}

/// The blocks of code in this language, up to the heading of the second section.
fn blocks(language: &str) -> Vec<&'static str> {
    let (first, _) = README
        .split_once("\n## What it looks like\n")
        .expect("the section");
    let opening = format!("```{language}\n");
    let blocks = first.split(opening.as_str()).skip(1);
    blocks
        .map(|block| block.split("```").next().expect("text"))
        .collect()
}

/// The query of the only link that begins so.
fn query(link: &str) -> Vec<(String, String)> {
    let (_, rest) = README.split_once(&format!("({link}?")).expect(link);
    let query = rest.split(')').next().expect("a link");
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').expect("a pair"));
    let decoded = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        bytes.decode_utf8().expect("UTF-8").into_owned()
    };
    pairs
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

#[test]
fn every_block_for_a_client_starts_what_mcp_json_starts() {
    let json: Vec<Value> = blocks("json")
        .iter()
        .map(|block| serde_json::from_str(block).expect("JSON"))
        .collect();
    assert_eq!(json.len(), 2, "the standard block, and Zed's");
    assert_eq!(json[0], json!({ "mcpServers": { "casemate": entry() } }));
    let mut zed = json[1]["context_servers"]["casemate"].clone();
    assert_eq!(zed["source"].take(), "custom");
    for part in ["command", "args"] {
        assert_eq!(zed[part], entry()[part], "Zed");
    }
    let [codex] = blocks("toml")[..] else {
        panic!("one block for Codex");
    };
    let codex: Value = toml::from_str(codex).expect("TOML");
    assert_eq!(codex, json!({ "mcp_servers": { "casemate": entry() } }));
    let [goose] = blocks("yaml")[..] else {
        panic!("one block for Goose");
    };
    let field = |name: &str| {
        let field = goose
            .lines()
            .find_map(|line| line.trim().strip_prefix(name));
        field.unwrap_or_else(|| panic!("{name}: {goose}"))
    };
    assert_eq!(field("cmd: "), entry()["command"]);
    // A list in brackets is the same in YAML and in JSON.
    let arguments: Value = serde_json::from_str(field("args: ")).expect("a list");
    assert_eq!(arguments, entry()["args"]);
}

#[test]
fn the_command_for_claude_code_starts_what_mcp_json_starts() {
    let line = README
        .lines()
        .find_map(|line| line.strip_prefix("claude mcp add casemate -- "));
    let mut words = line.expect("the command").split(' ');
    assert_eq!(words.next(), entry()["command"].as_str());
    assert_eq!(words.map(Value::from).collect::<Value>(), entry()["args"]);
}

#[test]
fn the_buttons_add_what_mcp_json_starts() {
    let cursor = query("https://cursor.com/install-mcp");
    let code = query("https://insiders.vscode.dev/redirect/mcp/install");
    for (button, query) in [("Cursor", &cursor), ("VS Code", &code)] {
        assert_eq!(
            query[0],
            ("name".to_owned(), "casemate".to_owned()),
            "{button}"
        );
        assert_eq!(query[1].0, "config", "{button}");
    }
    let config = BASE64_STANDARD.decode(&cursor[1].1).expect("base64");
    let configs = [config, code[1].1.clone().into_bytes()];
    for config in configs {
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        assert_eq!(config, entry());
    }
}

/// Readers who do not see the picture get its text, and it loads fast.
#[test]
fn the_picture_is_there_with_a_text_and_small() {
    let (before, _) = README
        .split_once("](docs/images/page.png)")
        .expect("the picture");
    let (_, text) = before.rsplit_once("![").expect("its text");
    assert!(text.starts_with("The page in a browser"), "{text}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images/page.png");
    let picture = std::fs::read(path).expect("the picture");
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    // In the header, after the length and the name of the first chunk.
    assert_eq!(picture[16..20], 1280_u32.to_be_bytes(), "the width");
    assert!(picture.len() < 150_000, "{} bytes", picture.len());
}

#[test]
fn every_client_of_the_first_screen_has_a_section() {
    for client in [
        "Claude Desktop",
        "Claude Code",
        "Codex",
        "Gemini CLI",
        "Windsurf",
        "Zed",
        "Goose",
        "LM Studio",
        "Open WebUI",
    ] {
        let summary = format!("<details><summary>{client}</summary>");
        assert_eq!(README.matches(&summary).count(), 1, "{client}");
    }
}

/// What a line of the transcript gives: that of a shell on the user's machine, or a tool's text.
async fn done(server: &HttpServer, directory: &Directory, step: &str) -> (String, String) {
    let (line, rest) = step.split_once('\n').expect("an answer");
    if let Some(command) = line.strip_prefix("$ ") {
        let shell = Command::new("sh")
            .args(["-c", command])
            .env("S", format!("http://{}", server.address))
            .current_dir(directory.text())
            .output()
            .expect("sh");
        let said = String::from_utf8(shell.stdout).expect("UTF-8");
        return (said, rest.to_owned());
    }
    let (tool, argument) = line.split_once(' ').expect("a tool and its argument");
    let (arguments, wanted) = match tool {
        "shell_exec" => (json!({ "command": argument }), rest.to_owned()),
        "write_file" => {
            let (content, wanted): (Vec<_>, Vec<_>) = rest
                .lines()
                .partition(|line| line.is_empty() || line.starts_with("  "));
            let content = content
                .iter()
                .map(|line| line.strip_prefix("  ").unwrap_or(line));
            let content: String = content.flat_map(|line| [line, "\n"]).collect();
            (
                json!({ "path": argument, "content": content }),
                wanted.join("\n"),
            )
        }
        other => panic!("{other} is no tool of the transcript"),
    };
    (server.call(tool, arguments).await.text().to_owned(), wanted)
}

/// The steps of the transcript. A blank line ends one, except within a file.
fn steps() -> Vec<String> {
    let (_, part) = README
        .split_once("\n## What it looks like\n")
        .expect("the section");
    let transcript = part.split("```").nth(1).expect("a block");
    let transcript = transcript.strip_prefix("text\n").expect("of text");
    let mut steps: Vec<String> = Vec::new();
    for part in transcript.split("\n\n") {
        match steps.last_mut() {
            Some(step) if part.starts_with("  ") => *step += &format!("\n\n{part}"),
            _ => steps.push(part.to_owned()),
        }
    }
    steps
}

#[tokio::test]
async fn the_transcript_is_what_happens() {
    let directory = Directory::new(0);
    std::fs::write(format!("{}/cities.csv", directory.text()), CITIES).expect("a file");
    let server = TestServer::new().start_http().await;
    let steps = steps();
    assert_eq!(steps.len(), 6, "{steps:#?}");
    for step in steps {
        let (said, wanted) = done(&server, &directory, &step).await;
        assert_eq!(said.trim_end(), wanted.trim_end(), "{step}");
    }
}
