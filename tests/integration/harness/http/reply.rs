//! A whole answer of a server over HTTP.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use serde_json::Value;

/// An answer that is whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// All of a response.
    pub async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.expect("a whole body").to_bytes(),
        }
    }

    /// A header's text; empty without the header.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// Its body, which is text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// Its body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error; empty without one.
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json["error"]["code"].as_str().unwrap_or_default();
        code.to_owned()
    }

    /// Status and code of an error, after a look at its envelope.
    pub fn error(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json["success"], false, "{json}");
        let message = json["error"]["message"].as_str().expect("a message");
        assert!(message.ends_with(['.', ')']), "{message}");
        let code = json["error"]["code"].as_str().expect("a code");
        (self.status, code.to_owned())
    }

    /// `data` of a successful answer.
    pub fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"], true, "{json}");
        json["data"].clone()
    }
}
