//! The definition of a tool, as clients see it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};

use crate::engine::ImageDescription;

/// What definitions depend on.
#[derive(Debug, Clone)]
pub struct DefinitionContext {
    /// How long a call waits for a command by default.
    pub wait: Duration,
    /// What the image of the caller's sandbox says of itself.
    pub image: Option<ImageDescription>,
    /// Where the shared data of the caller's sandbox is.
    pub shared: Vec<String>,
    /// What the caller's sandbox may reach, as a sentence.
    pub network: String,
    /// Whether that is more than nothing.
    pub has_network: bool,
}

impl DefinitionContext {
    /// Where shared data is, as a sentence; `None`: the sandbox has no shared data.
    pub fn shared_sentence(&self) -> Option<String> {
        let paths = self.shared.join(", ");
        (!paths.is_empty()).then(|| format!("Read-only shared data is in {paths}."))
    }

    /// A description with that sentence at its end.
    pub fn with_shared(&self, description: &'static str) -> Cow<'static, str> {
        match self.shared_sentence() {
            Some(sentence) => Cow::Owned(format!("{description} {sentence}")),
            None => Cow::Borrowed(description),
        }
    }
}

/// What clients see of a tool besides its name.
pub struct Definition {
    pub title: &'static str,
    pub description: Cow<'static, str>,
    pub input: JsonObject,
    pub output: Option<JsonObject>,
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
    /// Whether it reaches anything outside the sandbox.
    pub open_world: bool,
}

impl Definition {
    pub fn into_tool(self, name: &'static str) -> Tool {
        let annotations = ToolAnnotations::from_raw(
            Some(self.title.to_owned()),
            Some(self.read_only),
            Some(self.destructive),
            Some(self.idempotent),
            Some(self.open_world),
        );
        let tool = Tool::new(name, self.description, self.input)
            .with_title(self.title)
            .with_annotations(annotations);
        match self.output {
            Some(schema) => tool.with_raw_output_schema(Arc::new(schema)),
            None => tool,
        }
    }
}
