//! The tools: parse, call, convert. What they do is done in the sandbox.
//!
//! Each half of a result is complete without the other: some clients give the
//! model only `structuredContent`, others only `content`, and on an error only
//! the text.

mod arguments;
mod code;
mod entries;
mod error;
mod files;
pub mod message;
mod notice;
mod outcome;
mod progress;
mod record;
mod render;
mod shell;
mod signals;

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

pub use code::Code;
pub use entries::{instant, time};
pub use error::{ToolError, subject_of};
pub use outcome::convert;
pub use record::audit_subject;
pub use shell::{NAME as RUNS_COMMANDS, start, start_attached};

use crate::config::{Results, ToolSet};
use crate::identity::{Principal, User};
use crate::sandbox::{LastContainer, Manager, ProgressUpdate, Sandbox};

/// The MCP server's side of a conversation.
#[derive(Debug, Clone)]
pub struct Tools {
    manager: Manager,
    caller: Caller,
}

/// Whose sandbox a request is for. Never an argument, a session or what a client says
/// of itself.
#[derive(Debug, Clone)]
enum Caller {
    /// Whoever launched the process: stdio.
    Launcher(User),
    /// The [`Principal`] that authentication put into this one HTTP request.
    Request,
}

/// A request as HTTP's own notification of a cancellation names it. In the request's
/// extensions.
#[derive(Debug, Clone)]
pub struct RequestAddress {
    /// What its commands carry, so that any server of the instance can end them.
    pub tag: Bytes,
    /// Fires when it is cancelled on this server.
    pub cancelled: CancellationToken,
}

impl RequestAddress {
    fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        let parts = context.extensions.get::<::http::request::Parts>()?;
        parts.extensions.get()
    }
}

impl Caller {
    fn user(&self, context: &RequestContext<RoleServer>) -> Result<User, ErrorData> {
        match self {
            Self::Launcher(user) => Ok(user.clone()),
            Self::Request => {
                let parts = context.extensions.get::<::http::request::Parts>();
                let principal = parts.and_then(|parts| parts.extensions.get::<Principal>());
                let user = principal.map(|principal| principal.user.clone());
                user.ok_or_else(|| ErrorData::internal_error("the request has no caller", None))
            }
        }
    }
}

/// What a model is told before it calls anything.
const INSTRUCTIONS: &str = "Each user has a private sandbox: a container without network, and \
    files in /workspace that persist. Run programs with shell_exec; read and write files with \
    the file tools, whose paths are relative to /workspace.";

impl Tools {
    /// Tools for `user`.
    pub fn new(manager: Manager, user: User) -> Self {
        let caller = Caller::Launcher(user);
        Self { manager, caller }
    }

    /// Tools for whoever each HTTP request is from.
    pub fn for_requests(manager: Manager) -> Self {
        let caller = Caller::Request;
        Self { manager, caller }
    }

    /// All tools of the set, as clients see them. `wait`: see [`crate::config::Config::wait`].
    pub fn list(set: ToolSet, results: Results, wait: Duration) -> Vec<Tool> {
        let mut tools = vec![
            shell::tool(wait),
            files::write::tool(),
            files::read::tool(),
            files::list::tool(),
        ];
        if set == ToolSet::All {
            tools.push(files::edit::tool());
        }
        if results == Results::Text {
            // A declared schema promises structured content.
            for tool in &mut tools {
                tool.output_schema = None;
            }
        }
        tools
    }

    async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let start = Instant::now();
        if !NAMES[..count(self.manager.config().tools)].contains(&name) {
            let shown: String = name.escape_debug().take(60).collect();
            let problem = format!("unknown tool: {shown}");
            return Err(ErrorData::invalid_params(problem, None));
        }
        let user = self.caller.user(context)?;
        let span = info_span!("tool_call", tool = name, outcome = field::Empty);
        let recorded = self.recorded(&user, name, arguments, context);
        let (outcome, result) = recorded.instrument(span.clone()).await;
        span.record("outcome", &outcome);
        self.manager.meter().call(name, &outcome, start.elapsed());
        Ok(result)
    }

    /// Makes the call and records it, where calls are. Its outcome, and the result that the
    /// line in the record is about.
    async fn recorded(
        &self,
        user: &User,
        name: &str,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> (String, CallToolResult) {
        let used = LastContainer::default();
        let sandbox = self.manager.sandbox(user).with_last_container(&used);
        let recording = record::begin(self.manager.audit(), user, name, &arguments).await;
        let (recording, result) = match recording {
            Ok(recording) => {
                let wait = self.manager.config().wait;
                (
                    recording,
                    with_progress(sandbox, name, arguments, wait, context).await,
                )
            }
            Err(refused) => (None, Err(refused)),
        };
        let outcome = outcome::counted(&result).to_owned();
        let mut result = result.unwrap_or_else(ToolError::into_result);
        render::never_blank(&mut result);
        if self.manager.config().results == Results::Text {
            result.structured_content = None;
        }
        let Some(recording) = recording else {
            return (outcome, result);
        };
        match record::end(recording, &result, &outcome, &used).await {
            Ok(()) => (outcome, result),
            Err(withheld) => (withheld.code.as_str().to_owned(), withheld.into_result()),
        }
    }
}

/// All names: the core first, then what [`ToolSet::All`] has besides.
const NAMES: [&str; 5] = [
    shell::NAME,
    files::write::NAME,
    files::read::NAME,
    files::list::NAME,
    files::edit::NAME,
];

/// How many of [`NAMES`] a set has.
fn count(set: ToolSet) -> usize {
    match set {
        ToolSet::Core => 4,
        ToolSet::All => NAMES.len(),
    }
}

