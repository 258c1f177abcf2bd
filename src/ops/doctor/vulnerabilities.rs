//! Checks for known escapes from containers in old versions.
//!
//! Lists only those that code in a sandbox or its image, or a user of the host, could use, not
//! those that need a privileged container, the host's network or Kubernetes. To add one: a row,
//! with the advisory that names the fixed versions.

use super::Finding;
use super::version::Version;
use crate::engine::{Component, EngineKind, EngineVersion};

/// One known escape.
struct KnownVulnerability {
    /// As `docker version` names the part.
    part: &'static str,
    id: &'static str,
    what: &'static str,
    /// The first version with it; empty: all old ones.
    since: &'static str,
    /// The fixed version of each line of releases that has one, ascending.
    fixed: &'static [&'static str],
    /// Packages of Debian that fix an older version: the first of each release of Debian.
    debian: &'static [&'static str],
    by: AttackVector,
}

/// The access that an attacker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttackVector {
    /// Code in a sandbox or an image.
    Sandbox,
    /// Code in a sandbox, when a person copies files with the docker command. Casemate does not.
    Copying,
    /// A user who is logged in on the host.
    HostUser,
}

/// Releases of runc of November 2025, which fix three vulnerabilities at once.
const RUNC_2025_11: &[&str] = &["1.2.8", "1.3.3", "1.4.0-rc.3"];

