//! The body of every error, except MCP's own.

use axum::Json;
use serde_json::{Value, json};

/// `code` is stable and for programs, `message` is for people.
pub fn failure(code: &str, message: &str) -> Json<Value> {
    Json(json!({
        "success": false,
        "error": { "code": code, "message": message },
    }))
}
