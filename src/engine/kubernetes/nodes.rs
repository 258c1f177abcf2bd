//! What the cluster says of its nodes. A server may not be allowed to ask.

use http::Method;

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::present;
use super::names::object;
use super::writer::NodeFacts;
use crate::engine::error::EngineError;

impl KubernetesEngine {
    /// `None`: there is no such node, or this server may not read nodes.
    pub(super) async fn node(&self, name: &str) -> Result<Option<NodeFacts>, EngineError> {
        if name.is_empty() {
            return Ok(None);
        }
        let path = format!("/api/v1/nodes/{}", object("node", name)?);
        let call = ApiCall::query("inspect node", name);
        match present(
            self.api()
                .await?
                .request(call, Method::GET, &path, None)
                .await,
        ) {
            Err(EngineError::Forbidden { .. }) => Ok(None),
            found => Ok(found?.as_ref().map(NodeFacts::of)),
        }
    }
}
