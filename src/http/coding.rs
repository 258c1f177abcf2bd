//! Refuses bodies in a content or transfer coding, such as gzip. They are not decoded: otherwise
//! the compressed bytes would be stored under the plain name, and a few bytes can decode to very
//! many.

use std::str;

use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::failure::failure;
use super::files::linger;

/// The codings that a body may have (RFC 9110, section 12.5.3; in an answer: RFC 7694).
const TAKEN: (HeaderName, HeaderValue) = (
    header::ACCEPT_ENCODING,
    HeaderValue::from_static("identity"),
);

/// The layer around all routes that take a body, inside authentication.
pub async fn layer(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let in_coding = has_other(headers, &header::CONTENT_ENCODING, "identity");
    // hyper has already removed the framing `chunked` (RFC 9112, section 6.1).
    let on_the_way = has_other(headers, &header::TRANSFER_ENCODING, "chunked");
    if !in_coding && !on_the_way {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // A client that waits for `100 Continue` does not get it.
    if !parts.headers.contains_key(header::EXPECT) {
        linger(body);
    }
    let code = "invalid_argument";
    if in_coding {
        let why = "a body is taken as it is: decode it first, and leave out Content-Encoding.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return (status, [TAKEN], failure(code, why)).into_response();
    }
    let why = "a body is sent whole or in chunks, and in no other Transfer-Encoding.";
    (StatusCode::NOT_IMPLEMENTED, failure(code, why)).into_response()
}

/// Whether the codings contain something other than `plain`; if in doubt, yes.
fn has_other(headers: &HeaderMap, name: &HeaderName, plain: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = str::from_utf8(coding).map_or("?", str::trim);
        !coding.is_empty() && !coding.eq_ignore_ascii_case(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_as_it_is_has_no_coding() {
        let other = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
                headers.append(header::CONTENT_ENCODING, value);
            }
            has_other(&headers, &header::CONTENT_ENCODING, "identity")
        };
        for plain in [
            &[][..],
            &[""],
            &["identity"],
            &[" Identity , "],
            &["", "identity"],
        ] {
            assert!(!other(plain), "{plain:?}");
        }
        for coded in [
            &["gzip"][..],
            &["GZIP"],
            &["identity, br"],
            &["identity", "zstd"],
            &["x-unknown"],
            &["gzip\u{e9}"],
        ] {
            assert!(other(coded), "{coded:?}");
        }
    }
}
