//! Ways out of a container, or onto its host, that old versions are known to have.
//!
//! Only what user code in a sandbox, its image or whoever operates it could use: what needs a
//! privileged container, the host's network or Kubernetes is not here. To add one: a row, with the
//! advisory that says in which versions it was mended.

use super::Finding;
use super::version::Version;
use crate::engine::EngineVersion;

/// One such way.
struct Known {
    /// As `docker version` names the part.
    part: &'static str,
    id: &'static str,
    what: &'static str,
    /// The first version without it, of each line of releases that got a mended one, ascending.
    mended: &'static [&'static str],
    by: By,
}

/// Who has to do what for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Code in a sandbox or an image, with no more than starting one.
    Sandbox,
    /// Somebody with the docker command, too: Casemate itself does no such thing.
    Operator,
}

const KNOWN: [Known; 8] = [
    // https://www.openwall.com/lists/oss-security/2019/02/11/2, https://nvd.nist.gov/vuln/detail/CVE-2019-5736
    Known {
        part: "runc",
        id: "CVE-2019-5736",
        what: "a container overwrites runc on the host",
        mended: &["1.0.0-rc7"],
        by: By::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-c3xm-pvg7-gh7r
    Known {
        part: "runc",
        id: "CVE-2021-30465",
        what: "a mount is redirected to the host by a symbolic link",
        mended: &["1.0.0-rc95"],
        by: By::Sandbox,
    },
    // https://openssf.org/blog/2024/02/06/time-is-of-the-essence-to-mitigate-vulnerabilities-like-leaky-vessels/
    Known {
        part: "runc",
        id: "CVE-2024-21626",
        what: "a working directory leads to the host's file system",
        mended: &["1.1.12"],
        by: By::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-9493-h29p-rfm2
    Known {
        part: "runc",
        id: "CVE-2025-31133",
        what: "a masked path is exchanged and the host's procfs written",
        mended: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        by: By::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-qw9x-cqr3-wc7r
    Known {
        part: "runc",
        id: "CVE-2025-52565",
        what: "the mount of /dev/console is redirected",
        mended: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        by: By::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-cgrx-mc8f-2prm
    Known {
        part: "runc",
        id: "CVE-2025-52881",
        what: "runc's writes to /proc are redirected, past AppArmor and SELinux",
        mended: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        by: By::Sandbox,
    },
    // https://github.com/containerd/containerd/security/advisories/GHSA-c2h3-6mxw-7mvq
    Known {
        part: "containerd",
        id: "CVE-2021-41103",
        what: "users of the host reach into containers' directories",
        mended: &["1.4.11", "1.5.7"],
        by: By::Operator,
    },
    // https://osv.dev/vulnerability/GHSA-x86f-5xw2-fm2r
    Known {
        part: "Engine",
        id: "CVE-2026-41567",
        what: "`docker cp` of a compressed archive runs a program of the container as root",
        mended: &["29.5.1"],
        by: By::Operator,
    },
];

impl Known {
    fn is_in(&self, version: Version) -> bool {
        let mended = self.mended.iter().filter_map(|text| Version::parse(text));
        let of_its_line = mended
            .clone()
            .find(|mended| mended.is_of_one_line_with(version));
        // A line without a mended version of its own was left behind, or began later.
        of_its_line
            .or(mended.max())
            .is_some_and(|mended| version < mended)
    }
}

/// What each part lacks. A part that does not say its version is said to be unknown.
pub fn look(engine: &EngineVersion) -> Vec<Finding> {
    let mut parts = vec![("Engine", engine.version.as_str())];
    for name in ["containerd", "runc"] {
        let found = engine.components.iter().find(|(part, _)| part == name);
        parts.extend(found.map(|(_, version)| (name, version.as_str())));
    }
    parts
        .into_iter()
        .flat_map(|(part, version)| of(part, version))
        .collect()
}

fn of(part: &str, text: &str) -> Vec<Finding> {
    let Some(version) = Version::parse(text) else {
        let said = format!("{part} does not say which version it is ({text:?})");
        return vec![Finding::note("versions", said)];
    };
    let has = |by| {
        let known = KNOWN
            .iter()
            .filter(|known| known.part == part && known.by == by);
        known
            .filter(|known| known.is_in(version))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    let escapes = has(By::Sandbox);
    if !escapes.is_empty() {
        let said = format!("{part} {text} has known escapes: {}", list(&escapes));
        let mend = "upgrade it; a distribution's package may have the mends under an older version: \
                    ask its security tracker for these identifiers";
        found.push(Finding::warning("versions", said).mend(mend));
    }
    let others = has(By::Operator);
    if !others.is_empty() {
        let said = format!("{part} {text} is unsafe to use by hand: {}", list(&others));
        let mend = "upgrade it, and use no `docker cp` on a sandbox; Casemate uses none";
        found.push(Finding::note("versions", said).mend(mend));
    }
    if found.is_empty() {
        let said = format!("{part} {text}: no escape that this version of Casemate knows of");
        found.push(Finding::ok("versions", said));
    }
    found
}

fn list(known: &[&Known]) -> String {
    let each = known.iter().map(|known| {
        let mended = known.mended.join(", ");
        format!("{} ({}; mended in {mended})", known.id, known.what)
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn ids(part: &str, version: &str) -> Vec<&'static str> {
        let version = Version::parse(version).expect("a version");
        let known = KNOWN.iter().filter(|known| known.part == part);
        known
            .filter(|known| known.is_in(version))
            .map(|known| known.id)
            .collect()
    }

    #[test]
    fn a_version_lacks_what_was_mended_after_it_in_its_own_line() {
        let of_2025 = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];
        assert_eq!(ids("runc", "1.1.12"), of_2025);
        for version in ["1.1.15", "1.2.7", "1.3.2", "1.4.0-rc.2"] {
            assert_eq!(ids("runc", version), of_2025, "{version}");
        }
        for version in ["1.2.8", "1.3.3", "1.4.0-rc.3", "1.4.0", "1.5.0", "2.0.0"] {
            assert!(ids("runc", version).is_empty(), "{version}");
        }
        assert_eq!(ids("runc", "1.0-rc6").len(), 6);
        assert_eq!(ids("containerd", "1.3.10"), ["CVE-2021-41103"]);
        assert!(ids("containerd", "1.6.20~ds1").is_empty());
    }

    #[test]
    fn every_row_can_be_read_and_ascends() {
        for known in &KNOWN {
            let mended = known.mended.iter().map(|text| Version::parse(text));
            let mended: Vec<_> = mended.collect::<Option<_>>().expect(known.id);
            assert!(!mended.is_empty() && mended.is_sorted(), "{}", known.id);
            assert!(
                mended.iter().all(|version| !known.is_in(*version)),
                "{}",
                known.id
            );
            assert!(
                ["Engine", "containerd", "runc"].contains(&known.part),
                "{}",
                known.id
            );
        }
    }

    #[test]
    fn an_escape_is_a_warning_and_what_takes_an_operator_a_note() {
        let engine = |version: &str, runc: &str| EngineVersion {
            version: version.to_owned(),
            api: String::new(),
            os: String::new(),
            arch: String::new(),
            kernel: String::new(),
            components: vec![("runc".to_owned(), runc.to_owned())],
        };
        let levels = |version, runc| {
            let found = look(&engine(version, runc));
            found
                .iter()
                .map(|finding| finding.level)
                .collect::<Vec<_>>()
        };
        assert_eq!(levels("29.5.1", "1.4.0"), [Level::Ok, Level::Ok]);
        assert_eq!(
            levels("20.10.24+dfsg1", "1.1.5+ds1"),
            [Level::Note, Level::Warning]
        );
        assert_eq!(levels("dev", "unknown"), [Level::Note, Level::Note]);
        let found = look(&engine("29.5.1", "1.1.11"));
        assert!(found[1].found.contains("CVE-2024-21626"), "{found:?}");
        assert!(
            found[1]
                .mend
                .as_deref()
                .is_some_and(|mend| mend.contains("tracker"))
        );
    }
}
