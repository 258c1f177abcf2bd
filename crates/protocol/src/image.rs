//! Images that a model can see, by their first bytes: PID 1 does not treat them as text, and the
//! server sends them as images.

/// The media type of a file that begins with `head`; `None`: it is not of the four kinds that MCP
/// clients pass on to a model. The name of a file does not count.
///
/// Signatures: PNG 3rd edition section 5.2, JPEG's SOI and the next marker
/// (ITU-T T.81 B.1.1), GIF89a section 17, RFC 9649 section 2.4.
pub fn image_type(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_decides() {
        for (head, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some("image/jpeg")),
            (b"GIF87a", Some("image/gif")),
            (b"GIF89a\x01\0", Some("image/gif")),
            (b"RIFF\x1a\0\0\0WEBPVP8L", Some("image/webp")),
            // A sound, a picture of another kind, and parts of signatures.
            (b"RIFF\x1a\0\0\0WAVEfmt ", None),
            (b"BM\0\0", None),
            (b"\x89PNG", None),
            (b"\xff\xd8", None),
            (b"GIF88a", None),
            (b"", None),
        ] {
            assert_eq!(image_type(head), kind, "{head:?}");
        }
    }
}
