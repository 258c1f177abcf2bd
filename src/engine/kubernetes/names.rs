//! Names, labels and annotations of what Casemate makes in a cluster. Pure.
//!
//! Objects have the names that containers and volumes have on Docker: an API server makes a name once,
//! as an Engine does. The value of a label has 63 characters at most and few of them, so labels only find
//! objects. Whose one is stands whole in its annotations, under the same keys as in Docker's labels.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::engine::error::{EngineError, shorten};
use crate::engine::labels::{INSTANCE, ISSUER, UID, USER};

/// Marks every object as Casemate's.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`].
pub const CASEMATE: &str = "casemate";

/// What kind of an object it is.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// The value of [`COMPONENT`] on a Pod: network policies select it.
pub const SANDBOX: &str = "sandbox";

/// A hash of the user.
pub const USER_HASH: &str = "io.casemate.user-hash";

/// The alphabet of RFC 4648, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Kubernetes' own bound (RFC 1123 subdomain).
const NAME_LIMIT: usize = 253;

/// A Pod: its name, which another may have later, and its uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodId {
    pub name: String,
    pub uid: String,
}

impl fmt::Display for PodId {
    /// No name and no uid has an underscore.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.name, self.uid)
    }
}

impl PodId {
    /// Of a stored Pod.
    pub fn of(pod: &Value) -> Self {
        let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            uid: text("uid"),
        }
    }

    /// A Pod's id, or its name alone.
    pub fn parse(name_or_id: &str) -> Result<(&str, Option<&str>), EngineError> {
        match name_or_id.split_once('_') {
            Some((name, uid)) => Ok((object("container", name)?, Some(uid))),
            None => Ok((object("container", name_or_id)?, None)),
        }
    }
}

/// A name of an object that may stand in a path.
///
/// # Errors
/// [`EngineError::Name`]: Kubernetes does not allow `_`, which the name of an instance may have.
pub fn object<'a>(kind: &'static str, name: &'a str) -> Result<&'a str, EngineError> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let ends_well = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = name.starts_with(ends_well) && name.ends_with(ends_well);
    if good && name.len() <= NAME_LIMIT && name.bytes().all(inner) {
        return Ok(name);
    }
    Err(EngineError::Name {
        kind,
        name: shorten(name),
    })
}

/// 52 characters that stand for these parts: any characters may be in them.
pub fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    base32(&digest.finalize())
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0_u32, 0);
    let mut digit = |bits: u32| text.push(char::from(BASE32[(bits & 31) as usize]));
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            digit(bits >> count);
        }
    }
    if count > 0 {
        digit(bits << (5 - count));
    }
    text
}

/// The labels of an object with these annotations, by which it is found.
pub fn labels_of(annotations: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert(MANAGED_BY.to_owned(), json!(CASEMATE));
    let found = selectors(annotations.iter().map(|(key, value)| (&**key, &**value)));
    labels.extend(
        found
            .into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value))),
    );
    if let Some(uid) = annotations.get(UID) {
        labels.insert(UID.to_owned(), json!(uid));
    }
    labels
}

/// The labels that objects with all of `wanted` have: there may be other objects with them too.
pub fn selectors<'a>(
    wanted: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'static str, String)> {
    let wanted: BTreeMap<&str, &str> = wanted.collect();
    let mut found = Vec::new();
    if let Some(instance) = wanted.get(INSTANCE) {
        // The rare one that ends with `-` or `_` is no value of a label.
        let is_label = instance.ends_with(|c: char| c.is_ascii_alphanumeric());
        let value = is_label.then(|| (*instance).to_owned());
        found.push((INSTANCE, value.unwrap_or_else(|| hash(&[instance]))));
    }
    if let (Some(issuer), Some(user)) = (wanted.get(ISSUER), wanted.get(USER)) {
        found.push((USER_HASH, hash(&[issuer, user])));
    }
    found
}

/// The annotations of a stored object.
pub fn annotations(object: &Value) -> BTreeMap<String, String> {
    let all = object["metadata"]["annotations"].as_object();
    let pairs = all.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (plain, encoded) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foob", "mzxw6yq")] {
            assert_eq!(base32(plain.as_bytes()), encoded);
        }
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
    }

    #[test]
    fn a_hash_fits_a_label_and_no_two_users_share_one() {
        let all = [
            hash(&["local", "a/b"]),
            hash(&["local", "a_b"]),
            hash(&["locala", "/b"]),
            hash(&["local", "a/b", ""]),
        ];
        assert!(all.iter().all(|hash| hash.len() == 52));
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_pod_is_named_with_and_without_its_uid() {
        let id = PodId {
            name: "casemate-default-ada-0123456789ab".to_owned(),
            uid: "6f3c".to_owned(),
        };
        let text = id.to_string();
        assert_eq!(PodId::parse(&text).ok(), Some((&*id.name, Some("6f3c"))));
        assert_eq!(PodId::parse(&id.name).ok(), Some((&*id.name, None)));
        for wrong in ["", "A", "../secrets", "a b", "a%2f", "-a", &"a".repeat(254)] {
            assert!(PodId::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_are_found_by_instance_and_user() {
        let all = [(INSTANCE, "default"), (ISSUER, "local"), (USER, "ada")];
        let annotations = all.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = labels_of(&annotations.into());
        for (key, value) in selectors(all.into_iter()) {
            assert_eq!(labels[key], value);
        }
        assert_eq!(selectors([(ISSUER, "local")].into_iter()), []);
    }
}
