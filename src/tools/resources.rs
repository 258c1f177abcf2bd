//! The resources of MCP: the files of the workspace, by their URIs. The list has what the user
//! shares; any file can be read whose path is known, with the rights and the errors of `read_file`.

mod contents;
mod uri;

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::ErrorData;
use rmcp::model::{
    JsonObject, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource,
    ResourceTemplate,
};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

use super::record;
use crate::api::{Code, ToolError};
use crate::identity::{Identity, WorkspaceId};
use crate::sandbox::{LastContainer, Manager, Sandbox};
use crate::shares::ShareStore;

pub use contents::mime_type;
pub use uri::of_path;

/// `resources/list`, in audit and metrics.
const LIST: &str = "resources_list";

/// `resources/read`.
const READ: &str = "resources_read";

/// One request about the resources of a user.
pub struct Resources<'a> {
    pub manager: &'a Manager,
    pub identity: &'a Identity,
    /// Fires when the client leaves or cancels.
    pub cancelled: &'a CancellationToken,
}

impl Resources<'_> {
    /// A page of the files that the user shares.
    pub async fn list(self, cursor: String) -> Result<ListResourcesResult, ErrorData> {
        let arguments = object("cursor", &cursor);
        let workspace = self.identity.workspace_id();
        let listed = self.recorded(LIST, arguments, async |sandbox: &Sandbox| {
            page(sandbox, &workspace, &cursor).await
        });
        listed.await
    }

    /// The content of a file.
    pub async fn read(self, uri: String) -> Result<ReadResourceResult, ErrorData> {
        let arguments = object("uri", &uri);
        let workspace = self.identity.workspace_id();
        let read = self.recorded(READ, arguments, async |sandbox: &Sandbox| {
            contents::read(sandbox, &workspace, &uri).await
        });
        read.await
    }

    /// Makes the call, with what every call of a tool has around it.
    async fn recorded<T: Serialize>(
        self,
        name: &'static str,
        arguments: JsonObject,
        call: impl AsyncFnOnce(&Sandbox) -> Result<T, ToolError>,
    ) -> Result<T, ErrorData> {
        // The server waits for calls when it ends.
        let _call = self.manager.calls().token();
        let start = Instant::now();
        let span = info_span!("resource_call", call = name, outcome = field::Empty);
        let made = async {
            let audit = self.manager.audit();
            let recording = record::begin(audit, self.identity, name, &arguments).await?;
            let used = LastContainer::default();
            let sandbox = self
                .manager
                .sandbox(self.identity)
                .with_last_container(&used);
            let result = tokio::select! {
                result = call(&sandbox) => result,
                () = self.cancelled.cancelled() => {
                    Err(ToolError::new(Code::Cancelled, "the call was cancelled."))
                }
            };
            let Some(recording) = recording else {
                return result;
            };
            match &result {
                Ok(value) => record::end(recording, name, value, "ok", &used).await?,
                Err(error) => {
                    let code = error.code.as_str();
                    let told = json!({ "code": code, "message": error.sentence });
                    record::end(recording, name, &told, code, &used).await?;
                }
            }
            result
        };
        let result = made.instrument(span.clone()).await;
        let outcome = result
            .as_ref()
            .err()
            .map_or("ok", |error| error.code.as_str());
        span.record("outcome", outcome);
        self.manager.meter().call(name, outcome, start.elapsed());
        result.map_err(|error| of_error(&error))
    }
}

fn object(name: &str, value: &str) -> JsonObject {
    JsonObject::from_iter([(name.to_owned(), value.into())])
}

/// Any file of the workspace has a URI of this form.
pub fn templates(workspace: &WorkspaceId) -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(uri::template(workspace), "file")
        .with_title("A file of the workspace")
        .with_description(
            "The content of a file in the user's /workspace, up to 3 MiB, as text if it is UTF-8. \
             The path is relative to /workspace, with % escapes.",
        );
    ListResourceTemplatesResult::with_all_items(vec![template])
}

/// Directories are shared too, and have no content to read.
async fn page(
    sandbox: &Sandbox,
    workspace: &WorkspaceId,
    cursor: &str,
) -> Result<ListResourcesResult, ToolError> {
    let after = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| {
        ToolError::argument("cursor", "is not a nextCursor; omit it for the first page")
    })?;
    let failed = |error| ToolError::sandbox(&error, "the directory of shares");
    let page = ShareStore(sandbox)
        .page(after.into())
        .await
        .map_err(failed)?;
    let mut resources: Vec<Resource> = Vec::new();
    for (_, record) in page.shares {
        let Some(path) = record.path() else {
            continue;
        };
        let uri = of_path(workspace, path);
        // It may be gone by now, and it may be shared twice.
        let found = sandbox.stat(path.to_bytes()).await;
        let is_listed = resources.iter().any(|listed| listed.uri == uri);
        let Some(stat) = found.ok().filter(|stat| !stat.is_dir && !is_listed) else {
            continue;
        };
        let resource = Resource::new(uri, record.name.as_str())
            .with_mime_type(mime_type(path))
            .with_size(stat.size);
        resources.push(resource);
    }
    let mut result = ListResourcesResult::with_all_items(resources);
    result.next_cursor = page.next.map(|next| URL_SAFE_NO_PAD.encode(next));
    Ok(result)
}

/// An error as the protocol has it for requests that are no calls of tools: the code of ours is
/// among its data.
fn of_error(error: &ToolError) -> ErrorData {
    let data = Some(json!({ "code": error.code.as_str() }));
    let message = error.to_string();
    match error.code {
        Code::NotFound => ErrorData::resource_not_found(message, data),
        Code::InvalidArgument
        | Code::OutsideWorkspace
        | Code::IsDirectory
        | Code::NotDirectory
        | Code::NotRegular
        | Code::PermissionDenied
        | Code::TooLarge => ErrorData::invalid_params(message, data),
        _ => ErrorData::internal_error(message, data),
    }
}
