//! The definition of a tool, as clients see it.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};

/// What clients see of a tool besides its name.
pub struct Definition {
    pub title: &'static str,
    pub description: &'static str,
    pub input: JsonObject,
    pub output: Option<JsonObject>,
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
}

impl Definition {
    pub fn into_tool(self, name: &'static str) -> Tool {
        let annotations = ToolAnnotations::from_raw(
            Some(self.title.to_owned()),
            Some(self.read_only),
            Some(self.destructive),
            Some(self.idempotent),
            // A sandbox has no network: its world is closed.
            Some(false),
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
