//! Server-sent events: which clients accept them, and splitting a stream into them.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};

/// The content type of a stream of events.
pub const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Whether the client takes a stream of events. `*/*`, which every HTTP client sends by default,
/// takes any form.
pub fn takes_a_stream(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter();
    values.any(|value| names(value, &["text/event-stream", "text/*", "*/*"]))
}

/// Whether one of these media ranges is among those of a header.
pub fn names(value: &HeaderValue, ranges: &[&str]) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ranges
            .iter()
            .any(|wanted| range.eq_ignore_ascii_case(wanted))
    })
}

/// Splits a stream into its events, each with the blank line that ends it.
#[derive(Debug, Default)]
pub struct Events(BytesMut);

impl Events {
    /// The events that end in the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Vec<Bytes> {
        self.0.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            events.push(self.0.split_to(end + 2).freeze());
        }
        events
    }
}
