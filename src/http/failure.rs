//! The body of every answer but MCP's own that is no success.

use axum::Json;
use serde_json::{Value, json};

/// `code` is for programs and stays, `message` is for people.
pub fn failure(code: &str, message: &str) -> Json<Value> {
    Json(json!({
        "success": false,
        "error": { "code": code, "message": message },
    }))
}