/// Calls one of [`NAMES`], and tells the caller what happens meanwhile.
async fn with_progress(
    sandbox: Sandbox,
    name: &str,
    arguments: JsonObject,
    wait: Duration,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ToolError> {
    let (teller, progress) = watch::channel(ProgressUpdate::Nothing);
    let sandbox = sandbox.with_progress(&teller);
    let addressed = RequestAddress::of(context);
    let call = Call {
        tag: addressed
            .map(|addressed| addressed.tag.clone())
            .unwrap_or_default(),
        cancel: context.ct.child_token(),
        wait,
        progress: &teller,
    };
    let cancelled = async {
        match addressed {
            Some(addressed) => addressed.cancelled.cancelled().await,
            None => pending().await,
        }
        call.cancel.cancel();
        pending().await
    };
    tokio::select! {
        result = dispatch(&sandbox, name, arguments, &call) => result,
        never = cancelled => match never {},
        never = progress::report(context, progress) => match never {},
    }
}

/// What goes with the arguments of a call.
#[derive(Debug)]
struct Call<'a> {
    /// Of its request; empty where none can be named from elsewhere.
    tag: Bytes,
    /// Fires when its client leaves or cancels it.
    cancel: CancellationToken,
    /// How long it waits for a command, unless it says.
    wait: Duration,
    /// What happens meanwhile.
    progress: &'a watch::Sender<ProgressUpdate>,
}

async fn dispatch(
    sandbox: &Sandbox,
    name: &str,
    arguments: JsonObject,
    call: &Call<'_>,
) -> Result<CallToolResult, ToolError> {
    let cancel = &call.cancel;
    match name {
        files::write::NAME => or_cancelled(cancel, files::write::call(sandbox, arguments)).await,
        files::read::NAME => or_cancelled(cancel, files::read::call(sandbox, arguments)).await,
        files::list::NAME => or_cancelled(cancel, files::list::call(sandbox, arguments)).await,
        files::edit::NAME => or_cancelled(cancel, files::edit::call(sandbox, arguments)).await,
        _ => shell::call(sandbox, arguments, call).await,
    }
}

/// Drops the call when it is cancelled: PID 1 then stops its work.
async fn or_cancelled(
    cancel: &CancellationToken,
    call: impl Future<Output = Result<CallToolResult, ToolError>>,
) -> Result<CallToolResult, ToolError> {
    tokio::select! {
        result = call => result,
        () = cancel.cancelled() => Err(ToolError::new(Code::Cancelled, "the call was cancelled.")),
    }
}

/// One tool's definition.
struct Definition {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    input: JsonObject,
    output: Option<JsonObject>,
    read_only: bool,
    destructive: bool,
    idempotent: bool,
}

impl From<Definition> for Tool {
    fn from(definition: Definition) -> Self {
        let annotations = ToolAnnotations::from_raw(
            Some(definition.title.to_owned()),
            Some(definition.read_only),
            Some(definition.destructive),
            Some(definition.idempotent),
            // A sandbox has no network: its world is closed.
            Some(false),
        );
        let tool = Self::new(definition.name, definition.description, definition.input)
            .with_title(definition.title)
            .with_annotations(annotations);
        match definition.output {
            Some(schema) => tool.with_raw_output_schema(Arc::new(schema)),
            None => tool,
        }
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("casemate", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let config = self.manager.config();
        if config.warm {
            self.sandbox(&context)?.warm();
        }
        Ok(ListToolsResult::with_all_items(Self::list(
            config.tools,
            config.results,
            config.wait,
        )))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // The end of the server waits for calls: they end what they run.
        let _call = self.manager.calls().token();
        let arguments = request.arguments.unwrap_or_default();
        let result = self.call(&request.name, arguments, &context).await?;
        Ok(result.into())
    }
}

impl Tools {
    fn sandbox(&self, context: &RequestContext<RoleServer>) -> Result<Sandbox, ErrorData> {
        Ok(self.manager.sandbox(&self.caller.user(context)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(50);

    /// The golden file is what clients see: a change of it is a change of the
    /// contract. `UPDATE=1 cargo test` writes it.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for the developer, not a setting"
    )]
    fn what_clients_see_is_what_the_golden_file_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tools.json");
        let tools = serde_json::to_string_pretty(&Tools::list(ToolSet::All, Results::Both, WAIT))
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
        for tool in Tools::list(ToolSet::All, Results::Both, WAIT) {
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
        let core = Tools::list(ToolSet::Core, Results::Both, WAIT);
        let names: Vec<_> = core.iter().map(|tool| &*tool.name).collect();
        assert_eq!(
            names,
            ["shell_exec", "write_file", "read_file", "list_files"]
        );
        let all = Tools::list(ToolSet::All, Results::Both, WAIT);
        assert_eq!(all[..4], core);
        let all_names: Vec<_> = all.iter().map(|tool| &*tool.name).collect();
        assert_eq!(all_names, NAMES[..count(ToolSet::All)]);
        assert_eq!(names, NAMES[..count(ToolSet::Core)]);
        assert_eq!(all[4].name, "edit_file");
    }

    #[test]
    fn only_read_file_has_no_output_schema() {
        for tool in Tools::list(ToolSet::All, Results::Both, WAIT) {
            assert_eq!(
                tool.output_schema.is_none(),
                tool.name == files::read::NAME,
                "{}",
                tool.name
            );
            let hints = tool.annotations.expect("annotations");
            assert!(hints.read_only_hint.is_some() && hints.destructive_hint.is_some());
            assert!(hints.idempotent_hint.is_some() && hints.open_world_hint == Some(false));
        }
        assert!(
            Tools::list(ToolSet::All, Results::Text, WAIT)
                .iter()
                .all(|tool| tool.output_schema.is_none())
        );
    }
}
