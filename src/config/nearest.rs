//! Which known name somebody meant.

/// Characters of an unknown name that are looked at: no known one has more, and the comparison takes
/// time with the product of both.
const COMPARED_CHARS_LIMIT: usize = 64;

/// The `known` name that is most like an unknown one. The fewest edits win; capitals and dashes are
/// typing errors that count nothing.
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
