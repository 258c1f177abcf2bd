use std::fs;
use std::path::PathBuf;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn sealed(seal: &Seal) -> String {
    let text = seal.seal(Purpose::Session, &"ada", HOUR);
    text.expect("sealed")
}

#[test]
fn only_the_same_key_opens_it_for_the_same_purpose_and_not_forever() {
    let (seal, other) = (
        Seal::random().expect("a key"),
        Seal::random().expect("a key"),
    );
    let text = sealed(&seal);
    let open = |seal: &Seal, purpose, text: &str| seal.open::<String>(purpose, text);
    assert_eq!(open(&seal, Purpose::Session, &text).as_deref(), Some("ada"));
    assert_eq!(open(&other, Purpose::Session, &text), None);
    assert_eq!(open(&seal, Purpose::SignIn, &text), None);
    let over = seal.seal(Purpose::Session, &"ada", Duration::ZERO);
    assert_eq!(open(&seal, Purpose::Session, &over.expect("sealed")), None);
    assert_ne!(text, sealed(&seal), "the nonce is random");
}

#[test]
fn whatever_is_changed_in_it_opens_nothing() {
    let seal = Seal::random().expect("a key");
    let text = sealed(&seal);
    let bytes = URL_SAFE_NO_PAD.decode(&text).expect("base64");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert_eq!(
            seal.open::<String>(Purpose::Session, &changed),
            None,
            "{at}"
        );
    }
    for length in 0..bytes.len() {
        let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
        assert_eq!(
            seal.open::<String>(Purpose::Session, &cut),
            None,
            "{length}"
        );
    }
    assert_eq!(seal.open::<String>(Purpose::Session, "not base64!"), None);
}

/// A file of keys that is removed in the end.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(test: &str, text: &str) -> Self {
        let name = format!("casemate-{test}-{}", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        fs::write(&file.0, text).expect("written");
        file
    }

    fn seal(&self) -> Result<Seal, SealError> {
        Seal::of_file(&self.0)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn key(byte: u8) -> String {
    STANDARD.encode([byte; KEY_BYTES])
}

#[test]
fn a_key_file_has_keys_of_32_bytes_in_base64() {
    let good = key(7);
    for text in [
        &good,
        &format!("{good}\n"),
        &format!("\n{good}\r\n{good}\n"),
    ] {
        assert!(KeyFile::new("good-key", text).seal().is_ok(), "{text:?}");
    }
    let short = STANDARD.encode([7; 16]);
    let long = STANDARD.encode([7; 33]);
    for bad in [
        "",
        "\n",
        "x",
        &short,
        &long,
        &format!("{good}{good}"),
        &format!("{good}\nx"),
        &format!("{good}\n").repeat(KEYS_LIMIT + 1),
    ] {
        let refused = KeyFile::new("bad-key", bad).seal();
        let error = refused.expect_err("no key").to_string();
        assert!(error.contains("/dev/urandom"), "{bad:?}: {error}");
        assert!(
            bad.trim().len() < 2 || !error.contains(bad.trim()),
            "{error}"
        );
    }
    let gone = Seal::of_file(Path::new("/nonexistent/key"));
    let gone = gone.expect_err("no file");
    assert!(matches!(
        gone,
        SealError::File(FileError::Unreadable { .. })
    ));
}

#[test]
fn a_new_key_seals_while_the_old_one_still_opens() {
    let (old, new) = (key(1), key(2));
    let of = |name: &str, text: &str| KeyFile::new(name, text).seal().expect("keys");
    let before = of("rotate-1", &old);
    let both = of("rotate-2", &format!("{new}\n{old}\n"));
    let after = of("rotate-3", &new);
    let opens = |seal: &Seal, text: &str| seal.open::<String>(Purpose::Session, text).is_some();
    assert!(opens(&both, &sealed(&before)), "a session goes on");
    assert!(!opens(&before, &sealed(&both)), "the first key seals");
    assert!(opens(&after, &sealed(&both)));
    assert!(!opens(&after, &sealed(&before)), "the old key is gone");
}
