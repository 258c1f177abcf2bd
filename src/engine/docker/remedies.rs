//! What people can do about a failure at a Docker Engine.

use std::path::Path;

use crate::config::limits;
use crate::engine::difference::Difference;

/// Where the server is in its own image (`scripts/server-root`).
const PROGRAM_OF_IMAGE: &str = "/casemate";

/// Of one that does not answer.
pub(super) const START: &str = "Start Docker, or ask the operator to, then retry.";

/// Limits, by their fields: an Engine without the privilege for them stores none.
const LIMITS: [&str; 3] = [
    "HostConfig.Memory",
    "HostConfig.NanoCpus",
    "HostConfig.PidsLimit",
];

/// What makes one of Casemate's own images; none for any other image.
fn how_to_make(image: &str) -> Option<String> {
    let in_image = std::env::current_exe().is_ok_and(|path| path == Path::new(PROGRAM_OF_IMAGE));
    let casemate = if in_image {
        "docker run --rm casemate"
    } else {
        "casemate"
    };
    let verb = match image {
        limits::IMAGE => "tools-image",
        limits::DATA_IMAGE => "tools-image --data",
        _ => return None,
    };
    Some(format!("{casemate} {verb} | docker build --tag {image} -"))
}

/// The command by which the Engine gets an image.
pub(super) fn command_for(image: &str) -> String {
    how_to_make(image).unwrap_or_else(|| format!("docker pull {image}"))
}

/// The same in words, after a pull has failed.
pub(super) fn how_to_get(image: &str) -> String {
    how_to_make(image).map_or_else(
        || "pull or build it there".to_owned(),
        |line| format!("make it with `{line}`"),
    )
}

/// Whether one of the limits of a sandbox was not stored as asked.
pub(super) fn is_of_a_limit(differences: &[Difference]) -> bool {
    let mut differences = differences.iter();
    differences.any(|difference| LIMITS.contains(&difference.field.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_built_where_it_is_ours_and_pulled_otherwise() {
        assert_eq!(command_for("debian:12"), "docker pull debian:12");
        for ours in [limits::IMAGE, limits::DATA_IMAGE] {
            let line = command_for(ours);
            assert!(line.contains("tools-image") && line.contains("docker build"));
            assert!(how_to_get(ours).contains(&line));
        }
    }
}
