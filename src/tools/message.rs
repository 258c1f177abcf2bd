//! The parsed input of a client: messages of MCP, or the reason why it is not one.
//!
//! rmcp does not answer some wrong messages, and answers others with its parser's words. Here each
//! is answered with its id, if one can be read, and a sentence that names the problem.

mod id;

use rmcp::model::{ClientJsonRpcMessage, ClientNotification, ClientRequest, JsonRpcMessage};
use serde_json::{Map, Value, json};

pub use id::IdFinder;

/// JSON-RPC 2.0, section 5.1: this is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0, section 5.1: this is JSON, but not a message.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0, section 5.1: the parameters do not fit the method.
pub const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC 2.0, section 5.1: the method does not exist.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// In `_meta` of a request of protocol version 2026-07-28 or later: these have no `initialize`.
const VERSION_OF_A_REQUEST: &str = "io.modelcontextprotocol/protocolVersion";

/// Messages of one batch.
pub const BATCH_MESSAGES: usize = 64;

/// Characters of what the client sent that an error repeats.
const QUOTED_CHARS_LIMIT: usize = 60;

/// One message, or several that are answered together.
#[derive(Debug)]
pub enum MessageOrBatch {
    /// One message, or why it is invalid.
    One(Box<ParsedMessage>),
    /// A batch: only protocol 2025-03-26 has them.
    Batch(Vec<ParsedMessage>),
}

/// A parsed message.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages, and each is moved once"
)]
#[derive(Debug)]
pub enum ParsedMessage {
    /// A message of MCP.
    Message(ClientJsonRpcMessage),
    /// An invalid message, which gets an answer.
    Refused(InvalidMessage),
    /// A notification that cannot be read: it gets no answer.
    Ignored,
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidMessage {
    /// The id of the request; null if none can be read.
    pub id: Value,
    /// One of JSON-RPC's.
    pub code: i32,
    /// The problem, for people and models.
    pub message: String,
}

impl InvalidMessage {
    /// As a JSON-RPC error.
    pub fn to_json(&self) -> Value {
        let error = json!({ "code": self.code, "message": self.message });
        json!({ "jsonrpc": "2.0", "id": self.id, "error": error })
    }
}

/// Reads the text of one message or batch.
pub fn read(text: &[u8]) -> MessageOrBatch {
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return batch(text);
    }
    MessageOrBatch::One(Box::new(one(text)))
}

fn batch(text: &[u8]) -> MessageOrBatch {
    let whole = |code, message: String| {
        let id = Value::Null;
        MessageOrBatch::One(Box::new(ParsedMessage::Refused(InvalidMessage {
            id,
            code,
            message,
        })))
    };
    let parts: Vec<Value> = match serde_json::from_slice(text) {
        Ok(parts) => parts,
        Err(error) => return whole(PARSE_ERROR, not_json(text, &error)),
    };
    match parts.len() {
        0 => whole(
            INVALID_REQUEST,
            "a batch has at least one message".to_owned(),
        ),
        1..=BATCH_MESSAGES => {
            let part = |part: &Value| one(&serde_json::to_vec(part).unwrap_or_default());
            MessageOrBatch::Batch(parts.iter().map(part).collect())
        }
        more => {
            let problem =
                format!("a batch of {more} messages; at most {BATCH_MESSAGES} are allowed");
            whole(INVALID_REQUEST, problem)
        }
    }
}

fn one(text: &[u8]) -> ParsedMessage {
    match serde_json::from_slice::<ClientJsonRpcMessage>(text) {
        Ok(message) if !is_known_under_no_type(&message) => ParsedMessage::Message(message),
        _ => none(text),
    }
}

/// rmcp treats a request that does not fit its method as one of an unknown method.
fn is_known_under_no_type(message: &ClientJsonRpcMessage) -> bool {
    match message {
        JsonRpcMessage::Request(it) => match &it.request {
            ClientRequest::CustomRequest(custom) => is_known(&custom.method),
            _ => false,
        },
        JsonRpcMessage::Notification(it) => match &it.notification {
            ClientNotification::CustomNotification(custom) => {
                custom.method == "notifications/cancelled"
            }
            _ => false,
        },
        JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => false,
    }
}

fn is_known(method: &str) -> bool {
    [
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "server/discover",
    ]
    .contains(&method)
}

