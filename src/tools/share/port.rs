//! A port that a program in the sandbox listens on.

use rmcp::model::CallToolResult;

use super::{ShareArgs, ShareOutput, answer, lifetime, name, not_stored, opens_for};
use crate::api::{Code, ToolError};
use crate::config::limits::PORT_SECONDS_LIMIT;
use crate::sandbox::{ProbedPort, Sandbox};
use crate::shares::{
    self, LinkClaims, PreviewClaims, PreviewTarget, ShareName, ShareRecord, ShareStore,
    ShareTarget, Visibility,
};
use crate::tools::call::ShareContext;

const NO_SIGN_IN: &str = "a port can only be shared by a preview, which is private here, and this user \
     cannot sign in to this server's page; the operator can set CASEMATE_SHARE_LINKS, or with jwt \
     CASEMATE_OIDC_CLIENT_ID.";

/// Shares it.
pub async fn share(
    sandbox: &Sandbox,
    port: u16,
    args: &ShareArgs,
    context: &ShareContext<'_>,
) -> Result<CallToolResult, ToolError> {
    if let Err(why) = context.previews.check_there_are_some() {
        let sentence = format!("a port can only be shared by a preview: {why}.");
        return Err(ToolError::new(Code::PermissionDenied, sentence));
    }
    let visibility = context.links.visibility(&context.settings);
    check_can_open(visibility, context)?;
    let seconds = lifetime(args.expires_in_seconds, context)?;
    if seconds > PORT_SECONDS_LIMIT {
        let problem = format!("a port is shared for {PORT_SECONDS_LIMIT} s at the most");
        return Err(ToolError::argument("expires_in_seconds", problem));
    }
    let name = name(args, || ShareName::of_port(port))?;
    // Before anything is stored: an older sandbox cannot do it.
    let probed = probe(sandbox, port).await?;
    let expires = shares::now() + u64::from(seconds);
    let record = ShareRecord {
        target: ShareTarget::Port(port),
        name,
        visibility,
        expires,
    };
    let created = ShareStore(sandbox).create(&record).await;
    let share = LinkClaims {
        workspace: context.workspace.hash(),
        share: created.map_err(|error| not_stored(&error))?,
        expires,
    };
    let link = link_to(&probed, port, share, context)?;
    let output = ShareOutput {
        resource_uri: None,
        link: None,
        preview_link: Some(link),
        visibility: visibility.as_str(),
        name: record.name.to_string(),
        mime_type: None,
        size: None,
        expires_at: shares::rfc3339(expires),
    };
    let first = format!("shared port {port} as \"{}\"", output.name);
    let mut notes = vec!["it ends earlier when the sandbox does".to_owned()];
    if !probed.is_listening {
        notes.push(format!(
            "nothing listens on port {port} yet: start the application"
        ));
    }
    answer(first, output, opens_for(visibility, context), &notes)
}

/// What opens a share that is there: the container as it is now.
///
/// # Errors
/// This server has no previews, and those of every call.
pub(super) async fn preview_link(
    sandbox: &Sandbox,
    port: u16,
    share: LinkClaims,
    visibility: Visibility,
    context: &ShareContext<'_>,
) -> Result<String, ToolError> {
    check_can_open(visibility, context)?;
    link_to(&probe(sandbox, port).await?, port, share, context)
}

fn check_can_open(visibility: Visibility, context: &ShareContext<'_>) -> Result<(), ToolError> {
    let can_open =
        visibility == Visibility::Link || context.links.can_sign_in(&context.workspace.user);
    let refused = || ToolError::new(Code::PermissionDenied, NO_SIGN_IN);
    can_open.then_some(()).ok_or_else(refused)
}

async fn probe(sandbox: &Sandbox, port: u16) -> Result<ProbedPort, ToolError> {
    let probed = sandbox.probe_port(port).await;
    probed.map_err(|error| ToolError::sandbox(&error, "the port"))
}

fn link_to(
    probed: &ProbedPort,
    port: u16,
    share: LinkClaims,
    context: &ShareContext<'_>,
) -> Result<String, ToolError> {
    let container = probed.container.to_string();
    let target = PreviewTarget::Port { port, container };
    let group = context.group.clone().into();
    let claims = PreviewClaims {
        share,
        target,
        group,
    };
    let link = context.previews.make(&claims, None);
    link.map_err(|why| ToolError::new(Code::PermissionDenied, format!("{why}.")))
}