const KNOWN: [KnownVulnerability; 19] = [
    // https://www.openwall.com/lists/oss-security/2019/02/11/2,
    // https://nvd.nist.gov/vuln/detail/CVE-2019-5736
    KnownVulnerability {
        part: "runc",
        id: "CVE-2019-5736",
        what: "a container overwrites runc on the host",
        since: "",
        fixed: &["1.0.0-rc7"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-c3xm-pvg7-gh7r
    KnownVulnerability {
        part: "runc",
        id: "CVE-2021-30465",
        what: "a mount is redirected to the host by a symbolic link",
        since: "",
        fixed: &["1.0.0-rc95"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-g2j6-57v7-gm8c
    KnownVulnerability {
        part: "runc",
        id: "CVE-2023-28642",
        what: "an image with /proc as a symbolic link passes AppArmor",
        since: "",
        fixed: &["1.1.5"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-xr7r-f8xq-vfvv; Debian:
    // DSA-5615-1
    KnownVulnerability {
        part: "runc",
        id: "CVE-2024-21626",
        what: "a working directory leads to the host's file system",
        since: "1.0.0-rc93",
        fixed: &["1.1.12"],
        debian: &["1.1.5+ds1-1+deb12u1"],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-9493-h29p-rfm2
    KnownVulnerability {
        part: "runc",
        id: "CVE-2025-31133",
        what: "a masked path is exchanged and the host's procfs written",
        since: "",
        fixed: RUNC_2025_11,
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-qw9x-cqr3-wc7r
    KnownVulnerability {
        part: "runc",
        id: "CVE-2025-52565",
        what: "the mount of /dev/console is redirected",
        since: "",
        fixed: RUNC_2025_11,
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/opencontainers/runc/security/advisories/GHSA-cgrx-mc8f-2prm
    KnownVulnerability {
        part: "runc",
        id: "CVE-2025-52881",
        what: "runc's writes to /proc are redirected, past AppArmor and SELinux",
        since: "",
        fixed: RUNC_2025_11,
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/containerd/containerd/security/advisories/GHSA-cm76-qm8v-3j95
    KnownVulnerability {
        part: "containerd",
        id: "CVE-2025-47290",
        what: "an image that is pulled writes to the host",
        since: "2.1.0",
        fixed: &["2.1.1"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/containerd/containerd/security/advisories/GHSA-c2h3-6mxw-7mvq
    KnownVulnerability {
        part: "containerd",
        id: "CVE-2021-41103",
        what: "users of the host reach into containers' directories",
        since: "",
        fixed: &["1.4.11", "1.5.7"],
        debian: &[],
        by: AttackVector::HostUser,
    },
    // https://github.com/containerd/containerd/security/advisories/GHSA-pwhc-rpq9-4c8w; Debian: the
    // package's changelog
    KnownVulnerability {
        part: "containerd",
        id: "CVE-2024-25621",
        what: "users of the host reach into containerd's directories",
        since: "",
        fixed: &["1.7.29", "2.0.7", "2.1.5", "2.2.0"],
        debian: &["1.6.20~ds1-1+deb12u2"],
        by: AttackVector::HostUser,
    },
    // https://github.com/moby/moby/security/advisories/GHSA-3fwx-pjgw-3558
    KnownVulnerability {
        part: "Engine",
        id: "CVE-2021-41091",
        what: "users of the host reach into containers' directories",
        since: "",
        fixed: &["20.10.9"],
        debian: &[],
        by: AttackVector::HostUser,
    },
    // https://github.com/moby/moby/security/advisories/GHSA-v994-f8vw-g7j4
    KnownVulnerability {
        part: "Engine",
        id: "CVE-2021-41089",
        what: "`docker cp` changes permissions of files of the host",
        since: "",
        fixed: &["20.10.9"],
        debian: &[],
        by: AttackVector::Copying,
    },
    // https://osv.dev/vulnerability/GHSA-x86f-5xw2-fm2r
    KnownVulnerability {
        part: "Engine",
        id: "CVE-2026-41567",
        what: "`docker cp` of a compressed archive runs a program of the container as root",
        since: "",
        fixed: &["29.5.1"],
        debian: &[],
        by: AttackVector::Copying,
    },
    // https://github.com/moby/moby/security/advisories/GHSA-vp62-88p7-qqf5
    KnownVulnerability {
        part: "Engine",
        id: "CVE-2026-41568",
        what: "`docker cp` creates empty files anywhere on the host",
        since: "",
        fixed: &["29.5.1"],
        debian: &[],
        by: AttackVector::Copying,
    },
    // https://github.com/moby/moby/security/advisories/GHSA-rg2x-37c3-w2rh
    KnownVulnerability {
        part: "Engine",
        id: "CVE-2026-42306",
        what: "`docker cp` mounts a volume over a path of the host",
        since: "",
        fixed: &["29.5.1"],
        debian: &[],
        by: AttackVector::Copying,
    },
    // https://github.com/podman-container-tools/podman/security/advisories/GHSA-q6r4-3wmg-fwcq
    KnownVulnerability {
        part: "Podman",
        id: "CVE-2026-55686",
        what: "an image whose working directory is a symbolic link makes directories on the host",
        since: "3.0.0",
        fixed: &["5.7.1"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://nvd.nist.gov/vuln/detail/CVE-2023-0778
    KnownVulnerability {
        part: "Podman",
        id: "CVE-2023-0778",
        what: "`podman volume export` follows a symbolic link to the host's files",
        since: "",
        fixed: &["4.4.2"],
        debian: &[],
        by: AttackVector::Copying,
    },
    // https://nvd.nist.gov/vuln/detail/CVE-2019-18837
    KnownVulnerability {
        part: "crun",
        id: "CVE-2019-18837",
        what: "an image with a symbolic link as the target of a mount reaches the host's files",
        since: "",
        fixed: &["0.10.5"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
    // https://github.com/containers/crun/security/advisories/GHSA-f42g-r5jj-qh4j
    KnownVulnerability {
        part: "crun",
        id: "CVE-2025-24965",
        what: "an image that runs by the handler krun writes to the host",
        since: "",
        fixed: &["1.20"],
        debian: &[],
        by: AttackVector::Sandbox,
    },
];

impl KnownVulnerability {
    fn is_in(&self, version: Version, package: Option<&str>) -> bool {
        let is_backported = |package| self.debian.iter().any(|first| is_from(package, first));
        let is_older = Version::parse(self.since).is_some_and(|since| version < since);
        if is_older || package.is_some_and(is_backported) {
            return false;
        }
        let fixed = self.fixed.iter().filter_map(|text| Version::parse(text));
        let of_its_line = fixed
            .clone()
            .find(|fixed| fixed.is_of_one_line_with(version));
        // A line without a fixed version is out of support, or began later.
        of_its_line
            .or(fixed.max())
            .is_some_and(|fixed| version < fixed)
    }
}

/// Whether one package of Debian is this or a later update of the same release of Debian:
/// `1.1.5+ds1-1+deb12u2` from `1.1.5+ds1-1+deb12u1`.
fn is_from(package: &str, first: &str) -> bool {
    let update = |text: &str| {
        let (release, update) = text.rsplit_once('u')?;
        Some((release.to_owned(), update.parse::<u32>().ok()?))
    };
    match (update(package), update(first)) {
        (Some((release, this)), Some((of, first))) => release == of && this >= first,
        _ => false,
    }
}

/// Findings about each part, also about one that does not report its version.
pub fn look(engine: &EngineVersion) -> Vec<Finding> {
    // Podman has versions of its own, which say nothing about Docker's.
    let (own, parts): (_, &[&str]) = match engine.kind {
        EngineKind::Docker => ("Engine", &["containerd", "runc"]),
        EngineKind::Podman => ("Podman", &[runtime_of(engine)]),
        EngineKind::Kubernetes => ("Kubernetes", &[]),
    };
    let own = Component {
        name: own.to_owned(),
        version: engine.version.clone(),
        package: None,
    };
    let mut found = of(&own);
    for &name in parts {
        match engine.components.iter().find(|part| part.name == name) {
            Some(part) => found.extend(of(part)),
            None => found.push(missing(name, engine)),
        }
    }
    found
}

/// The runtime whose version Podman reports.
fn runtime_of(engine: &EngineVersion) -> &'static str {
    let has = |name: &str| engine.components.iter().any(|part| part.name == name);
    if has("runc") { "runc" } else { "crun" }
}

/// With another default runtime than runc the Engine reports that one's version instead.
fn missing(name: &str, engine: &EngineVersion) -> Finding {
    let others = engine.components.iter().map(|part| part.name.as_str());
    let said = format!(
        "the Engine does not report its version of {name}, so its known escapes were not checked (it \
         reports: {})",
        others.collect::<Vec<_>>().join(", ")
    );
    Finding::note("versions", said).fix(format!(
        "`{name} --version` on its host; other runtimes have their own security trackers"
    ))
}

fn of(part: &Component) -> Vec<Finding> {
    let Component {
        name,
        version: text,
        package,
    } = part;
    let Some(version) = Version::parse(text) else {
        let said = format!("{name} does not report a valid version ({text:?})");
        return vec![Finding::note("versions", said)];
    };
    let shown = match package {
        Some(package) => format!("{name} {text} (package {package})"),
        None => format!("{name} {text}"),
    };
    let has = |by| {
        let known = KNOWN
            .iter()
            .filter(|known| known.part == *name && known.by == by);
        known
            .filter(|known| known.is_in(version, package.as_deref()))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    let escapes = has(AttackVector::Sandbox);
    if !escapes.is_empty() {
        let said = format!("{shown} has known escapes: {}", list(&escapes));
        let fix = "upgrade it; a distribution's package may carry backported fixes under an older version: \
                    search its security tracker for these identifiers";
        found.push(Finding::warning("versions", said).fix(fix));
    }
    let others = [
        (
            AttackVector::Copying,
            "is unsafe to copy files with",
            "upgrade it, and use no such command on a sandbox; Casemate uses none",
        ),
        (
            AttackVector::HostUser,
            "is unsafe on a machine with several users",
            "upgrade it, and let only people log in on this machine who may be root",
        ),
    ];
    for (by, unsafe_how, fix) in others {
        let has = has(by);
        if !has.is_empty() {
            let said = format!("{shown} {unsafe_how}: {}", list(&has));
            found.push(Finding::note("versions", said).fix(fix));
        }
    }
    if found.is_empty() {
        let said = format!("{shown}: no escape that this version of Casemate knows of");
        found.push(Finding::ok("versions", said));
    }
    found
}

fn list(known: &[&KnownVulnerability]) -> String {
    let each = known.iter().map(|known| {
        let fixed = known.fixed.join(", ");
        format!("{} ({}; fixed in {fixed})", known.id, known.what)
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "vulnerabilities_tests.rs"]
mod tests;
