//! The links of a share that is there: for its user, who no longer has the first ones.

use rmcp::model::JsonObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::{path, port};
use crate::api::{Code, ToolError};
use crate::config::limits::{PORT_SECONDS_LIMIT, SHARE_SECONDS};
use crate::identity::Identity;
use crate::sandbox::{LastContainer, Sandbox};
use crate::shares::{self, LinkClaims, ShareId, ShareRecord, ShareStore, ShareTarget};
use crate::tools::call::ShareContext;
use crate::tools::record;
use crate::tools::server::Tools;

/// The call in the audit.
pub const LINKS: &str = "http_share_link";

/// The links of one share.
#[derive(Debug, Serialize)]
pub struct ShareLinks {
    /// To the content; `None`: it is a port, or this server has no links.
    link: Option<String>,
    /// Opens it in the browser; `None`: it is no page, or this server has no previews.
    preview_link: Option<String>,
    /// When the links end.
    expires_at: String,
}

impl Tools {
    /// The links of a share of this user, which end when it does.
    ///
    /// # Errors
    /// There is no such share, or no link to it; those of every call.
    pub async fn links_of_share(
        &self,
        identity: &Identity,
        id: ShareId,
    ) -> Result<ShareLinks, ToolError> {
        let arguments = JsonObject::from_iter([("share".to_owned(), json!(id.to_string()))]);
        let audit = self.manager().audit();
        let recording = record::begin(audit, identity, LINKS, &arguments).await?;
        let used = LastContainer::default();
        let sandbox = self.manager().sandbox(identity).with_last_container(&used);
        let links = self.links(identity, &sandbox, id).await;
        let Some(recording) = recording else {
            return links;
        };
        let (outcome, answer) = match &links {
            Ok(links) => ("ok", json!(links)),
            Err(error) => (error.code.as_str(), Value::from(error.sentence.as_str())),
        };
        record::end(recording, LINKS, &answer, outcome, &used).await?;
        links
    }

    async fn links(
        &self,
        identity: &Identity,
        sandbox: &Sandbox,
        id: ShareId,
    ) -> Result<ShareLinks, ToolError> {
        let context = self.share_context(identity);
        let found = ShareStore(sandbox).find(&id).await;
        let found = found.map_err(|error| ToolError::sandbox(&error, "the share"))?;
        let record = found.filter(|record| !record.is_expired());
        let gone = || ToolError::new(Code::NotFound, "there is no such share, or it has ended.");
        let record = record.ok_or_else(gone)?;
        let expires = end(&record, &context);
        let share = LinkClaims {
            workspace: context.workspace.hash(),
            share: id,
            expires,
        };
        let (link, preview_link) = match &record.target {
            ShareTarget::Path { path, .. } => (
                context.links.make(&share).ok(),
                path::preview_link(sandbox, share, path, record.visibility, &context).await?,
            ),
            ShareTarget::Port(port) => (
                None,
                Some(port::preview_link(sandbox, *port, share, record.visibility, &context).await?),
            ),
        };
        Ok(ShareLinks {
            link,
            preview_link,
            expires_at: shares::rfc3339(expires),
        })
    }
}

/// The end of a new link: that of the share, and no later than a new share could end. The user's code
/// can have written the share.
fn end(record: &ShareRecord, context: &ShareContext<'_>) -> u64 {
    let most = match &record.target {
        ShareTarget::Path { .. } => SHARE_SECONDS.most,
        ShareTarget::Port(_) => PORT_SECONDS_LIMIT,
    };
    let most = u64::from(most);
    let limit = context.links.lifetime_limit(&context.settings);
    let most = limit.map_or(most, |limit| limit.as_secs().min(most));
    record.expires.min(shares::now() + most)
}
