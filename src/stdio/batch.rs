//! Batches of protocol 2025-03-26: several messages in one line, and their answers in one.

use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ProtocolVersion};
use serde_json::Value;

use crate::tools::message::{INVALID_REQUEST, InvalidMessage, ParsedMessage};

/// The batches that are not answered yet.
#[derive(Debug, Default)]
pub struct Batches {
    /// The version that was agreed on; `None` before that, or without a handshake.
    version: Option<ProtocolVersion>,
    open: Vec<Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    /// Ids of the requests without an answer.
    awaited: Vec<Value>,
    answers: Vec<Value>,
}

impl Batch {
    fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The answer to the batch; `None` if nothing in it is answered.
    fn into_answer(self) -> Option<Value> {
        (!self.answers.is_empty()).then_some(Value::Array(self.answers))
    }
}

impl Batches {
    /// The handshake agreed on this version.
    pub fn speak(&mut self, version: &ProtocolVersion) {
        self.version = Some(version.clone());
    }

    /// Whether all requests are answered.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The messages of a batch, and its answer if it already has one.
    ///
    /// # Errors
    /// The protocol version has no batches.
    pub fn begin(
        &mut self,
        parts: Vec<ParsedMessage>,
    ) -> Result<(Vec<ClientJsonRpcMessage>, Option<Value>), InvalidMessage> {
        if self.version != Some(ProtocolVersion::V_2025_03_26) {
            return Err(InvalidMessage {
                id: Value::Null,
                code: INVALID_REQUEST,
                message: "only protocol 2025-03-26 has batches, and that only after initialize: \
                          send each message by itself"
                    .to_owned(),
            });
        }
        let (mut batch, mut messages) = (Batch::default(), Vec::new());
        for part in parts {
            match part {
                ParsedMessage::Message(message) => {
                    if let JsonRpcMessage::Request(request) = &message {
                        batch.awaited.push(request.id.clone().into_json_value());
                    }
                    messages.push(message);
                }
                ParsedMessage::Refused(refusal) => batch.answers.push(refusal.to_json()),
                ParsedMessage::Ignored => {}
            }
        }
        if batch.is_complete() {
            return Ok((messages, batch.into_answer()));
        }
        self.open.push(batch);
        Ok((messages, None))
    }

    /// The line to write for this answer: the answer, the batch that it completes, or none yet.
    pub fn answered(&mut self, answer: Value) -> Option<Value> {
        let id = answer.get("id").cloned().unwrap_or_default();
        match self.settle(&id) {
            None => Some(answer),
            Some(at) => {
                self.open[at].answers.push(answer);
                self.take(at)
            }
        }
    }

    /// Forgets a cancelled request, which is not answered. Returns the batch that waited only for
    /// it.
    pub fn cancelled(&mut self, id: &Value) -> Option<Value> {
        let at = self.settle(id)?;
        self.take(at)
    }

    /// Removes this id from its batch, and returns the batch if it is complete.
    fn settle(&mut self, id: &Value) -> Option<usize> {
        let at = self
            .open
            .iter()
            .position(|batch| batch.awaited.contains(id))?;
        let awaited = &mut self.open[at].awaited;
        let place = awaited.iter().position(|awaited| awaited == id)?;
        awaited.swap_remove(place);
        Some(at)
    }

    fn take(&mut self, at: usize) -> Option<Value> {
        if !self.open[at].is_complete() {
            return None;
        }
        self.open.swap_remove(at).into_answer()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::message::{MessageOrBatch, read};

    fn parts(text: &str) -> Vec<ParsedMessage> {
        match read(text.as_bytes()) {
            MessageOrBatch::Batch(parts) => parts,
            MessageOrBatch::One(part) => panic!("no batch: {part:?}"),
        }
    }

    fn speaking() -> Batches {
        let mut batches = Batches::default();
        batches.speak(&ProtocolVersion::V_2025_03_26);
        batches
    }

    const TWO: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},7,
        {"jsonrpc":"2.0","id":"1","method":"ping"}]"#;

    #[test]
    fn the_answers_of_a_batch_come_together_and_others_as_they_are() {
        let mut batches = speaking();
        let (messages, answer) = batches.begin(parts(TWO)).expect("spoken");
        assert!(messages.len() == 2 && answer.is_none());
        let other = json!({ "id": 2, "result": {} });
        assert_eq!(batches.answered(other.clone()), Some(other));
        assert_eq!(batches.answered(json!({ "id": "1", "result": {} })), None);
        let all = batches
            .answered(json!({ "id": 1, "result": {} }))
            .expect("all");
        assert_eq!(all.as_array().map(Vec::len), Some(3));
        assert!(batches.is_empty());
    }

    #[test]
    fn a_cancelled_request_holds_nothing_back() {
        let mut batches = speaking();
        batches.begin(parts(TWO)).expect("spoken");
        assert_eq!(batches.answered(json!({ "id": 1, "result": {} })), None);
        let all = batches.cancelled(&json!("1")).expect("all");
        assert_eq!(all.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn other_versions_have_none() {
        assert!(Batches::default().begin(parts(TWO)).is_err());
        let mut batches = Batches::default();
        batches.speak(&ProtocolVersion::V_2025_06_18);
        assert!(batches.begin(parts(TWO)).is_err());
    }
}