/// The reason why a text is not a message.
fn none(text: &[u8]) -> ParsedMessage {
    let refused = |id, code, message| ParsedMessage::Refused(InvalidMessage { id, code, message });
    let message: Map<String, Value> = match serde_json::from_slice(text) {
        Ok(Value::Object(message)) => message,
        Ok(other) => {
            let problem = format!("a message is a JSON object, not {}", a_kind(&other));
            return refused(Value::Null, INVALID_REQUEST, problem);
        }
        Err(error) => {
            let mut finder = IdFinder::default();
            finder.push(text);
            return refused(finder.id(), PARSE_ERROR, not_json(text, &error));
        }
    };
    let id = message.get("id");
    let is_an_answer = message.contains_key("result") || message.contains_key("error");
    let is_notification = id.is_none() && message.get("method").is_some_and(Value::is_string);
    if is_notification || is_an_answer {
        return ParsedMessage::Ignored;
    }
    let readable = id.filter(|id| is_an_id(id)).cloned();
    let (code, problem) = problem(&message, id);
    refused(readable.unwrap_or_default(), code, problem)
}

fn is_an_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

/// The problem of an object that should be a request.
fn problem(message: &Map<String, Value>, id: Option<&Value>) -> (i32, String) {
    let invalid = |problem: String| (INVALID_REQUEST, problem);
    if message.get("jsonrpc") != Some(&Value::from("2.0")) {
        return invalid("a message has \"jsonrpc\": \"2.0\"".to_owned());
    }
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        return invalid("a request has a \"method\", which is a string".to_owned());
    };
    if !id.is_some_and(is_an_id) {
        return invalid("the \"id\" of a request is a string or a whole number".to_owned());
    }
    let nothing = Value::Object(Map::new());
    let params = message.get("params").unwrap_or(&nothing);
    let meta = params.get("_meta");
    if method == "initialize" && meta.is_some_and(|meta| meta.get(VERSION_OF_A_REQUEST).is_some()) {
        return (METHOD_NOT_FOUND, method.to_owned());
    }
    let problem = if params.is_object() {
        params_problem(method, params)
    } else {
        format!("\"params\" is a JSON object, not {}", a_kind(params))
    };
    (INVALID_PARAMS, problem)
}

fn params_problem(method: &str, params: &Value) -> String {
    let lacks = |name: &str, is: fn(&Value) -> bool| !params.get(name).is_some_and(is);
    match method {
        "tools/call" if lacks("name", Value::is_string) => {
            "\"params\" of tools/call has the \"name\" of a tool, which is a string".to_owned()
        }
        "tools/call" if lacks("arguments", Value::is_object) => {
            let arguments = params.get("arguments").unwrap_or(&Value::Null);
            format!(
                "\"arguments\" of tools/call is a JSON object, as {{\"command\": \"ls\"}}, not {}",
                a_kind(arguments)
            )
        }
        "initialize" => {
            let needed: [(&str, IsOfType); 3] = [
                ("protocolVersion", Value::is_string),
                ("capabilities", Value::is_object),
                ("clientInfo", is_client_info),
            ];
            let missing = needed.iter().filter(|(name, is)| lacks(name, *is));
            let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
            format!(
                "\"params\" of initialize needs protocolVersion (a string), capabilities (an object) \
                 and clientInfo (an object with name and version); missing or wrong: {}",
                missing.join(", ")
            )
        }
        _ => format!("\"params\" does not fit {}", quoted(method)),
    }
}

/// Whether a value is of the type that a parameter needs.
type IsOfType = fn(&Value) -> bool;

fn is_client_info(info: &Value) -> bool {
    ["name", "version"]
        .iter()
        .all(|name| info.get(name).is_some_and(Value::is_string))
}

/// Why a text is not JSON. The parser's own words name a line, which programs do not send.
fn not_json(text: &[u8], error: &serde_json::Error) -> String {
    if std::str::from_utf8(text).is_err() {
        return "the message is not UTF-8, so it is not JSON (RFC 8259, section 8.1)".to_owned();
    }
    let said = error.to_string();
    let at = error.column();
    if said.contains("surrogate") || said.contains("unexpected end of hex escape") {
        return format!(
            "half of a surrogate pair at character {at}: send \\uD83D\\uDE00 or the character itself"
        );
    }
    if said.contains("recursion limit") {
        return "the message is nested too deeply: 127 levels at most".to_owned();
    }
    if error.is_eof() {
        return "the message is incomplete: its JSON does not end".to_owned();
    }
    format!("the message is not JSON: see character {at}")
}

fn a_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn quoted(text: &str) -> String {
    text.escape_debug().take(QUOTED_CHARS_LIMIT).collect()
}

#[cfg(test)]
mod tests;
