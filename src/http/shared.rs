//! `/s/{token}`: what a link opens.
//!
//! ```text
//! token ─► Links::check: signed here, not over ─► Visitor: the one that opens it
//!       ─► LinkOwners: whose it is ─► LinkLoads ─► the share's file ─► may this visitor?
//!       ─► is it still that content? ─► the file, or the directory as an archive
//! ```
//!
//! Invariants:
//! - Before the signature was checked nothing is looked up, woken or recorded.
//! - A link that is wrong, over, ended, of another user or of another key has one and the same 404.
//! - What is sent is an attachment of no type that a browser runs, in a sandbox ([`HEADERS`]); no
//!   answer sets a cookie.
//! - The token is in no log and no record: the audit has the id of the share.

mod archive;
pub mod links;
pub mod list;
mod loads;
mod owners;
mod refusal;
mod visitor;
mod zip;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

use super::auth::Authenticator;
use super::files::{self, FromQuery, Params, Query};
use super::session::Sessions;
use crate::engine::Engine;
use crate::identity::Identity;
use crate::sandbox::{LastContainer, Manager, Sandbox};
use crate::shares::{
    self, ContentVersion, LinkClaims, Links, ShareRecord, ShareStore, ShareTarget, SharerGroup,
    VersionError, Visibility,
};
use archive::ArchiveFormat;

pub use loads::LinkLoads;
pub use owners::{LinkOwners, signed_identity};
pub use refusal::LinkRefusal;
pub use visitor::Visitor;

/// The name of the request in the audit.
const AUDITED_AS: &str = "http_share";

/// On every answer, also a refusal: no cache keeps it, no page shows it in a frame, and it gives the
/// link to no other site. `sandbox` alone would still load pictures and styles; nothing is loaded.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    ),
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, noarchive"),
    ),
];

/// What opens links. Cheap to clone.
#[derive(Debug, Clone)]
struct SharedFiles {
    manager: Manager,
    links: Links,
    sessions: Sessions,
    authenticator: Arc<Authenticator>,
    owners: LinkOwners,
    loads: LinkLoads,
}

/// Parameters of a link.
#[derive(Debug)]
struct LinkParams {
    format: Option<ArchiveFormat>,
}

impl FromQuery for LinkParams {
    const KNOWN: &[&str] = &["format"];

    fn from_query(query: &Query) -> Result<Self, files::FileRejection> {
        let format = query.text("format")?.map(str::parse).transpose();
        let format = format.map_err(|()| files::FileRejection::bad("`format` is tar or zip."))?;
        Ok(Self { format })
    }
}

/// The routes, open to everybody: a link is checked here.
pub fn routes(
    manager: Manager,
    engine: Engine,
    links: Links,
    sessions: Sessions,
    authenticator: Arc<Authenticator>,
) -> Router {
    let instance = manager.config().instance.clone();
    let route = format!("{}{{token}}", shares::PATH);
    Router::new()
        // HEAD too.
        .route(&route, get(open))
        .layer(from_fn(close))
        .with_state(SharedFiles {
            manager,
            links,
            sessions,
            authenticator,
            owners: LinkOwners::new(engine, instance),
            loads: LinkLoads::default(),
        })
}

