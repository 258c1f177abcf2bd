//! A file or a directory.

use rmcp::model::CallToolResult;

use super::{ShareArgs, ShareOutput, answer, lifetime, name, not_stored, opens_for};
use crate::api::{Code, ToolError};
use crate::sandbox::{Sandbox, Stat};
use crate::shares::{
    self, ContentVersion, DIRECTORY_ENTRIES_LIMIT, LinkClaims, PreviewClaims, PreviewTarget,
    ShareName, ShareRecord, ShareStore, ShareTarget, VersionError, Visibility,
};
use crate::tools::call::ShareContext;
use crate::tools::files;
use crate::tools::resources::{mime_type, of_path};
use crate::workspace::WorkspacePath;

/// The type of a directory (shared-mime-info).
const DIRECTORY: &str = "inode/directory";

/// The type of a page.
const HTML: &str = "text/html";

/// The page of a directory.
const INDEX: &[u8] = b"index.html";

/// Shares it.
pub async fn share(
    sandbox: &Sandbox,
    args: &ShareArgs,
    context: &ShareContext<'_>,
) -> Result<CallToolResult, ToolError> {
    let path = files::path(&args.path)?;
    shares::check_path(&path).map_err(|error| ToolError::argument("path", error))?;
    let expires = shares::now() + u64::from(lifetime(args.expires_in_seconds, context)?);
    let name = name(args, || ShareName::of(&path))?;
    let (stat, version) = content(sandbox, &path).await?;
    let links = context.links.check_there_are_some();
    if let (true, Err(why)) = (stat.is_dir, links) {
        let sentence = format!(
            "a directory can only be shared by a link, and this server makes no links: {why}."
        );
        return Err(ToolError::new(Code::PermissionDenied, sentence));
    }
    let visibility = context.links.visibility(&context.settings);
    let target = ShareTarget::Path {
        path: path.clone(),
        version,
    };
    let record = ShareRecord {
        target,
        name,
        visibility,
        expires,
    };
    let created = ShareStore(sandbox).create(&record).await;
    let claims = LinkClaims {
        workspace: context.workspace.hash(),
        share: created.map_err(|error| not_stored(&error))?,
        expires,
    };
    let link = context.links.make(&claims);
    let mime_type = match stat.is_dir {
        true => DIRECTORY,
        false => mime_type(&path),
    };
    let output = ShareOutput {
        resource_uri: (!stat.is_dir).then(|| of_path(&context.workspace, &path)),
        preview_link: site_link(sandbox, claims, &path, stat.is_dir, visibility, context).await,
        link: link.as_ref().ok().cloned(),
        visibility: visibility.as_str(),
        name: record.name.to_string(),
        mime_type: Some(mime_type),
        size: (!stat.is_dir).then_some(stat.size),
        expires_at: shares::rfc3339(expires),
    };
    let size = match output.size {
        Some(size) => format!("{size} bytes, {mime_type}"),
        None => "a directory".to_owned(),
    };
    let first = format!("shared {} ({size})", output.name);
    let why = link.err().map(|why| format!("no link: {why}"));
    answer(
        first,
        output,
        opens_for(visibility, context),
        why.as_slice(),
    )
}

/// What opens a share that is there in the browser.
///
/// # Errors
/// What it names is gone, and those of every call.
pub(super) async fn preview_link(
    sandbox: &Sandbox,
    share: LinkClaims,
    path: &WorkspacePath,
    visibility: Visibility,
    context: &ShareContext<'_>,
) -> Result<Option<String>, ToolError> {
    let stat = sandbox.stat(path.to_bytes()).await;
    let stat = stat.map_err(|error| ToolError::sandbox(&error, &format!("\"{path}\"")))?;
    Ok(site_link(sandbox, share, path, stat.is_dir, visibility, context).await)
}

/// `None` where a browser cannot open it as a site, or the server has no previews.
async fn site_link(
    sandbox: &Sandbox,
    share: LinkClaims,
    path: &WorkspacePath,
    is_dir: bool,
    visibility: Visibility,
    context: &ShareContext<'_>,
) -> Option<String> {
    let opens_in_browsers =
        visibility == Visibility::Link || context.links.can_sign_in(&context.workspace.user);
    if !opens_in_browsers || !is_site(sandbox, path, is_dir).await {
        return None;
    }
    let target = PreviewTarget::Site;
    let group = context.group.clone().into();
    let claims = PreviewClaims {
        share,
        target,
        group,
    };
    context.previews.make(&claims, Some(path)).ok()
}

/// Whether a browser can open it as a site.
async fn is_site(sandbox: &Sandbox, path: &WorkspacePath, is_dir: bool) -> bool {
    if !is_dir {
        return mime_type(path) == HTML;
    }
    let index = [&path.to_bytes()[..], INDEX].join(&b'/');
    let found = sandbox.stat(index).await;
    found.is_ok_and(|index| !index.is_dir)
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
