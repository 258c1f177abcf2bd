//! The names of volumes of shared data.
//!
//! ```text
//! casemate-<instance>-shared-<name>-<12 hex>   one version; its name has the hash of its content
//! casemate-<instance>-shared-<name>.<number>   a head: says that a version is whole
//! casemate-<instance>-shared-<name>.removal-<token>  a clean-up removes a version now
//! ```

/// Digits of a version in the name of its volume.
const VERSION_DIGITS: usize = 12;

/// The name of the volume with the version of this hash.
pub fn version_volume(instance: &str, name: &str, hash: &str) -> String {
    let version: String = hash.chars().take(VERSION_DIGITS).collect();
    format!("casemate-{instance}-shared-{name}-{version}")
}

/// The name of the head of this number. The names of users' volumes end with a hash, so none is
/// like this.
pub fn head_volume(instance: &str, name: &str, number: u64) -> String {
    format!("casemate-{instance}-shared-{name}.{number}")
}

/// The name of the mark of a clean-up with this token.
pub fn removal_volume(instance: &str, name: &str, token: &str) -> String {
    format!("casemate-{instance}-shared-{name}.removal-{token}")
}

/// The name of a volume of shared data without its version, the same for all of a share.
pub(super) fn without_version(volume: &str) -> &str {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match volume.rsplit_once('-') {
        Some((share, version))
            if share.contains("-shared-")
                && version.len() == VERSION_DIGITS
                && version.bytes().all(is_digit) =>
        {
            share
        }
        _ => volume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_of_a_share_have_one_name_without_the_version_and_no_other_volume_has() {
        let volume = |hash: &str| version_volume("default", "data-1", hash);
        let (old, new) = (volume(&"0a".repeat(32)), volume(&"1b".repeat(32)));
        assert_eq!(old, "casemate-default-shared-data-1-0a0a0a0a0a0a");
        assert_eq!(without_version(&old), without_version(&new));
        assert_ne!(
            without_version(&old),
            without_version(&version_volume("default", "data", &"0a".repeat(32)))
        );
        for other in [
            "casemate-default-ada-0a0a0a0a0a0a",
            "casemate-default-shared-data.1",
            "casemate-default-shared-data-0a0a0a0a0a0g",
            "casemate-default-shared-data-0a0a",
            "",
        ] {
            assert_eq!(without_version(other), other);
        }
    }
}
