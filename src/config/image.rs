//! The name of an image. The check ensures that the Engine gets a name and nothing else.

use std::fmt;
use std::str::FromStr;

use super::limits;
use super::value_error::ValueError;

/// Longest reference, in characters: distribution's bound of a name.
const IMAGE_CHARS: usize = 255;

const IMAGE: ValueError =
    ValueError::Form("an image is named like `registry/name:tag`, in 255 characters at most");

/// An image as Docker names it: `[registry[:port]/]path[:tag][@digest]`, or an id. At most
/// 255 characters, of those that distribution's grammar
/// (`distribution/reference/reference.go`) has in each part. The Engine checks how separators may
/// follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef(String);

impl ImageRef {
    /// The text, for the Engine.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ImageRef {
    fn default() -> Self {
        Self(limits::IMAGE.to_owned())
    }
}

impl FromStr for ImageRef {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (rest, digest) = split_off(text, '@');
        // A colon before a slash is a registry's port.
        let (name, tag) = match split_off(rest, ':') {
            (_, Some(port)) if port.contains('/') => (rest, None),
            parts => parts,
        };
        let good = text.len() <= IMAGE_CHARS
            && is_name(name)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        good.then(|| Self(text.to_owned())).ok_or(IMAGE)
    }
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.rsplit_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, path)) if is_registry(first) => path.split('/').all(is_path_part),
        _ => name.split('/').all(is_path_part),
    }
}

/// Docker treats the first part as a registry if it has a dot, a port or capitals, or is
/// `localhost`.
fn is_registry(part: &str) -> bool {
    let marked = part == "localhost"
        || part.contains(['.', ':'])
        || part.contains(|c: char| c.is_ascii_uppercase());
    // Brackets: an IPv6 address.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    marked && !part.starts_with(['-', '.', ':']) && part.bytes().all(allowed)
}

fn is_path_part(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_well = [part.bytes().next(), part.bytes().last()]
        .into_iter()
        .all(|end| end.is_some_and(alphanumeric));
    ends_well && part.bytes().all(|b| alphanumeric(b) || b"._-".contains(&b))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let named = algorithm
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b));
        !algorithm.is_empty()
            && named
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_takes_are_taken() {
        let hex = "0123456789abcdef".repeat(4);
        for good in [
            "casemate-tools:latest",
            "debian",
            "library/python:3.13-slim",
            "ghcr.io/owner/some_image.name:v1.2",
            "localhost:5000/a/b",
            "localhost/a",
            "Registry.Example.com:443/a:T-1",
            "[2001:db8::1]:5000/a",
            &hex,
            &format!("sha256:{hex}"),
            &format!("debian:12@sha256:{hex}"),
        ] {
            assert_eq!(good.parse::<ImageRef>().unwrap().as_str(), good);
        }
        assert_eq!(
            ImageRef::default().to_string().parse(),
            Ok(ImageRef::default())
        );
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for bad in [
            "",
            " ",
            "a b",
            "a\n",
            "a\0",
            "-rf",
            "--privileged",
            "/a",
            "a/",
            "a//b",
            "a:",
            ":a",
            "a:b:c",
            "a@",
            "a@sha256:12",
            "a@@sha256:12",
            "Debian",
            "a/B",
            "é",
            "https://example.com/a",
            "../etc/passwd",
            "a:-t",
            &format!("a:{}", "t".repeat(129)),
            &"a".repeat(256),
        ] {
            assert_eq!(bad.parse::<ImageRef>(), Err(IMAGE), "{bad:?}");
        }
    }
}
