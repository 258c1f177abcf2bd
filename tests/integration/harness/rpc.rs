//! JSON-RPC over the pipes of a process, many requests at a time. The messages
//! are written out here, not by an SDK: the tests decide what the server gets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

/// No answer may take longer.
const DEADLINE: Duration = Duration::from_secs(90);

/// One end of a conversation.
#[derive(Debug)]
pub struct Rpc {
    input: AsyncMutex<Option<ChildStdin>>,
    next_id: AtomicU64,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Rpc {
    /// Talks to a process.
    pub fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>> = Arc::default();
        let answers = waiting.clone();
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let unasked = told.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
                    panic!("stdout holds something else than MCP: {line}: {error}")
                });
                match message["id"].as_u64() {
                    Some(id) if message.get("method").is_none() => {
                        let waiting = answers.lock().expect("lock").remove(&id);
                        let answer =
                            waiting.unwrap_or_else(|| panic!("an answer to nothing: {line}"));
                        let _ = answer.send(message);
                    }
                    _ => unasked.lock().expect("lock").push(message),
                }
            }
            // Dropping the senders wakes all that wait.
            answers.lock().expect("lock").clear();
        });
        Self {
            input: AsyncMutex::new(Some(input)),
            next_id: AtomicU64::new(1),
            waiting,
            told,
        }
    }

    /// All notifications so far.
    pub fn notifications(&self) -> Vec<Value> {
        self.told.lock().expect("lock").clone()
    }

    /// Sends one line. `false` when the process is gone.
    pub async fn send_line(&self, line: impl AsRef<[u8]>) -> bool {
        let mut input = self.input.lock().await;
        let Some(input) = input.as_mut() else {
            return false;
        };
        let line = [line.as_ref(), b"\n"].concat();
        input.write_all(&line).await.is_ok() && input.flush().await.is_ok()
    }

    /// Sends a line that contains this id, and waits for its answer.
    pub async fn ask(&self, id: u64, line: impl AsRef<[u8]>) -> Value {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().expect("lock").insert(id, sender);
        assert!(self.send_line(line).await, "the server has ended");
        let answer = Pending(receiver).answer().await;
        answer.expect("the server ended before it answered")
    }

    /// Waits for this many notifications, and returns all.
    pub async fn told(&self, messages: usize) -> Vec<Value> {
        let told = super::eventually("it is told", Duration::from_secs(10), async || {
            self.notifications().len() >= messages
        });
        told.await;
        self.notifications()
    }

    /// The end of input.
    pub async fn close(&self) {
        self.input.lock().await.take();
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.send_line(&message.to_string()).await;
    }

    /// Sends a request; the answer comes later. `None`: the process went first.
    pub async fn start(&self, method: &str, params: Value) -> (u64, Pending) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().expect("lock").insert(id, sender);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if !self.send_line(&message.to_string()).await {
            self.waiting.lock().expect("lock").remove(&id);
        }
        (id, Pending(receiver))
    }

    /// Sends a request and waits for the whole answer.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let (_, pending) = self.start(method, params).await;
        pending
            .answer()
            .await
            .unwrap_or_else(|| panic!("the server ended before it answered {method}"))
    }
}

/// An answer that is awaited.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Value>);

impl Pending {
    /// The answer; `None` when the process went first.
    pub async fn answer(self) -> Option<Value> {
        tokio::time::timeout(super::allowed(DEADLINE), self.0)
            .await
            .expect("an answer in time")
            .ok()
    }

    /// The result of a tool call.
    pub async fn result(self) -> CallResult {
        let answer = self.answer().await.expect("the server answers");
        assert!(answer.get("result").is_some(), "a protocol error: {answer}");
        CallResult(answer["result"].clone())
    }
}

/// The result of a tool call.
#[derive(Debug, Clone)]
pub struct CallResult(pub Value);

impl CallResult {
    /// The text form.
    pub fn text(&self) -> &str {
        self.0["content"][0]["text"].as_str().unwrap_or_default()
    }

    /// A field of the structured form.
    pub fn field(&self, name: &str) -> &Value {
        &self.0["structuredContent"][name]
    }

    /// Whether it is an error for the model.
    pub fn is_error(&self) -> bool {
        self.0["isError"] == true
    }

    /// Of an error.
    pub fn code(&self) -> &str {
        self.0["_meta"]["io.casemate/error"]["code"]
            .as_str()
            .unwrap_or_default()
    }

    /// Of a command.
    pub fn stdout(&self) -> &str {
        self.field("stdout")
            .as_str()
            .unwrap_or_else(|| panic!("no stdout: {}", self.0))
    }

    /// Of a command.
    pub fn stderr(&self) -> &str {
        self.field("stderr")
            .as_str()
            .unwrap_or_else(|| panic!("no stderr: {}", self.0))
    }

    /// Of a command.
    pub fn outcome(&self) -> &str {
        self.field("outcome")
            .as_str()
            .unwrap_or_else(|| panic!("no outcome: {}", self.0))
    }

    /// Of a command.
    pub fn exit_code(&self) -> i64 {
        self.field("exit_code")
            .as_i64()
            .unwrap_or_else(|| panic!("no exit code: {}", self.0))
    }
}
