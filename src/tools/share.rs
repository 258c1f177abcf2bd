//! The tool `share`: a link to a file or a directory of the workspace, or to a web application that
//! runs in the sandbox. It ends.

mod again;
mod path;
mod port;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, ShareContext};
use super::definition::Definition;
use super::{arguments, files};
use crate::api::{Code, ToolError, bounds};
use crate::config::limits::SHARE_SECONDS;
use crate::sandbox::Sandbox;
use crate::shares::{self, SHARES_LIMIT, ShareError, ShareName, Visibility};

pub use again::{LINKS, ShareLinks};

pub const NAME: &str = "share";

/// Arguments of `share`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShareArgs {
    /// The file or directory, relative to /workspace.
    #[serde(default)]
    path: String,
    /// A port that a web application in the sandbox listens on, instead of `path`. Serve front end
    /// and API from one port. 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 65535))]
    port: Option<u32>,
    /// What it is called when it is saved. Default: the last name of the path.
    #[serde(default)]
    #[schemars(length(max = 120))]
    name: String,
    /// Seconds until the link ends. 60 to 604800; of a port 28800 at most.
    #[serde(default = "default_seconds")]
    #[schemars(range(min = 60, max = 604_800))]
    expires_in_seconds: u32,
}

fn default_seconds() -> u32 {
    SHARE_SECONDS.default
}

/// Result of `share`.
#[derive(Debug, Serialize, JsonSchema)]
struct ShareOutput {
    /// The file as a resource of MCP. A directory has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    resource_uri: Option<String>,
    /// The link, where this server has links. A browser saves what it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    link: Option<String>,
    /// Opens it in the browser: the application, or an HTML page with what belongs to it. Where this
    /// server has previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    preview_link: Option<String>,
    /// "private": only the user can open the link, signed in to this server's page; "link": anyone with
    /// the link can.
    visibility: &'static str,
    /// What it is called when it is saved.
    name: String,
    /// Its type, by its name. A port has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    mime_type: Option<&'static str>,
    /// Of a file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    size: Option<u64>,
    /// When the link ends, RFC 3339 in UTC. It ends earlier when the content changes.
    expires_at: String,
}

/// As clients see it.
pub fn definition() -> Definition {
    Definition {
        title: "Share a file",
        description: "Give the user a file or a directory of /workspace: a link that opens in a \
            browser, and a resource for clients that show one. Use it for what the user asked for: a \
            report, a chart, an archive. The link opens this content only: after a change, share \
            it again. A directory is sent as an archive (.tar, or .zip with ?format=zip at the end of \
            the link), without names that begin with a dot. An HTML file, or a directory with \
            index.html, also opens in the browser by preview_link; share the directory where the page \
            needs other files. With `port` the user opens a web application that you started in the \
            background with shell_exec: serve front end and API from one port; the link ends with the \
            application's container. Show the link to the user as it is, with \
            its end. Removing its file in .casemate/shares ends it earlier."
            .into(),
        input: arguments::schema::<ShareArgs>(),
        output: Some(arguments::schema::<ShareOutput>()),
        read_only: false,
        destructive: false,
        idempotent: false,
        open_world: true,
    }
}

/// What the arguments name.
enum Target {
    Path,
    Port(u16),
}

/// Makes a share.
pub async fn call(
    sandbox: &Sandbox,
    arguments: JsonObject,
    call: &Call<'_>,
) -> Result<CallToolResult, ToolError> {
    let args: ShareArgs = arguments::parse(arguments)?;
    match target(&args)? {
        Target::Path => path::share(sandbox, &args, &call.share).await,
        Target::Port(port) => port::share(sandbox, port, &args, &call.share).await,
    }
}

fn target(args: &ShareArgs) -> Result<Target, ToolError> {
    match (args.path.is_empty(), args.port) {
        (false, None) => Ok(Target::Path),
        (true, None) => {
            let problem = "give the file or directory to share, or a `port`";
            Err(ToolError::argument("path", problem))
        }
        (false, Some(_)) => {
            let problem = "cannot be used with `path`: give one of the two";
            Err(ToolError::argument("port", problem))
        }
        (true, Some(port)) => {
            let port = u16::try_from(port).ok();
            let port = port.filter(|port| shares::is_of_programs(*port));
            let problem = "is 1 to 65535, and not 53, which the sandbox itself uses";
            port.map(Target::Port)
                .ok_or_else(|| ToolError::argument("port", problem))
        }
    }
}

/// Seconds, within the bounds of all shares and of the operator.
fn lifetime(seconds: u32, context: &ShareContext<'_>) -> Result<u32, ToolError> {
    if !SHARE_SECONDS.contains(&seconds) {
        let problem = bounds(&SHARE_SECONDS);
        return Err(ToolError::argument("expires_in_seconds", problem));
    }
    let limit = context.links.lifetime_limit(&context.settings);
    match limit.filter(|limit| limit.as_secs() < u64::from(seconds)) {
        None => Ok(seconds),
        Some(limit) => {
            let problem = format!(
                "links of this server open without sign-in, and end after {} s at the latest",
                limit.as_secs()
            );
            Err(ToolError::argument("expires_in_seconds", problem))
        }
    }
}

/// The name that was given, or the usual one.
fn name(args: &ShareArgs, usual: impl FnOnce() -> ShareName) -> Result<ShareName, ToolError> {
    match args.name.as_str() {
        "" => Ok(usual()),
        given => given
            .parse()
            .map_err(|error| ToolError::argument("name", error)),
    }
}

fn not_stored(error: &ShareError) -> ToolError {
    match error {
        ShareError::Sandbox(error) => ToolError::sandbox(error, "the share"),
        ShareError::TooMany => ToolError::new(
            Code::TooLarge,
            format!(
                "{SHARES_LIMIT} shares are there already. End some: remove their files in \
                 .casemate/shares."
            ),
        ),
        ShareError::Random(error) => ToolError::new(Code::Internal, format!("{error}.")),
    }
}

/// The people for whom a link opens, in words.
fn opens_for(visibility: Visibility, context: &ShareContext<'_>) -> &'static str {
    match visibility {
        Visibility::Link => "everyone who has it",
        Visibility::Private if context.links.can_sign_in(&context.workspace.user) => {
            "the user alone, who signs in to this server's page first"
        }
        Visibility::Private => "requests with the user's own credential alone, not in a browser",
    }
}

/// The result: its first line says what was shared, `notes` come last.
fn answer(
    first: String,
    output: ShareOutput,
    opens_for: &str,
    notes: &[String],
) -> Result<CallToolResult, ToolError> {
    let mut lines = vec![first];
    let links = [("open it", &output.preview_link), ("link", &output.link)];
    for (what, link) in links {
        lines.extend(link.iter().map(|link| format!("{what}: {link}")));
    }
    if output.link.is_some() || output.preview_link.is_some() {
        lines.push(format!(
            "[it opens for {opens_for}, until {}]",
            output.expires_at
        ));
    }
    lines.extend(notes.iter().map(|note| format!("[{note}]")));
    lines.extend(
        output
            .resource_uri
            .iter()
            .map(|uri| format!("resource: {uri}")),
    );
    let mut result = files::structured(lines.join("\n"), None, &output)?;
    if let (Some(uri), Some(size)) = (output.resource_uri, output.size) {
        let resource = Resource::new(uri, output.name).with_size(size);
        let resource = match output.mime_type {
            Some(mime_type) => resource.with_mime_type(mime_type),
            None => resource,
        };
        result.content.push(ContentBlock::resource_link(resource));
    }
    Ok(result)
}
