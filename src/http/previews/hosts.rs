//! What all requests to previews share.

use std::sync::Arc;

use axum::http::HeaderValue;

use super::gate::Viewer;
use super::listings::SiteListings;
use super::loads::PreviewLoads;
use super::refusal::PreviewRefusal;
use crate::config::WebOrigin;
use crate::engine::Engine;
use crate::http::auth::Authenticator;
use crate::http::session::Sessions;
use crate::http::shared::{LinkLoads, LinkOwners};
use crate::identity::{Identity, WorkspaceHash, WorkspaceId};
use crate::sandbox::Manager;
use crate::shares::{LinkClaims, Links, Previews};

/// What serves previews. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PreviewHosts(pub Arc<Inner>);

/// Their state.
#[derive(Debug)]
pub struct Inner {
    pub manager: Manager,
    pub links: Links,
    pub previews: Previews,
    pub sessions: Sessions,
    pub authenticator: Arc<Authenticator>,
    pub owners: LinkOwners,
    pub wakes: LinkLoads,
    pub loads: PreviewLoads,
    pub listings: SiteListings,
    /// `Content-Security-Policy`: the sites that may show a preview in a frame.
    pub frame_policy: HeaderValue,
    pub is_framed: bool,
}

impl PreviewHosts {
    /// Those of a server.
    pub fn new(
        manager: Manager,
        engine: Engine,
        (links, previews): (Links, Previews),
        sessions: Sessions,
        authenticator: Arc<Authenticator>,
    ) -> Self {
        let instance = manager.config().instance.clone();
        let ancestors = &manager.config().http.previews.frame_ancestors;
        Self(Arc::new(Inner {
            owners: LinkOwners::new(engine, instance),
            wakes: LinkLoads::default(),
            loads: PreviewLoads::default(),
            listings: SiteListings::default(),
            frame_policy: frame_policy(ancestors),
            is_framed: !ancestors.is_empty(),
            manager,
            links,
            previews,
            sessions,
            authenticator,
        }))
    }

    /// The workspace with this hash.
    pub async fn workspace(&self, hash: &WorkspaceHash) -> Result<WorkspaceId, PreviewRefusal> {
        let only_user = match &*self.0.authenticator {
            Authenticator::Nobody(identity) => Some(&identity.user),
            _ => None,
        };
        if let Some(user) = only_user {
            let own = WorkspaceId::from(user.clone());
            if own.hash() == *hash {
                return Ok(own);
            }
        }
        let found = self.0.owners.find(hash).await;
        let found = found.map_err(|error| PreviewRefusal::later(&error))?;
        found
            .filter(|workspace| only_user.is_none_or(|user| workspace.user == *user))
            .ok_or(PreviewRefusal::Gone)
    }

    /// Whether the share must say that everyone with the link may open it.
    pub fn must_be_open_to(&self, viewer: Viewer) -> bool {
        viewer == Viewer::Stranger && !self.0.links.has_no_sign_in()
    }

    /// Whether the settings, as they are now, let this person see a share of this user.
    pub fn is_allowed(&self, viewer: Viewer, owner: &Identity, share: &LinkClaims) -> bool {
        if !self.must_be_open_to(viewer) {
            return true;
        }
        let settings = self.0.manager.config().for_identity(owner);
        self.0.links.allow_strangers(&settings, share)
    }
}

/// A page of the preview's own origin may always show it.
fn frame_policy(ancestors: &[WebOrigin]) -> HeaderValue {
    let listed = ancestors.iter().map(WebOrigin::as_str);
    let sources: Vec<&str> = std::iter::once("'self'").chain(listed).collect();
    let policy = format!("frame-ancestors {}", sources.join(" "));
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("frame-ancestors 'self'"))
}
