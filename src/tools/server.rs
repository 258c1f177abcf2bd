//! The MCP server: finds the caller and the tool, and records the call.

use std::future::pending;
use std::time::Instant;

use bytes::Bytes;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

use super::call::{Call, ShareContext};
use super::catalog::{self, ToolEntry};
use super::definition::DefinitionContext;
use super::resources::{self, Resources};
use super::{progress, record, result};
use crate::api::ToolError;
use crate::config::Results;
use crate::identity::{Identity, Principal};
use crate::sandbox::{LastContainer, Manager, ProgressUpdate, Sandbox};
use crate::shares::{Links, Previews};

/// The MCP server's side of a conversation.
#[derive(Debug, Clone)]
pub struct Tools {
    manager: Manager,
    caller: CallerSource,
    links: Links,
    previews: Previews,
}

/// The user of a request. Never taken from an argument, a session or a client's name for itself.
#[derive(Debug, Clone)]
enum CallerSource {
    /// The user who launched the process: stdio.
    Launcher(Identity),
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
    fn identity(&self, context: &RequestContext<RoleServer>) -> Result<Identity, ErrorData> {
        match self {
            Self::Launcher(identity) => Ok(identity.clone()),
            Self::Request => {
                let parts = context.extensions.get::<::http::request::Parts>();
                let principal = parts.and_then(|parts| parts.extensions.get::<Principal>());
                let identity = principal.map(|principal| principal.identity.clone());
                identity.ok_or_else(|| ErrorData::internal_error("the request has no caller", None))
            }
        }
    }
}

/// Instructions for the model, before any call.
const INSTRUCTIONS: &str = "Each user has a private sandbox: a container without network \
    unless shell_exec names hosts that it reaches, and files in /workspace that persist. Run programs with shell_exec; read and write files with \
    the file tools, whose paths are relative to /workspace.";

impl Tools {
    /// Tools for the user who launched the process.
    pub fn new(manager: Manager, identity: Identity) -> Self {
        let links = Links::over_stdio(manager.config());
        Self {
            manager,
            caller: CallerSource::Launcher(identity),
            previews: Previews::over_stdio(links.clone()),
            links,
        }
    }

    /// Tools for the caller of each HTTP request, with the links and previews of this server.
    pub fn for_requests(manager: Manager, links: Links, previews: Previews) -> Self {
        Self {
            manager,
            caller: CallerSource::Request,
            links,
            previews,
        }
    }

    pub(super) fn share_context(&self, identity: &Identity) -> ShareContext<'_> {
        ShareContext {
            workspace: identity.workspace_id(),
            group: identity.group.clone(),
            settings: self.manager.config().for_identity(identity),
            links: &self.links,
            previews: &self.previews,
        }
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
        let identity = self.caller.identity(context)?;
        let span = info_span!("tool_call", tool = tool.name, outcome = field::Empty);
        let recorded = self.recorded(&identity, tool, arguments, context);
        let (outcome, result) = recorded.instrument(span.clone()).await;
        span.record("outcome", &outcome);
        self.manager.meter().call(name, &outcome, start.elapsed());
        Ok(result)
    }

    /// Makes the call, with an audit line if calls are recorded. Returns its outcome and result.
    async fn recorded(
        &self,
        identity: &Identity,
        tool: &ToolEntry,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> (String, CallToolResult) {
        let used = LastContainer::default();
        let sandbox = self.manager.sandbox(identity).with_last_container(&used);
        let recording = record::begin(self.manager.audit(), identity, tool.name, &arguments).await;
        let (recording, result) = match recording {
            Ok(recording) => {
                let called = self.with_progress(&sandbox, identity, tool, arguments, context);
                (recording, called.await)
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
        match record::end(recording, tool.name, &result, &outcome, &used).await {
            Ok(()) => (outcome, result),
            Err(withheld) => (
                withheld.code.as_str().to_owned(),
                result::of_error(&withheld),
            ),
        }
    }
}

impl Tools {
    /// Calls a tool, and reports progress to the client.
    async fn with_progress(
        &self,
        sandbox: &Sandbox,
        identity: &Identity,
        tool: &ToolEntry,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ToolError> {
        let (teller, progress) = watch::channel(ProgressUpdate::Nothing);
        let sandbox = sandbox.clone().with_progress(&teller);
        let addressed = RequestAddress::of(context);
        let call = Call {
            tag: addressed
                .map(|addressed| addressed.tag.clone())
                .unwrap_or_default(),
            cancel: context.ct.child_token(),
            wait: self.manager.config().wait,
            progress: &teller,
            share: self.share_context(identity),
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
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .build();
        let mut info = ServerConfig::new(capabilities);
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
        let identity = self.caller.identity(&context)?;
        let rules = self.manager.egress_rules(&identity);
        let context = DefinitionContext {
            wait: config.wait,
            image: self.manager.image_description(&identity).await,
            shared: self.manager.shared_paths(&identity),
            network: rules.summary(),
            has_network: !rules.is_empty(),
        };
        let tools = catalog::list(config.tools, config.results, &context);
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|page| page.cursor).unwrap_or_default();
        self.resources(&self.caller.identity(&context)?, &context)
            .list(cursor)
            .await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let workspace = self.caller.identity(&context)?.workspace_id();
        Ok(resources::templates(&workspace))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = self
            .resources(&self.caller.identity(&context)?, &context)
            .read(request.uri)
            .await?;
        Ok(read.into())
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
    fn resources<'a>(
        &'a self,
        identity: &'a Identity,
        context: &'a RequestContext<RoleServer>,
    ) -> Resources<'a> {
        Resources {
            manager: &self.manager,
            identity,
            cancelled: &context.ct,
        }
    }

    fn sandbox(&self, context: &RequestContext<RoleServer>) -> Result<Sandbox, ErrorData> {
        Ok(self.manager.sandbox(&self.caller.identity(context)?))
    }
}
