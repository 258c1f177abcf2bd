//! Checks whether the image exists and is prepared.

use super::{Finding, chain};
use crate::config::{Config, SandboxSettings};
use crate::engine::{Engine, ImageState, UidRange};
use crate::provision::image_state;

/// Checks the image of this sandbox.
pub async fn look(
    engine: &Engine,
    config: &Config,
    sandbox: &SandboxSettings,
    uids: UidRange,
) -> Finding {
    let image = sandbox.image.as_str();
    match image_state(engine, config, image, sandbox.profile, uids).await {
        Ok(state) => judge(image, state, &engine.command_for_image(image)),
        Err(error) => Finding::error("image", chain(&error)),
    }
}

/// `command` gets the image.
fn judge(image: &str, state: ImageState, command: &str) -> Finding {
    match state {
        ImageState::Absent => {
            let said =
                format!("the Engine has no image {image}: the first call would try to pull it");
            Finding::warning("image", said).fix(format!("`{command}`"))
        }
        ImageState::Unusable { reason } => {
            let said = format!("no sandbox can be made from {image}: {reason}");
            Finding::error("image", said).fix("set CASEMATE_IMAGE to another")
        }
        ImageState::Unprepared => {
            let said = format!("{image} is there and not prepared yet, which is done once, now");
            Finding::note("image", said)
        }
        ImageState::Prepared { tag } => {
            Finding::ok("image", format!("{image} is there, prepared as {tag}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn an_image_that_is_not_there_is_got_by_the_command() {
        let absent = judge("debian:12", ImageState::Absent, "docker pull debian:12");
        assert_eq!(absent.level, Severity::Warning);
        assert_eq!(absent.fix.as_deref(), Some("`docker pull debian:12`"));
    }

    #[test]
    fn only_one_that_cannot_be_used_is_an_error() {
        let level = |state| judge("a", state, "").level;
        let reason = "it has ONBUILD".to_owned();
        assert_eq!(level(ImageState::Unusable { reason }), Severity::Error);
        assert_eq!(level(ImageState::Unprepared), Severity::Note);
        let tag = "casemate-prepared:1".to_owned();
        assert_eq!(level(ImageState::Prepared { tag }), Severity::Ok);
    }
}
