//! The certificates that an operator adds to those of the images: of a proxy that reads TLS, or of a
//! company's own hosts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_egress::rules::{Problem, RuleError};

/// Bytes of the file at most: public lists of all authorities have some 200 kB.
const ROOTS_LIMIT: u64 = 1 << 20;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates of the file, and nothing else of it: it goes into every sandbox.
///
/// # Errors
/// It cannot be read, is too long, or has no certificate or a broken one.
pub fn read(path: &Path) -> Result<Arc<str>, RuleError> {
    let fail = |problem: String| RuleError {
        key: "egress.ca_file".to_owned(),
        value: path.display().to_string(),
        problem: Problem::CaFile(problem),
    };
    let mut text = String::new();
    let file =
        File::open(path).and_then(|file| file.take(ROOTS_LIMIT + 1).read_to_string(&mut text));
    file.map_err(|error| fail(format!("it cannot be read: {error}")))?;
    if text.len() as u64 > ROOTS_LIMIT {
        return Err(fail(format!("it has more than {ROOTS_LIMIT} bytes")));
    }
    certificates(&text)
        .filter(|found| !found.is_empty())
        .map(Arc::from)
        .ok_or_else(|| fail("it has no certificates in PEM, or a broken one".to_owned()))
}

/// `None`: a broken one.
fn certificates(text: &str) -> Option<String> {
    let mut found = String::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let (inner, after) = begun.split_once(END)?;
        let inner: String = inner.split_ascii_whitespace().collect();
        STANDARD.decode(&inner).ok().filter(|der| !der.is_empty())?;
        found.push_str(BEGIN);
        found.push('\n');
        for line in inner.as_bytes().chunks(64) {
            found.push_str(str::from_utf8(line).ok()?);
            found.push('\n');
        }
        found.push_str(END);
        found.push('\n');
        rest = after;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_go_into_sandboxes() {
        let one = format!("{BEGIN}\nQUJD\n{END}\n");
        let key = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n";
        let text = format!("# Ours\n{key}{one}\r\n{}", one.replace('\n', "\r\n"));
        assert_eq!(certificates(&text).as_deref(), Some(&*one.repeat(2)));
        assert_eq!(certificates(key).as_deref(), Some(""));
        for broken in [
            BEGIN.to_owned(),
            format!("{BEGIN}\n!\n{END}"),
            format!("{BEGIN}{END}"),
        ] {
            assert_eq!(certificates(&broken), None, "{broken}");
        }
        let error = read(Path::new("/nowhere-at-all")).expect_err("no file");
        assert!(
            error.problem.to_string().starts_with("it cannot be read"),
            "{error:?}"
        );
    }
}
