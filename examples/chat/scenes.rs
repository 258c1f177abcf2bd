//! The conversation: what the user says, and what comes of it.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::backend::{Answer, Chat};
use super::browser::{self, Page};
use super::casemate::Casemate;
use super::server::Server;

const USER: &str = "carol@example.com";

/// What the user says, and how the content begins that the link in the answer opens.
const QUESTIONS: [(&str, &[&[u8]]); 3] = [
    ("Plot units by month.", &[b"<svg ", b"\x89PNG"]),
    ("Make a report of it.", &[b"<!doctype html>"]),
    (
        "Make an application in which I choose the city.",
        &[b"<!doctype html>"],
    ),
];

/// Longest argument or result that is shown, in lines.
const SHOWN_LINES: usize = 3;

/// Plays it with the server `program` and its settings `environment`, and tells `show` who does what
/// with which result.
pub async fn play(
    program: &Path,
    environment: &[(&str, &str)],
    show: impl Fn(&str, &str, &str),
) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("casemate-chat-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder)?;
    let played = play_in(&folder, program, environment, show).await;
    std::fs::remove_dir_all(&folder)?;
    played
}

async fn play_in(
    folder: &Path,
    program: &Path,
    environment: &[(&str, &str)],
    show: impl Fn(&str, &str, &str),
) -> anyhow::Result<()> {
    let server = Server::start(program, environment, folder).await?;
    let casemate = Casemate::new(server.address, &server.token, USER);
    let chat = Chat::begin(casemate).await?;
    let table = include_bytes!("script/sales.csv");
    chat.upload("sales.csv", table).await?;
    show(
        "carol",
        "uploads sales.csv",
        &format!("{} bytes", table.len()),
    );
    for (question, beginnings) in QUESTIONS {
        let answer = chat.ask(question).await?;
        show("carol", question, "");
        for (tool, arguments, result) in &answer.calls {
            show(
                "model",
                &format!("{tool} {}", brief(arguments)),
                &text(result),
            );
        }
        show("model", &answer.text, "");
        let page = open(&server, &answer).await?;
        let begins = |beginning: &&&[u8]| page.content.starts_with(beginning);
        ensure!(
            beginnings.iter().any(|it| begins(&it)),
            "{question} opens something else"
        );
        let bytes = page.content.len();
        show(
            "carol",
            "opens the link",
            &format!("{}, {bytes} bytes", page.media_type),
        );
    }
    Ok(())
}

async fn open(server: &Server, answer: &Answer) -> anyhow::Result<Page> {
    let link = answer.link.as_deref().context("no link")?;
    browser::open(server.address, link).await
}

/// The arguments, each by its first lines.
fn brief(arguments: &Value) -> String {
    let fields = arguments.as_object().into_iter().flatten();
    let field = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name}={}", first_lines(text)),
        None => format!("{name}={value}"),
    };
    let mut fields: Vec<String> = fields.map(field).collect();
    fields.sort_by_key(String::len);
    fields.join(" ")
}

fn text(result: &Value) -> String {
    first_lines(result["content"][0]["text"].as_str().unwrap_or_default())
}

fn first_lines(text: &str) -> String {
    let mut lines: Vec<_> = text.trim_end().lines().take(SHOWN_LINES).collect();
    if text.trim_end().lines().count() > SHOWN_LINES {
        lines.push("…");
    }
    lines.join("\n")
}
