//! The tool `share`: a link to a file or a directory of the workspace, which ends.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, ShareContext};
use super::definition::Definition;
use super::resources::{mime_type, of_path};
use super::{arguments, files};
use crate::api::{Code, ToolError, bounds};
use crate::config::limits::SHARE_SECONDS;
use crate::sandbox::{Sandbox, Stat};
use crate::shares::{
    self, ContentVersion, DIRECTORY_ENTRIES_LIMIT, LinkClaims, NoLink, SHARES_LIMIT, ShareError,
    ShareName, ShareRecord, ShareStore, VersionError, Visibility,
};
use crate::workspace::WorkspacePath;

pub const NAME: &str = "share";

/// The type of a directory (shared-mime-info).
const DIRECTORY: &str = "inode/directory";

/// Arguments of `share`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShareArgs {
    /// The file or directory, relative to /workspace.
    #[serde(default)]
    path: String,
    /// A port of a web application that runs in the sandbox, instead of `path`, where the server
    /// offers previews. Serve front end and API from one port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 65535))]
    port: Option<u32>,
    /// What it is called when it is saved. Default: the last name of the path.
    #[serde(default)]
    #[schemars(length(max = 120))]
    name: String,
    /// Seconds until the link ends. 60 to 604800.
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
    /// Who may open the link: "private" is the user alone, signed in to this server's page; "link" is
    /// everyone who has it.
    visibility: &'static str,
    /// What it is called when it is saved.
    name: String,
    /// Its type, by its name.
    mime_type: &'static str,
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
            the link), without names that begin with a dot. Show the link to the user as it is, with \
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

/// Makes a share.
pub async fn call(
    sandbox: &Sandbox,
    arguments: JsonObject,
    call: &Call<'_>,
) -> Result<CallToolResult, ToolError> {
    let args: ShareArgs = arguments::parse(arguments)?;
    let context = &call.share;
    let path = target(&args)?;
    let expires = shares::now() + u64::from(lifetime(args.expires_in_seconds, context)?);
    let name = match args.name.as_str() {
        "" => ShareName::of(&path),
        given => given
            .parse()
            .map_err(|error| ToolError::argument("name", error))?,
    };
    let (stat, version) = content(sandbox, &path).await?;
    let links = context.links.check_there_are_some();
    if let (true, Err(why)) = (stat.is_dir, links) {
        let sentence = format!(
            "a directory can only be shared by a link, and this server makes no links: {why}."
        );
        return Err(ToolError::new(Code::PermissionDenied, sentence));
    }
    let record = ShareRecord {
        path,
        version,
        name,
        visibility: context.links.visibility(&context.settings),
        expires,
    };
    let created = ShareStore(sandbox).create(&record).await;
    let share = created.map_err(|error| not_stored(&error))?;
    let link = context.links.make(&LinkClaims {
        user: context.user.hash(),
        share,
        expires,
    });
    answer(&record, &stat, link)
}

/// The path, if it may be shared.
fn target(args: &ShareArgs) -> Result<WorkspacePath, ToolError> {
    match (args.path.is_empty(), args.port) {
        (false, None) => {}
        (true, None) => {
            let problem = "give the file or directory to share";
            return Err(ToolError::argument("path", problem));
        }
        (false, Some(_)) => {
            let problem = "cannot be used with `path`: give one of the two";
            return Err(ToolError::argument("port", problem));
        }
        (true, Some(_)) => {
            let problem = "this server has no previews of ports, for which the operator would have to \
                 set CASEMATE_PREVIEW_DOMAIN; share a file or a directory";
            return Err(ToolError::argument("port", problem));
        }
    }
    let path = files::path(&args.path)?;
    shares::check_path(&path).map_err(|error| ToolError::argument("path", error))?;
    Ok(path)
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

async fn content(
    sandbox: &Sandbox,
    path: &WorkspacePath,
) -> Result<(Stat, ContentVersion), ToolError> {
    let current = shares::current(sandbox, path).await;
    let (stat, version) = current.map_err(|error| match error {
        VersionError::Sandbox(error) => ToolError::sandbox(&error, &format!("\"{path}\"")),
        VersionError::TooManyEntries => ToolError::new(
            Code::TooLarge,
            format!(
                "\"{path}\" has more than {DIRECTORY_ENTRIES_LIMIT} entries. Make an archive of it with \
                 shell_exec, and share that."
            ),
        ),
    })?;
    if path.names_directory() && !stat.is_dir {
        let sentence = format!("\"{path}\" is a file; leave out the slash at its end.");
        return Err(ToolError::new(Code::NotDirectory, sentence));
    }
    Ok((stat, version))
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

fn answer(
    record: &ShareRecord,
    stat: &Stat,
    link: Result<String, NoLink>,
) -> Result<CallToolResult, ToolError> {
    let (why, link) = (link.as_ref().err().copied(), link.ok());
    let output = ShareOutput {
        resource_uri: (!stat.is_dir).then(|| of_path(&record.path)),
        link,
        visibility: record.visibility.as_str(),
        name: record.name.to_string(),
        mime_type: if stat.is_dir {
            DIRECTORY
        } else {
            mime_type(&record.path)
        },
        size: (!stat.is_dir).then_some(stat.size),
        expires_at: shares::rfc3339(record.expires),
    };
    let mut result = files::structured(in_words(&output, record.visibility, why), None, &output)?;
    if let Some(uri) = output.resource_uri {
        let resource = Resource::new(uri, output.name)
            .with_mime_type(output.mime_type)
            .with_size(stat.size);
        result.content.push(ContentBlock::resource_link(resource));
    }
    Ok(result)
}

fn in_words(output: &ShareOutput, visibility: Visibility, why: Option<NoLink>) -> String {
    let size = match output.size {
        Some(size) => format!("{size} bytes, {}", output.mime_type),
        None => "a directory".to_owned(),
    };
    let mut lines = vec![format!("shared {} ({size})", output.name)];
    match (&output.link, why) {
        (Some(link), _) => {
            lines.push(format!("link: {link}"));
            let who = match visibility {
                Visibility::Private => "the user alone, who signs in to this server's page first",
                Visibility::Link => "everyone who has it",
            };
            lines.push(format!("[it opens for {who}, until {}]", output.expires_at));
        }
        (None, Some(why)) => lines.push(format!("[no link: {why}]")),
        (None, None) => {}
    }
    if let Some(uri) = &output.resource_uri {
        lines.push(format!("resource: {uri}"));
    }
    lines.join("\n")
}
