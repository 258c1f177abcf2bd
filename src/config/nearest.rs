//! The known name that an unknown one probably means.

/// Characters of an unknown name that are compared: no known one has more, and the time grows with
/// the product of both lengths.
const COMPARED_CHARS_LIMIT: usize = 64;

/// The `known` name that is most similar to an unknown one: the one with the fewest edits, where
/// capitals and dashes do not count.
pub fn nearest(unknown: &str, known: impl IntoIterator<Item = impl Into<String>>) -> String {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let looked_at: String = unknown.chars().take(COMPARED_CHARS_LIMIT).collect();
    let unknown = plain(&looked_at);
    known
        .into_iter()
        .map(Into::into)
        .min_by_key(|name| strsim::osa_distance(&unknown, &plain(name)))
        .unwrap_or_default()
}
