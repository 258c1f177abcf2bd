//! Pulls an image that the Engine does not have, without credentials.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::DockerEngine;
use crate::engine::error::EngineError;

/// How long the registry may take for its first answer. The Engine itself tries for 15 s to
/// connect.
const FIRST_EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a pull may be silent. A large layer is unpacked without progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a pull may take: some GB over a slow line. The Engine keeps finished layers for the
/// next attempt.
const PULL_TIMEOUT: Duration = Duration::from_secs(600);

impl DockerEngine {
    /// Pulls `image`.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`] with the registry's or the Engine's reason.
    pub(super) async fn pull(
        &self,
        image: &str,
        progress: &(impl Fn(&str) + Send + Sync),
    ) -> Result<(), EngineError> {
        let missing = |reason: String| EngineError::image_missing(image, reason);
        let Some((name, tag)) = split(image) else {
            return Err(missing("an id cannot be pulled".to_owned()));
        };
        progress(&format!("pulling {image}"));
        match tokio::time::timeout(PULL_TIMEOUT, self.pull_all(name, tag, image, progress)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(EngineError::Refused { message, .. })) => Err(missing(message)),
            Ok(Err(EngineError::Deadline { after, .. })) => {
                Err(missing(format!("the registry said nothing for {after:?}")))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(missing(format!(
                "pulling it took more than {PULL_TIMEOUT:?}"
            ))),
        }
    }

    async fn pull_all(
        &self,
        name: &str,
        tag: &str,
        image: &str,
        progress: &(impl Fn(&str) + Send + Sync),
    ) -> Result<(), EngineError> {
        const CALL: &str = "pull";
        let options = CreateImageOptionsBuilder::new()
            .from_image(name)
            .tag(tag)
            .build();
        let docker = self.docker().await?;
        let mut words = Box::pin(docker.create_image(Some(options), None, None));
        let (mut after, mut last) = (FIRST_EVENT_TIMEOUT, String::new());
        loop {
            let next = tokio::time::timeout(after, words.next()).await;
            let word = match next.map_err(|_| EngineError::Deadline { call: CALL, after })? {
                None => return Ok(()),
                Some(Ok(word)) => word,
                Some(Err(error)) => return Err(self.bollard_error(CALL, after, error)),
            };
            let status = word.status.unwrap_or_default();
            if status != last {
                progress(&format!("pulling {image}: {status}"));
                last = status;
            }
            after = STALL_TIMEOUT;
        }
    }
}

/// Name and tag or digest. `None` for an id. Without a tag the Engine would pull all of them.
fn split(image: &str) -> Option<(&str, &str)> {
    if let Some((name, digest)) = image.split_once('@') {
        let name = split(name).map_or(name, |(name, _)| name);
        return Some((name, digest));
    }
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match image.rsplit_once(':') {
        Some(("sha256", _)) => None,
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => Some((name, tag)),
        _ if is_hex(image) => None,
        _ => Some((image, "latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_from_its_tag_or_digest() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (image, wanted) in [
            ("debian", Some(("debian", "latest"))),
            ("debian:12", Some(("debian", "12"))),
            ("localhost:5000/a", Some(("localhost:5000/a", "latest"))),
            ("localhost:5000/a:b", Some(("localhost:5000/a", "b"))),
            (&format!("a:b@{digest}"), Some(("a", digest.as_str()))),
            (&digest, None),
            (&"0".repeat(64), None),
        ] {
            assert_eq!(split(image), wanted, "{image}");
        }
    }
}
