//! Checks the runtime of the profile high.

use super::{Finding, chain};
use crate::config::Config;
use crate::engine::{Capabilities, Engine};

/// What gVisor of September 2026 is known to lack, and what Casemate does about it (docs/gvisor.md).
const KNOWN_HOLES: &str = "known of gVisor: signals of the user's code reach a PID 1 of the same uid \
     (google/gvisor#11836), so PID 1 has another one; a sandbox at its limit of memory ends whole \
     (google/gvisor#2533), so PID 1 ends the largest process before";

/// Nothing, where no sandbox needs it.
pub async fn look(engine: &Engine, config: &Config) -> Option<Finding> {
    let runtime = config.needed_runtime()?;
    // `host` already reports that it does not answer.
    let host = engine.capabilities().await.ok()?;
    Some(judge(&host, runtime))
}

fn judge(host: &Capabilities, runtime: &str) -> Finding {
    if let Err(error) = host.must_have(runtime) {
        return Finding::error("profile", chain(&error));
    }
    let platform = match host.platforms.get(runtime) {
        Some(platform) => format!("platform {platform}"),
        None => "its platform is not known to the Engine".to_owned(),
    };
    // The Engine tells the version of its default runtime alone.
    Finding::ok(
        "profile",
        format!(
            "sandboxes of the profile high are run by {runtime} ({platform}; `{runtime} --version` on \
             the Engine's host says its version); {KNOWN_HOLES}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::host::good;
    use super::*;

    #[test]
    fn a_runtime_that_is_missing_is_an_error_and_another_is_named_with_its_platform() {
        let mut host = good();
        let found = judge(&host, "runsc");
        assert_eq!(found.level, Severity::Ok);
        assert!(found.found.contains("not known"), "{}", found.found);
        let platforms = [("runsc".to_owned(), "systrap".to_owned())];
        host.platforms = platforms.into();
        assert!(judge(&host, "runsc").found.contains("platform systrap"));
        let missing = judge(&host, "runsc-kvm");
        assert_eq!(missing.level, Severity::Error);
        assert!(missing.found.contains("runc, runsc"), "{}", missing.found);
    }
}
