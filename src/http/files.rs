//! The workspace's files over plain HTTP, for the people and the applications around
//! a model.
//!
//! ```text
//! POST   /files/upload?path=           multipart, field `file`, one or several
//! GET    /files/list?path=&depth=&cursor=
//! GET    /files/download/{path}        a file, or a directory as a tar archive
//! GET    /files/content/{path}         the same
//! PUT    /files/content/{path}         ?unpack=tar: an archive into a directory
//! DELETE /files/content/{path}         ?recursive=true: a directory
//! POST   /files/move                   {"from", "to", "overwrite"}
//! POST   /files/folder                 {"path"}
//! ```
//!
//! All of them are below `/v1/files` too.
//!
//! Invariants:
//! - No content is held whole: it passes in chunks, both ways, and a slow client delays only
//!   itself.
//! - Stored content is an attachment, of no type that a browser runs, with `nosniff` and a sandbox
//!   ([`download`]). With `?inline` pictures and plain text have their type, and the same sandbox
//!   ([`inline`]).
//! - A path is decoded once, then it is a
//!   [`WorkspacePath`](crate::workspace::WorkspacePath).
//! - Errors have the codes and sentences of the tools.

mod audited;
mod conditions;
mod content;
mod disposition;
mod download;
mod error;
mod folder;
mod form;
mod held;
mod incoming;
mod inline;
mod list;
mod name;
mod query;
mod rename;
mod request;
mod upload;

pub use audited::recorded;
pub use disposition::attachment;
pub use download::of_version;
pub use error::FileRejection;
pub use held::held;
pub use incoming::linger;
pub use query::{FromQuery, Params, Query};
pub use request::escapes_are_whole;

use axum::routing::{get, post};
use axum::{Router, middleware};

use super::quotas::UserQuotas;
use crate::sandbox::Manager;

/// The state that all routes need.
#[derive(Debug, Clone)]
struct Files {
    manager: Manager,
    quotas: UserQuotas,
    /// The limit of one upload, in bytes.
    limit: u64,
}

/// The routes below `/files` and `/v1/files`. Each request carries the
/// [`Principal`](crate::identity::Principal) that authentication put into it.
pub fn router(manager: Manager, quotas: &UserQuotas) -> Router {
    let limit = manager.config().upload_limit.0;
    let download = || get(download::get).head(download::head);
    let content = || download().put(content::put).delete(content::delete);
    let recorded = middleware::from_fn_with_state(manager.clone(), audited::layer);
    let routes = Router::new()
        .route("/files/upload", post(upload::post))
        .route("/files/list", get(list::get))
        .route("/files/download", download())
        .route("/files/download/", download())
        .route("/files/download/{*path}", download())
        .route("/files/content", content())
        .route("/files/content/", content())
        .route("/files/content/{*path}", content())
        .route("/files/move", post(rename::post))
        .route("/files/folder", post(folder::post));
    // The prefix is taken off what is inside, so one path means one thing.
    let nested = Router::new().nest("/v1", routes.clone());
    let routes = routes.merge(nested).with_state(Files {
        manager,
        quotas: quotas.clone(),
        limit,
    });
    routes.layer(recorded)
}
