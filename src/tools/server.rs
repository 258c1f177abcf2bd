//! The MCP server: finds the caller and the tool, and records the call.

use std::future::pending;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

use super::call::Call;
use super::catalog::{self, ToolEntry};
use super::definition::DefinitionContext;
use super::{progress, record, result};
use crate::api::ToolError;
use crate::config::Results;
use crate::identity::{Principal, User};
use crate::sandbox::{LastContainer, Manager, ProgressUpdate, Sandbox};

/// The MCP server's side of a conversation.
#[derive(Debug, Clone)]
pub struct Tools {
    manager: Manager,
    caller: CallerSource,
}

/// The user of a request. Never taken from an argument, a session or a client's name for itself.
#[derive(Debug, Clone)]
enum CallerSource {
    /// The user who launched the process: stdio.
    Launcher(User),
    /// The [`Principal`] that authentication put into this one HTTP request.
    Request,
}

/// A request as the HTTP notification of a cancellation names it, in the request's extensions.
#[derive(Debug, Clone)]
pub struct RequestAddress {
    /// Given to its commands, so that any server of the instance can end them.
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

impl CallerSource {
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

/// Instructions for the model, before any call.
const INSTRUCTIONS: &str = "Each user has a private sandbox: a container without network \
    unless shell_exec names hosts that it reaches, and files in /workspace that persist. Run programs with shell_exec; read and write files with \
    the file tools, whose paths are relative to /workspace.";

impl Tools {
    /// Tools for `user`.
    pub fn new(manager: Manager, user: User) -> Self {
        let caller = CallerSource::Launcher(user);
        Self { manager, caller }
    }

    /// Tools for the caller of each HTTP request.
    pub fn for_requests(manager: Manager) -> Self {
        let caller = CallerSource::Request;
        Self { manager, caller }
    }

    pub(super) fn manager(&self) -> &Manager {
        &self.manager
    }

    async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let start = Instant::now();
        let Some(tool) = catalog::find(self.manager.config().tools, name) else {
            let shown: String = name.escape_debug().take(60).collect();
            let problem = format!("unknown tool: {shown}");
            return Err(ErrorData::invalid_params(problem, None));
        };
        let user = self.caller.user(context)?;
        let span = info_span!("tool_call", tool = tool.name, outcome = field::Empty);
        let recorded = self.recorded(&user, tool, arguments, context);
        let (outcome, result) = recorded.instrument(span.clone()).await;
        span.record("outcome", &outcome);
        self.manager.meter().call(name, &outcome, start.elapsed());
        Ok(result)
    }

    /// Makes the call, with an audit line if calls are recorded. Returns its outcome and result.
    async fn recorded(
        &self,
        user: &User,
        tool: &ToolEntry,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> (String, CallToolResult) {
        let used = LastContainer::default();
        let sandbox = self.manager.sandbox(user).with_last_container(&used);
        let recording = record::begin(self.manager.audit(), user, tool.name, &arguments).await;
        let (recording, result) = match recording {
            Ok(recording) => {
                let wait = self.manager.config().wait;
                (
                    recording,
                    with_progress(sandbox, tool, arguments, wait, context).await,
                )
            }
            Err(refused) => (None, Err(refused)),
        };
        let outcome = result::counted(&result).to_owned();
        let mut result = result.unwrap_or_else(|error| result::of_error(&error));
        result::never_blank(&mut result);
        if self.manager.config().results == Results::Text {
            result.structured_content = None;
        }
        let Some(recording) = recording else {
            return (outcome, result);
        };
        match record::end(recording, &result, &outcome, &used).await {
            Ok(()) => (outcome, result),
            Err(withheld) => (
                withheld.code.as_str().to_owned(),
                result::of_error(&withheld),
            ),
        }
    }
}

/// Calls a tool, and reports progress to the client.
async fn with_progress(
    sandbox: Sandbox,
    tool: &ToolEntry,
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
        result = (tool.call)(&sandbox, arguments, &call) => result,
        never = cancelled => match never {},
        never = progress::report(context, progress) => match never {},
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
        let user = self.caller.user(&context)?;
        let rules = self.manager.egress_rules(&user);
        let context = DefinitionContext {
            wait: config.wait,
            image: self.manager.image_description(&user).await,
            network: rules.summary(),
            has_network: !rules.is_empty(),
        };
        let tools = catalog::list(config.tools, config.results, &context);
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // The server waits for calls when it ends, so that they can end their commands.
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
