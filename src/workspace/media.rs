//! The media type of a file, by the end of its name.

/// Any bytes: the type of a name that is not in the table.
pub const BYTES: &str = "application/octet-stream";

/// Ends of names, and their types (the IANA registry; `text/*` of files that programs write is
/// UTF-8).
const TYPES: [(&str, &str); 47] = [
    (".avif", "image/avif"),
    (".bmp", "image/bmp"),
    (".c", "text/x-c"),
    (".cpp", "text/x-c++"),
    (".css", "text/css"),
    (".csv", "text/csv"),
    (
        ".docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (".epub", "application/epub+zip"),
    (".gif", "image/gif"),
    (".go", "text/x-go"),
    (".gz", "application/gzip"),
    (".htm", "text/html"),
    (".html", "text/html"),
    (".ipynb", "application/x-ipynb+json"),
    (".jpeg", "image/jpeg"),
    (".jpg", "image/jpeg"),
    (".js", "text/javascript"),
    (".json", "application/json"),
    (".log", "text/plain"),
    (".md", "text/markdown"),
    (".mjs", "text/javascript"),
    (".mp3", "audio/mpeg"),
    (".mp4", "video/mp4"),
    (".odt", "application/vnd.oasis.opendocument.text"),
    (".ogg", "audio/ogg"),
    (".parquet", "application/vnd.apache.parquet"),
    (".pdf", "application/pdf"),
    (".png", "image/png"),
    (
        ".pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    (".py", "text/x-python"),
    (".rs", "text/x-rust"),
    (".sh", "application/x-sh"),
    (".sql", "application/sql"),
    (".svg", "image/svg+xml"),
    (".tar", "application/x-tar"),
    (".toml", "application/toml"),
    (".ts", "text/x-typescript"),
    (".tsv", "text/tab-separated-values"),
    (".txt", "text/plain"),
    (".wav", "audio/wav"),
    (".webm", "video/webm"),
    (".webp", "image/webp"),
    (
        ".xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (".xml", "application/xml"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
    (".zip", "application/zip"),
];

/// The type of a file with this name or path; `None` where its end says nothing.
pub fn media_type(name: &[u8]) -> Option<&'static str> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let end = &name[dot..];
    let known = TYPES
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(end));
    known.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_what_it_is() {
        for (name, expected) in [
            (&b"a/chart.PNG"[..], Some("image/png")),
            (b"report.html", Some("text/html")),
            (b"a.tar.gz", Some("application/gzip")),
            (b"caf\xe9.csv", Some("text/csv")),
            (b"png", None),
            (b"a.png/b", None),
            (b"a.unknown", None),
            (b".", None),
            (b"", None),
        ] {
            assert_eq!(media_type(name), expected, "{name:?}");
        }
    }
}
