//! `/shares`: what the user of a request shares, and the end of one share.
//!
//! ```text
//! GET    /shares         those that have not ended, the first fifty
//! DELETE /shares/{id}    ends one
//! ```
//!
//! The links themselves are in no answer: an answer is in the audit ([`super::links`]).

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::ToolError;
use crate::http::files::{self, FileRejection};
use crate::http::quotas::{QuotaUsage, UserQuotas};
use crate::identity::{Identity, Principal};
use crate::sandbox::{LastContainer, Manager, Sandbox, SandboxError};
use crate::shares::{ShareId, ShareRecord, ShareStore, rfc3339};

/// What a failure is about.
const SUBJECT: &str = "the share";

#[derive(Debug, Clone)]
struct UserShares {
    manager: Manager,
    quotas: UserQuotas,
}

/// A share, as its user sees it.
#[derive(Debug, Serialize)]
struct ListedShare {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    visibility: &'static str,
    expires_at: String,
}

/// The routes. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(manager: &Manager, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/shares", get(list))
        .route("/shares/{id}", delete(end))
        .with_state(UserShares {
            manager: manager.clone(),
            quotas: quotas.clone(),
        })
}

async fn list(
    Extension(caller): Extension<Principal>,
    State(shares): State<UserShares>,
    request: Request,
) -> Response {
    let answer = async |sandbox: Sandbox| {
        let page = ShareStore(&sandbox).page(bytes::Bytes::new()).await?;
        let listed: Vec<ListedShare> = page.shares.iter().map(ListedShare::of).collect();
        Ok(json!({ "shares": listed, "more": page.next.is_some() }))
    };
    shares
        .answer(&caller.identity, "http_shares", None, request, answer)
        .await
}

async fn end(
    Extension(caller): Extension<Principal>,
    State(shares): State<UserShares>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let Ok(share) = id.parse::<ShareId>() else {
        return FileRejection::bad("the id of a share is 32 hexadecimal digits.").into_response();
    };
    let answer = async |sandbox: Sandbox| {
        ShareStore(&sandbox).end(&share).await?;
        Ok(json!({ "id": share.to_string() }))
    };
    shares
        .answer(
            &caller.identity,
            "http_share_end",
            Some(share),
            request,
            answer,
        )
        .await
}

impl UserShares {
    /// Asks the user's sandbox, and records that.
    async fn answer<F>(
        &self,
        identity: &Identity,
        tool: &'static str,
        share: Option<ShareId>,
        request: Request,
        ask: impl FnOnce(Sandbox) -> F,
    ) -> Response
    where
        F: Future<Output = Result<Value, SandboxError>>,
    {
        let Some(_permit) = self.quotas.take(&identity.user, QuotaUsage::request(0)) else {
            return FileRejection::too_many_requests().into_response();
        };
        let _call = self.manager.calls().token();
        let arguments = match share {
            Some(share) => json!({ "share": share.to_string() }).to_string(),
            None => String::new(),
        };
        let answer = |request: Request| {
            let sandbox = self.manager.sandbox(identity);
            let sandbox = match request.extensions().get::<LastContainer>() {
                Some(used) => sandbox.with_last_container(used),
                None => sandbox,
            };
            let asked = ask(sandbox);
            async { answered(asked.await) }
        };
        let arguments = arguments.into_bytes();
        files::recorded(&self.manager, identity, tool, arguments, request, answer).await
    }
}

fn answered(result: Result<Value, SandboxError>) -> Response {
    match result {
        Ok(data) => Json(json!({ "success": true, "data": data })).into_response(),
        Err(error) => FileRejection::from(ToolError::sandbox(&error, SUBJECT)).into_response(),
    }
}

impl ListedShare {
    fn of((id, record): &(ShareId, ShareRecord)) -> Self {
        Self {
            id: id.to_string(),
            name: record.name.to_string(),
            path: record.path().map(ToString::to_string),
            port: record.port(),
            visibility: record.visibility.as_str(),
            expires_at: rfc3339(record.expires),
        }
    }
}
