//! What a chat application does between its user, its model and Casemate.

use anyhow::bail;
use serde_json::Value;

use super::casemate::Casemate;
use super::model::{self, Model, Step};

/// More steps than any answer needs: a model that never ends costs money.
const STEPS_LIMIT: usize = 10;

/// A conversation of one user.
pub struct Chat {
    casemate: Casemate,
    model: Model,
}

/// An answer to the user, and the calls that led to it: tool, arguments and result.
pub struct Answer {
    /// What the user reads.
    pub text: String,
    /// The link in it, if there is one.
    pub link: Option<String>,
    /// The calls, in order.
    pub calls: Vec<(&'static str, Value, Value)>,
}

impl Chat {
    /// Begins one.
    pub async fn begin(casemate: Casemate) -> anyhow::Result<Self> {
        let model = Model::new(&casemate.tools().await?);
        Ok(Self { casemate, model })
    }

    /// The user gives the assistant a file.
    pub async fn upload(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        self.casemate.upload(name, content.to_vec()).await
    }

    /// The user says something: the model calls tools until it has an answer.
    pub async fn ask(&self, question: &str) -> anyhow::Result<Answer> {
        let mut calls = Vec::new();
        let mut results = Vec::new();
        while results.len() <= STEPS_LIMIT {
            match self.model.next(question, &results) {
                Step::Say(text) => {
                    let link = results.last().and_then(model::link).map(str::to_owned);
                    return Ok(Answer { text, link, calls });
                }
                Step::Call { tool, arguments } => {
                    let result = self.casemate.call(tool, &arguments).await?;
                    results.push(result.clone());
                    calls.push((tool, arguments, result));
                }
            }
        }
        bail!("no answer after {STEPS_LIMIT} steps")
    }
}
