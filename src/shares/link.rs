//! The link of a share: what the server signs, and checks before it looks at anything.
//!
//! ```text
//! /s/<hash of the workspace>.<id of the share>.<end, in seconds since 1970>.<HMAC of that>
//! ```
//!
//! A link says in whose workspace the share is that it opens, and until when at the latest. It grants nothing by itself: the
//! share's own file decides, and where that is gone, changed or over, so is the link.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::id::ShareId;
use super::record::now;
use crate::identity::{Instance, WorkspaceHash};

/// Where links are served, after the address of the server.
pub const PATH: &str = "/s/";

/// The page that opens a preview, on its own host.
pub const OPEN_PATH: &str = "/.casemate/open";

/// Before what is signed: no other signature of a deployment stands for one of these.
const CONTEXT: &str = "casemate share 1";

/// Bytes of a token: two hashes of 32, ten digits or some more, a signature of 43, three dots.
const TOKEN_BYTES_LIMIT: usize = 128;

/// What a signed link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkClaims {
    /// In which workspace it is.
    pub workspace: WorkspaceHash,
    pub share: ShareId,
    /// Seconds since 1970.
    pub expires: u64,
}

/// One key of a deployment.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

impl LinkKey {
    /// Bytes of a secret.
    pub const BYTES: usize = 32;

    /// `None` unless the secret has [`Self::BYTES`].
    pub fn new(secret: &[u8]) -> Option<Self> {
        let is_whole = secret.len() == Self::BYTES;
        is_whole.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The last part of a link.
    pub fn token(&self, instance: &Instance, claims: &LinkClaims) -> String {
        let LinkClaims {
            workspace,
            share,
            expires,
        } = claims;
        let said = format!("{workspace}.{share}.{expires}");
        self.sign(&context(instance), &said)
    }

    /// A text with its signature for this context. Neither the text nor the context contains a NUL.
    pub(super) fn sign(&self, context: &str, said: &str) -> String {
        let signature = hmac::sign(&self.0, &signed(context, said));
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The text, if this key has signed it for this context.
    pub(super) fn open<'a>(&self, context: &str, token: &'a str) -> Option<&'a str> {
        let (said, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_signed = hmac::verify(&self.0, &signed(context, said), &signature).is_ok();
        is_signed.then_some(said)
    }

    /// For a keyed hash.
    pub(super) fn as_hmac(&self) -> &hmac::Key {
        &self.0
    }
}

/// An instance has no NUL.
fn context(instance: &Instance) -> String {
    format!("{CONTEXT}\0{instance}")
}

fn signed(context: &str, said: &str) -> Vec<u8> {
    format!("{context}\0{said}").into_bytes()
}

/// Links in a text without their signatures: for records that others read.
pub fn without_signatures(text: &str) -> String {
    let previews = format!("{OPEN_PATH}#");
    without_those_after(&without_those_after(text, PATH), &previews)
}

fn without_those_after(text: &str, prefix: &str) -> String {
    let is_of_token = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let mut parts = text.split(prefix);
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|char| !is_of_token(char)).unwrap_or(part.len());
        let (token, after) = part.split_at(end);
        rest.push_str(prefix);
        rest.push_str(token.rsplit_once('.').map_or(token, |(said, _)| said));
        rest.push_str(after);
    }
    rest
}

/// What a link says that one of the keys has signed, and that is not over.
pub fn check(keys: &[LinkKey], instance: &Instance, token: &str) -> Option<LinkClaims> {
    if token.len() > TOKEN_BYTES_LIMIT {
        return None;
    }
    let context = context(instance);
    let said = keys.iter().find_map(|key| key.open(&context, token))?;
    let mut parts = said.split('.');
    let claims = LinkClaims {
        workspace: parts.next()?.parse().ok()?,
        share: parts.next()?.parse().ok()?,
        expires: parts.next()?.parse().ok()?,
    };
    (now() < claims.expires).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{User, WorkspaceId};

    fn key(byte: u8) -> LinkKey {
        LinkKey::new(&[byte; LinkKey::BYTES]).expect("a key")
    }

    fn claims(user: &str, expires: u64) -> LinkClaims {
        LinkClaims {
            workspace: WorkspaceId::from(User::local(user.parse().expect("a subject"))).hash(),
            share: "0123456789abcdef0123456789abcdef".parse().expect("an id"),
            expires,
        }
    }

    #[test]
    fn a_link_is_good_with_each_of_the_keys_until_its_end() {
        let instance = Instance::default();
        let later = now() + 60;
        let claims = claims("ada", later);
        let token = key(1).token(&instance, &claims);
        assert!(token.len() <= TOKEN_BYTES_LIMIT, "{}", token.len());
        let check = |keys: &[LinkKey], token: &str| check(keys, &instance, token);
        assert_eq!(check(&[key(1)], &token), Some(claims));
        assert_eq!(check(&[key(2), key(1)], &token), Some(claims));
        assert_eq!(check(&[key(2)], &token), None, "another key");
        assert_eq!(check(&[], &token), None, "no key");
        let over = key(1).token(&instance, &self::claims("ada", now()));
        assert_eq!(check(&[key(1)], &over), None, "over");
        let other: Instance = "other".parse().expect("an instance");
        assert_eq!(super::check(&[key(1)], &other, &token), None);
    }

    #[test]
    fn a_record_has_no_signature() {
        let token = key(1).token(&Instance::default(), &claims("ada", 7));
        let (said, _) = token.rsplit_once('.').expect("a signature");
        let text = format!(r#"{{"link":"http://a.test/s/{token}","b":"/s/{token}\n"}}"#);
        let wanted = format!(r#"{{"link":"http://a.test/s/{said}","b":"/s/{said}\n"}}"#);
        assert_eq!(without_signatures(&text), wanted);
        let preview = format!("http://a.localhost{OPEN_PATH}#{token} b");
        let wanted = format!("http://a.localhost{OPEN_PATH}#{said} b");
        assert_eq!(without_signatures(&preview), wanted);
        for same in ["", "/s/", "/s/x y", "a.b /s"] {
            assert_eq!(without_signatures(same), same);
        }
    }

    /// Each part of one link in another, each character gone or changed.
    #[test]
    fn a_link_that_was_changed_in_any_way_is_none() {
        let instance = Instance::default();
        let keys = [key(1)];
        let token = key(1).token(&instance, &claims("ada", now() + 60));
        let other = key(1).token(&instance, &claims("bob", now() + 600));
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        for at in 0..4 {
            let mut mixed = parts(&token);
            if mixed[at] != parts(&other)[at] {
                mixed[at] = parts(&other)[at].clone();
                assert_eq!(check(&keys, &instance, &mixed.join(".")), None, "part {at}");
            }
            let mut cut = parts(&token);
            cut.remove(at);
            assert_eq!(
                check(&keys, &instance, &cut.join(".")),
                None,
                "without {at}"
            );
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(check(&keys, &instance, &changed), None, "{changed}");
            assert_eq!(check(&keys, &instance, &token[..at]), None, "cut at {at}");
        }
        for odd in [
            String::new(),
            "....".to_owned(),
            format!("{token}="),
            format!("{token}."),
            format!("{token}\0"),
            "a".repeat(1_000_000),
        ] {
            assert_eq!(check(&keys, &instance, &odd), None);
        }
    }
}
