//! `/shares`: a new share, and the links of one that is there.
//!
//! ```text
//! POST   /shares             what the tool `share` does, with its arguments
//! POST   /shares/{id}/link   the links of this one
//! ```
//!
//! Only the user's own credential gets a link, and no link is in the audit.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::api::{Code, ToolError};
use crate::http::files::FileRejection;
use crate::http::quotas::{QuotaPermit, QuotaUsage, UserQuotas};
use crate::http::v1::json_body;
use crate::identity::Principal;
use crate::sandbox::Manager;
use crate::shares::ShareId;
use crate::tools::{SHARES, Tools};

/// Of the body: a path, a name and two numbers.
const BODY_LIMIT: usize = 128 << 10;

const NO_STORE: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

#[derive(Debug, Clone)]
struct ShareLinksState {
    tools: Tools,
    manager: Manager,
    quotas: UserQuotas,
}

/// The routes. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(tools: Tools, manager: &Manager, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/shares", post(create))
        .route("/shares/{id}/link", post(link))
        .with_state(ShareLinksState {
            tools,
            manager: manager.clone(),
            quotas: quotas.clone(),
        })
}

async fn create(
    Extension(caller): Extension<Principal>,
    State(shares): State<ShareLinksState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, FileRejection> {
    let permit = match shares.permit(&caller) {
        Ok(permit) => permit,
        Err(refused) => {
            json_body::refuse(&headers, body);
            return Err(refused);
        }
    };
    let arguments = json_body::object(&headers, body, BODY_LIMIT).await?;
    // It goes on when the person leaves: what it stored would be there.
    let tools = shares.tools.clone();
    let call = shares.manager.calls().spawn(async move {
        let _permit = permit;
        let never = CancellationToken::new();
        let identity = caller.identity;
        tools
            .call_directly(&identity, SHARES, arguments, &never)
            .await
    });
    let answer = call.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call ended without an answer");
        Err(ToolError::new(Code::Internal, "the call ended early."))
    })?;
    let body = Json(json!({ "success": true, "data": answer }));
    Ok((StatusCode::CREATED, NO_STORE, body).into_response())
}

async fn link(
    Extension(caller): Extension<Principal>,
    State(shares): State<ShareLinksState>,
    Path(id): Path<String>,
) -> Response {
    let _permit = match shares.permit(&caller) {
        Ok(permit) => permit,
        Err(refused) => return refused.into_response(),
    };
    let Ok(share) = id.parse::<ShareId>() else {
        return FileRejection::bad("the id of a share is 32 hexadecimal digits.").into_response();
    };
    let _call = shares.manager.calls().token();
    match shares.tools.links_of_share(&caller.identity, share).await {
        Ok(links) => {
            let body = Json(json!({ "success": true, "data": links }));
            (NO_STORE, body).into_response()
        }
        Err(error) => FileRejection::from(error).into_response(),
    }
}

impl ShareLinksState {
    fn permit(&self, caller: &Principal) -> Result<QuotaPermit, FileRejection> {
        let permit = self
            .quotas
            .take(&caller.identity.user, QuotaUsage::request(0));
        permit.ok_or_else(FileRejection::too_many_requests)
    }
}
