//! `GET /v1/openapi.json`: the routes for applications, as programs read them. The same for
//! everybody, and open to everybody.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// The route.
pub fn routes() -> Router {
    let document = ([(header::CONTENT_TYPE, "application/json")], DOCUMENT);
    Router::new().route("/v1/openapi.json", get(async move || document))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::super::exec::IN_THE_PATH;
    use super::DOCUMENT;
    use crate::config::{Results, ToolSet};
    use crate::tools::{DefinitionContext, RUNS_COMMANDS, list};

    #[test]
    fn a_command_has_the_fields_of_the_tool_and_its_result() {
        let context = DefinitionContext {
            wait: Duration::ZERO,
            image: None,
            shared: Vec::new(),
            network: String::new(),
            has_network: false,
        };
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let schemas = &document["components"]["schemas"];
        let tools = list(ToolSet::Core, Results::Both, &context);
        let tool = tools.iter().find(|tool| tool.name == RUNS_COMMANDS);
        let tool = serde_json::to_value(tool.expect("the tool")).expect("JSON");
        assert_eq!(schemas["ExecResult"], tool["outputSchema"]);
        let names = |schema: &Value| {
            let properties = schema["properties"].as_object().expect("properties");
            let mut names: Vec<String> = properties.keys().cloned().collect();
            names.retain(|name| !IN_THE_PATH.contains(&name.as_str()));
            names.sort();
            names
        };
        let request = &schemas["ExecRequest"];
        assert_eq!(names(request), names(&tool["inputSchema"]));
        for (name, property) in request["properties"].as_object().expect("properties") {
            for bound in ["minimum", "maximum"] {
                let of_tool = &tool["inputSchema"]["properties"][name][bound];
                assert_eq!(&property[bound], of_tool, "{name}.{bound}");
            }
        }
    }
}
