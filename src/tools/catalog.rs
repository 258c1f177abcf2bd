//! The table of tools: every list, search and call of tools uses it.

use std::future::Future;
use std::pin::Pin;

use rmcp::model::{CallToolResult, JsonObject, Tool};
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::definition::{Definition, DefinitionContext};
use super::{files, share, shell};
use crate::api::{Code, ToolError};
use crate::config::{Results, ToolSet};
use crate::sandbox::Sandbox;

type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send + 'a>>;

/// One tool.
pub struct ToolEntry {
    pub name: &'static str,
    /// The smallest set with this tool.
    set: ToolSet,
    definition: fn(&DefinitionContext) -> Definition,
    pub call: for<'a> fn(&'a Sandbox, JsonObject, &'a Call<'a>) -> CallFuture<'a>,
}

/// All tools, in the order in which clients see them.
const TOOLS: [ToolEntry; 6] = [
    ToolEntry {
        name: shell::NAME,
        set: ToolSet::Core,
        definition: shell::definition,
        call: |sandbox, arguments, call| Box::pin(shell::call(sandbox, arguments, call)),
    },
    ToolEntry {
        name: files::write::NAME,
        set: ToolSet::Core,
        definition: |_| files::write::definition(),
        call: |sandbox, arguments, call| {
            or_cancelled(&call.cancel, files::write::call(sandbox, arguments))
        },
    },
    ToolEntry {
        name: files::read::NAME,
        set: ToolSet::Core,
        definition: files::read::definition,
        call: |sandbox, arguments, call| {
            or_cancelled(&call.cancel, files::read::call(sandbox, arguments))
        },
    },
    ToolEntry {
        name: files::list::NAME,
        set: ToolSet::Core,
        definition: files::list::definition,
        call: |sandbox, arguments, call| {
            or_cancelled(&call.cancel, files::list::call(sandbox, arguments))
        },
    },
    ToolEntry {
        name: files::edit::NAME,
        set: ToolSet::All,
        definition: |_| files::edit::definition(),
        call: |sandbox, arguments, call| {
            or_cancelled(&call.cancel, files::edit::call(sandbox, arguments))
        },
    },
    ToolEntry {
        name: share::NAME,
        set: ToolSet::All,
        definition: |_| share::definition(),
        call: |sandbox, arguments, call| {
            or_cancelled(&call.cancel, share::call(sandbox, arguments, call))
        },
    },
];

/// The tools of a set.
fn tools(set: ToolSet) -> impl Iterator<Item = &'static ToolEntry> {
    TOOLS
        .iter()
        .filter(move |entry| set == ToolSet::All || entry.set == set)
}

/// The tool of this name, if the set has it.
pub fn find(set: ToolSet, name: &str) -> Option<&'static ToolEntry> {
    tools(set).find(|entry| entry.name == name)
}

/// The definitions of a set, as clients see them.
pub fn list(set: ToolSet, results: Results, context: &DefinitionContext) -> Vec<Tool> {
    let tool = |entry: &ToolEntry| {
        let mut definition = (entry.definition)(context);
        if results == Results::Text {
            // A declared schema promises structured content.
            definition.output = None;
        }
        definition.into_tool(entry.name)
    };
    tools(set).map(tool).collect()
}

/// Drops the call when it is cancelled: PID 1 then stops its work.
fn or_cancelled<'a>(
    cancel: &'a CancellationToken,
    call: impl Future<Output = Result<CallToolResult, ToolError>> + Send + 'a,
) -> CallFuture<'a> {
    Box::pin(async move {
        tokio::select! {
            result = call => result,
            () = cancel.cancelled() => {
                Err(ToolError::new(Code::Cancelled, "the call was cancelled."))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use casemate_egress::rules::Rules;

    use super::*;

    fn context() -> DefinitionContext {
        DefinitionContext {
            wait: Duration::from_secs(50),
            image: None,
            shared: Vec::new(),
            network: Rules::default().summary(),
            has_network: false,
        }
    }

    /// The golden file is what clients see: a change of it is a change of the
    /// contract. `UPDATE=1 cargo test` writes it.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for the developer, not a setting"
    )]
    fn what_clients_see_is_what_the_golden_file_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tools.json");
        let tools = serde_json::to_string_pretty(&list(ToolSet::All, Results::Both, &context()))
            .expect("json")
            + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &tools).expect("write golden file");
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            golden == tools,
            "the tools changed: review, then UPDATE=1 cargo test"
        );
    }

    #[test]
    fn every_field_is_documented_and_of_one_type_and_no_key_is_one_that_converters_stumble_over() {
        for tool in list(ToolSet::All, Results::Both, &context()) {
            let schema = &tool.input_schema;
            assert!(
                schema.get("additionalProperties").is_none(),
                "{}",
                tool.name
            );
            assert!(schema["required"].is_array(), "{}", tool.name);
            let properties = schema["properties"].as_object().expect("properties");
            for (name, property) in properties {
                assert!(
                    property.get("description").is_some(),
                    "{}.{name}",
                    tool.name
                );
                assert!(
                    property["type"].is_string(),
                    "{}.{name}: {property}",
                    tool.name
                );
                assert!(
                    property.get("oneOf").is_none(),
                    "{}.{name}: {property}",
                    tool.name
                );
            }
        }
    }

    #[test]
    fn the_core_are_the_four() {
        let core = list(ToolSet::Core, Results::Both, &context());
        let names: Vec<_> = core.iter().map(|tool| &*tool.name).collect();
        assert_eq!(
            names,
            ["shell_exec", "write_file", "read_file", "list_files"]
        );
        let all = list(ToolSet::All, Results::Both, &context());
        assert_eq!(all[..4], core);
        let more: Vec<_> = all[4..].iter().map(|tool| &*tool.name).collect();
        assert_eq!(more, ["edit_file", "share"]);
    }

    #[test]
    fn only_read_file_has_no_output_schema() {
        for tool in list(ToolSet::All, Results::Both, &context()) {
            assert_eq!(
                tool.output_schema.is_none(),
                tool.name == files::read::NAME,
                "{}",
                tool.name
            );
            let hints = tool.annotations.expect("annotations");
            assert!(hints.read_only_hint.is_some() && hints.destructive_hint.is_some());
            // A share leaves the sandbox by its link.
            let reaches_out = tool.name == share::NAME;
            assert!(hints.idempotent_hint.is_some());
            assert_eq!(hints.open_world_hint, Some(reaches_out), "{}", tool.name);
        }
        assert!(
            list(ToolSet::All, Results::Text, &context())
                .iter()
                .all(|tool| tool.output_schema.is_none())
        );
    }

    #[test]
    fn a_tool_is_found_by_its_name_in_its_sets_only() {
        for entry in &TOOLS {
            let found = find(ToolSet::All, entry.name).map(|found| found.name);
            assert_eq!(found, Some(entry.name));
        }
        assert!(find(ToolSet::Core, files::edit::NAME).is_none());
        assert!(find(ToolSet::All, "shell").is_none());
    }
}
