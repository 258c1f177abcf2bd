//! The answer of a server over HTTP: whole, or event by event.

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::{CallResult, DEADLINE, Reply};
use crate::harness::allowed;

/// An answer whose body may still come. Dropping it closes its connection.
#[derive(Debug)]
pub struct Answer {
    /// Head and body.
    pub response: Response<Incoming>,
    buffer: BytesMut,
    connection: AbortHandle,
}

impl From<(Response<Incoming>, AbortHandle)> for Answer {
    fn from((response, connection): (Response<Incoming>, AbortHandle)) -> Self {
        Self {
            response,
            buffer: BytesMut::new(),
            connection,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// One event of a stream, or a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` where it has no name; empty for a comment.
    pub name: String,
    /// All its data.
    pub data: String,
}

impl Event {
    /// A line that only keeps the stream alive.
    pub fn is_comment(&self) -> bool {
        self.name.is_empty()
    }

    /// Its data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header's text; empty without the header.
    pub fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The whole body.
    pub async fn text(mut self) -> String {
        let body = tokio::time::timeout(allowed(DEADLINE), self.response.body_mut().collect());
        let body = body.await.expect("a body in time").expect("a body");
        String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8")
    }

    /// All of it.
    pub async fn reply(mut self) -> Reply {
        let body = tokio::time::timeout(allowed(DEADLINE), self.response.body_mut().collect());
        let body = body.await.expect("a body in time").expect("a body");
        Reply {
            status: self.status().as_u16(),
            headers: std::mem::take(self.response.headers_mut()),
            body: body.to_bytes(),
        }
    }

    /// The next event; `None` at the end.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let text = self.buffer.split_to(end + 2);
                return Some(parse(&String::from_utf8_lossy(&text)));
            }
            let frame = tokio::time::timeout(allowed(DEADLINE), self.response.body_mut().frame());
            let frame = frame.await.expect("an event in time")?;
            let data = frame.expect("a whole stream").into_data().expect("data");
            self.buffer.extend_from_slice(&data);
        }
    }

    /// The next message, past comments.
    pub async fn message(&mut self) -> Option<Value> {
        loop {
            let event = self.event().await?;
            if !event.is_comment() {
                return Some(event.json());
            }
        }
    }

    /// The answer to a JSON-RPC request, past notifications, and past a status.
    pub async fn answer(mut self) -> Value {
        if self.header("content-type").starts_with("application/json") {
            return serde_json::from_str(&self.text().await).expect("JSON");
        }
        loop {
            let message = self.message().await.expect("an answer before the end");
            if message.get("method").is_none() {
                return message;
            }
        }
    }

    /// The result of a tool call.
    pub async fn result(self) -> CallResult {
        let answer = self.answer().await;
        assert!(answer.get("result").is_some(), "a protocol error: {answer}");
        CallResult(answer["result"].clone())
    }
}

fn parse(text: &str) -> Event {
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values: Vec<&str> = lines.map(|value| value.trim_start_matches(' ')).collect();
        (!values.is_empty()).then(|| values.join("\n"))
    };
    match field("data:") {
        Some(data) => Event {
            name: field("event:").unwrap_or_else(|| "message".to_owned()),
            data,
        },
        None => Event {
            name: String::new(),
            data: text.trim().to_owned(),
        },
    }
}
