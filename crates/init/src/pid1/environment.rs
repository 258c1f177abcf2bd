//! What the server asks of the container's environment where it does not know the image's own
//! variables, as on Kubernetes.

/// Variables, as names and values.
pub type Environment = Vec<(Vec<u8>, Vec<u8>)>;

/// Changes of the environment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EnvironmentChanges {
    /// Variables whose names begin so are the Engine's, and no command sees them.
    pub without: Vec<String>,
    /// Set, unless the image sets them.
    pub unless_set: Vec<(String, String)>,
    /// Goes before the image's PATH.
    pub path_first: Option<String>,
}

/// Docker's PATH for an image that sets none (moby, `oci/defaults.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl EnvironmentChanges {
    /// The changed environment.
    pub fn apply(&self, mut env: Environment) -> Environment {
        let begins = |name: &[u8], prefix: &String| name.starts_with(prefix.as_bytes());
        env.retain(|(name, _)| !self.without.iter().any(|prefix| begins(name, prefix)));
        for (name, value) in &self.unless_set {
            if !env.iter().any(|(set, _)| set == name.as_bytes()) {
                env.push((name.clone().into_bytes(), value.clone().into_bytes()));
            }
        }
        if let Some(first) = &self.path_first {
            let at = env.iter().position(|(name, _)| name == b"PATH");
            let own = at.map(|at| env.remove(at).1).filter(|own| !own.is_empty());
            let rest = own.unwrap_or_else(|| DEFAULT_PATH.into());
            env.push((b"PATH".to_vec(), [first.as_bytes(), b":", &rest].concat()));
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(changes: &EnvironmentChanges, image: &[(&str, &str)]) -> Vec<String> {
        let image = image
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let changed = changes.apply(image.collect());
        changed
            .iter()
            .map(|(name, value)| format!("{}={}", text(name), text(value)))
            .collect()
    }

    #[test]
    fn the_image_goes_before_what_is_set_for_it_and_the_engine_is_not_seen() {
        let changes = EnvironmentChanges {
            without: vec!["KUBERNETES_".into()],
            unless_set: vec![("LANG".into(), "C.UTF-8".into())],
            path_first: Some("/home/bin".into()),
        };
        let image = [
            ("PATH", "/go/bin:/bin"),
            ("LANG", "de"),
            ("KUBERNETES_PORT", "tcp://a"),
        ];
        assert_eq!(
            of(&changes, &image),
            ["LANG=de", "PATH=/home/bin:/go/bin:/bin"]
        );
        let wanted = [
            "LANG=C.UTF-8".to_owned(),
            format!("PATH=/home/bin:{DEFAULT_PATH}"),
        ];
        for image in [&[][..], &[("PATH", "")]] {
            assert_eq!(of(&changes, image), wanted);
        }
        assert_eq!(of(&EnvironmentChanges::default(), &[("A", "b")]), ["A=b"]);
    }
}