/// Puts [`HEADERS`] on every answer: of links, and of tickets for previews.
pub async fn close(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

async fn open(State(shared): State<SharedFiles>, request: Request) -> Response {
    // As it came: an escape is in no link of ours.
    let path = request.uri().path();
    let token = path
        .strip_prefix(shares::PATH)
        .unwrap_or_default()
        .to_owned();
    let opened = shared.open(&token, request).await;
    opened.unwrap_or_else(LinkRefusal::into_response)
}

impl SharedFiles {
    async fn open(self, token: &str, request: Request) -> Result<Response, LinkRefusal> {
        let claims = self.links.check(token).ok_or(LinkRefusal::Gone)?;
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::of(&parts, &self.sessions, &self.authenticator).await?;
        let owner = {
            // The Engine is asked for it, and only so many times at once.
            let _looked_for = self.loads.open(claims.share, false)?;
            self.owner(&claims, &visitor).await?
        };
        let is_own = visitor.identity().is_some_and(|own| own.user == owner.user);
        let Params(params) = Params::<LinkParams>::from_request_parts(&mut parts, &()).await?;
        let request = Request::from_parts(parts, body);
        let arguments = json!({ "share": claims.share.to_string() });
        // The server waits for requests under way when it ends.
        let _call = self.manager.calls().token();
        let arguments = arguments.to_string().into_bytes();
        let (manager, identity) = (&self.manager, &owner);
        let answer = |request: Request| {
            let (parts, _) = request.into_parts();
            let (shared, claims, visitor, params) = (&self, &claims, &visitor, &params);
            async move {
                let visitor = (!is_own).then_some(visitor);
                let sent = shared.send(claims, visitor, identity, params, &parts).await;
                sent.unwrap_or_else(LinkRefusal::into_response)
            }
        };
        Ok(files::recorded(manager, identity, AUDITED_AS, arguments, request, answer).await)
    }

    /// Whose link it is, with the group of the sandbox that runs: a stranger has no credential that
    /// gives one, and must not have a sandbox made for a wider group. For a stranger no workspace is
    /// looked for whose link could not open anyway.
    async fn owner(&self, claims: &LinkClaims, visitor: &Visitor) -> Result<Identity, LinkRefusal> {
        let own = self.owners.of_visitor(visitor, &claims.workspace).await?;
        if let Some(identity) = own {
            return Ok(identity);
        }
        if !self.manager.config().some_links_are_open() {
            return Err(visitor.refused());
        }
        let group = &SharerGroup::Unknown;
        let found = self
            .owners
            .identity(&self.manager, &claims.workspace, group);
        match found.await {
            // Its user's own credential shows the group.
            Err(LinkRefusal::Asleep) => Err(visitor.refused()),
            found => found,
        }
    }

    /// `visitor`: the caller, unless it is the user.
    async fn send(
        &self,
        claims: &LinkClaims,
        visitor: Option<&Visitor>,
        owner: &Identity,
        params: &LinkParams,
        request: &Parts,
    ) -> Result<Response, LinkRefusal> {
        let sandbox = self.manager.sandbox(owner);
        let sandbox = match request.extensions.get::<LastContainer>() {
            Some(used) => sandbox.with_last_container(used),
            None => sandbox,
        };
        let open = self.loads.open(claims.share, !sandbox.is_awake())?;
        let record = ShareStore(&sandbox).find(&claims.share).await?;
        let record = record.filter(|record| !record.is_expired());
        let record = record.ok_or(LinkRefusal::Gone)?;
        let settings = self.manager.config().for_identity(owner);
        let is_open =
            record.visibility == Visibility::Link && self.links.allow_strangers(&settings, claims);
        if let Some(visitor) = visitor.filter(|_| !is_open) {
            return Err(visitor.refused());
        }
        let response = content(&sandbox, &record, params, request).await?;
        Ok(files::held(response, open))
    }
}

/// The content that was shared, if it is still there as it was.
async fn content(
    sandbox: &Sandbox,
    record: &ShareRecord,
    params: &LinkParams,
    request: &Parts,
) -> Result<Response, LinkRefusal> {
    let is_head = request.method == Method::HEAD;
    let ShareTarget::Path { path, version } = &record.target else {
        return Err(LinkRefusal::Gone);
    };
    let (mut response, name) = match *version {
        ContentVersion::File(version) => {
            if params.format.is_some() {
                return Err(LinkRefusal::NoArchive);
            }
            let (method, headers) = (&request.method, &request.headers);
            let sent = files::of_version(sandbox, path, Some(version), method, headers).await?;
            let sent = sent.ok_or(LinkRefusal::Changed)?;
            if sent.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                let range = sent.headers().get(header::CONTENT_RANGE).cloned();
                return Err(LinkRefusal::Unsatisfiable(range));
            }
            (sent, record.name.to_string())
        }
        ContentVersion::Directory(_) => {
            let current = shares::current(sandbox, path).await;
            let current = match current {
                Ok((_, version)) => Some(version),
                Err(VersionError::TooManyEntries) => None,
                Err(VersionError::Sandbox(error)) => return Err(error.into()),
            };
            if current != Some(*version) {
                return Err(LinkRefusal::Changed);
            }
            let format = params.format.unwrap_or(ArchiveFormat::Tar);
            let name = format!("{}.{}", record.name, format.as_str());
            let sent = archive::send(sandbox, path, format, is_head).await?;
            (sent, name)
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, files::attachment(&name));
    Ok(response)
}
