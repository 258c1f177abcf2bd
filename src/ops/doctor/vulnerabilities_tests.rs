use super::super::Severity;
use super::*;

fn ids_of(part: &str, version: &str, package: Option<&str>) -> Vec<&'static str> {
    let version = Version::parse(version).expect("a version");
    let known = KNOWN.iter().filter(|known| known.part == part);
    known
        .filter(|known| known.is_in(version, package))
        .map(|known| known.id)
        .collect()
}

fn ids(part: &str, version: &str) -> Vec<&'static str> {
    ids_of(part, version, None)
}

const OF_2025: [&str; 3] = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];

#[test]
fn a_version_lacks_what_was_fixed_after_it_in_its_own_line() {
    for version in ["1.1.12", "1.1.15", "1.2.7", "1.3.2", "1.4.0-rc.2"] {
        assert_eq!(ids("runc", version), OF_2025, "{version}");
    }
    for version in ["1.2.8", "1.3.3", "1.4.0-rc.3", "1.4.0", "1.5.0", "2.0.0"] {
        assert!(ids("runc", version).is_empty(), "{version}");
    }
    let of_hosts = ["CVE-2021-41103", "CVE-2024-25621"];
    assert_eq!(ids("containerd", "1.3.10"), of_hosts);
    assert_eq!(ids("containerd", "1.6.20~ds1"), of_hosts[1..]);
    assert!(ids("containerd", "1.7.29").is_empty());
    let of_2026 = ["CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"];
    assert_eq!(ids("Engine", "29.5.0"), of_2026);
    assert_eq!(ids("Engine", "20.10.8").len(), 5);
}

#[test]
fn a_version_lacks_nothing_that_began_after_it() {
    assert!(!ids("runc", "1.0-rc6").contains(&"CVE-2024-21626"));
    assert!(ids("runc", "1.0.0-rc93").contains(&"CVE-2024-21626"));
    assert!(!ids("containerd", "2.0.5").contains(&"CVE-2025-47290"));
    assert!(ids("containerd", "2.1.0").contains(&"CVE-2025-47290"));
    assert!(!ids("containerd", "2.1.1").contains(&"CVE-2025-47290"));
}

#[test]
fn a_package_of_debian_has_what_it_fixes_and_lacks_the_rest() {
    for package in ["1.1.5+ds1-1+deb12u1", "1.1.5+ds1-1+deb12u12"] {
        assert_eq!(ids_of("runc", "1.1.5+ds1", Some(package)), OF_2025);
    }
    for package in [
        "1.1.5+ds1-1",
        "1.1.5+ds1-1+deb12u0",
        "1.1.5+ds1-1+deb13u1",
        "1.1.5+ds1-1ubuntu7",
        "u1",
    ] {
        let lacks = ids_of("runc", "1.1.5+ds1", Some(package));
        assert!(lacks.contains(&"CVE-2024-21626"), "{package}");
    }
    let fixed = "1.6.20~ds1-1+deb12u3";
    assert!(ids_of("containerd", "1.6.20~ds1", Some(fixed)).is_empty());
}

#[test]
fn every_row_can_be_read_and_ascends() {
    for known in &KNOWN {
        let fixed = known.fixed.iter().map(|text| Version::parse(text));
        let fixed: Vec<_> = fixed.collect::<Option<_>>().expect(known.id);
        assert!(!fixed.is_empty() && fixed.is_sorted(), "{}", known.id);
        let has = |version| known.is_in(version, None);
        assert!(!fixed.iter().any(|version| has(*version)), "{}", known.id);
        let since = Version::parse(known.since);
        assert_eq!(since.is_none(), known.since.is_empty(), "{}", known.id);
        assert!(since.is_none_or(has), "{}", known.id);
        for package in known.debian {
            assert!(is_from(package, package), "{}", known.id);
        }
        assert!(
            ["Engine", "containerd", "runc", "Podman", "crun"].contains(&known.part),
            "{}",
            known.id
        );
    }
}

fn engine(version: &str, parts: &[(&str, &str)]) -> EngineVersion {
    let part = |(name, version): &(&str, &str)| Component {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        package: None,
    };
    EngineVersion {
        kind: EngineKind::Docker,
        version: version.to_owned(),
        api: String::new(),
        os: String::new(),
        arch: String::new(),
        kernel: String::new(),
        components: parts.iter().map(part).collect(),
    }
}

#[test]
fn an_escape_is_a_warning_and_what_takes_somebody_else_a_note_with_its_own_fix() {
    let levels = |version, containerd, runc| {
        let found = look(&engine(
            version,
            &[("containerd", containerd), ("runc", runc)],
        ));
        let levels = found.iter().map(|finding| finding.level);
        levels.collect::<Vec<_>>()
    };
    assert_eq!(levels("29.5.1", "2.2.0", "1.4.0"), [Severity::Ok; 3]);
    assert_eq!(
        levels("20.10.24+dfsg1", "1.6.20~ds1", "1.1.5+ds1"),
        [Severity::Note, Severity::Note, Severity::Warning]
    );
    assert_eq!(levels("dev", "unknown", ""), [Severity::Note; 3]);
    let found = look(&engine(
        "29.5.0",
        &[("containerd", "1.4.10"), ("runc", "1.1.11")],
    ));
    for (at, (id, fix)) in [
        ("CVE-2026-41568", "no such command"),
        ("CVE-2021-41103", "log in"),
        ("CVE-2024-21626", "tracker"),
    ]
    .iter()
    .enumerate()
    {
        assert!(found[at].found.contains(id), "{found:?}");
        let said = found[at].fix.as_deref();
        assert!(said.is_some_and(|it| it.contains(fix)), "{found:?}");
    }
}

/// With nvidia or crun as the default runtime the Engine tells of that, and not of runc.
#[test]
fn a_part_that_the_engine_does_not_tell_of_is_said_to_be_unknown() {
    let found = look(&engine("29.5.1", &[("nvidia", "1.1.5")]));
    let levels = found.iter().map(|finding| finding.level);
    assert_eq!(
        levels.collect::<Vec<_>>(),
        [Severity::Ok, Severity::Note, Severity::Note]
    );
    for (finding, part) in found[1..].iter().zip(["containerd", "runc"]) {
        assert!(finding.found.contains(part), "{finding:?}");
        assert!(finding.found.contains("nvidia"), "{finding:?}");
    }
}

#[test]
fn podman_is_judged_by_its_own_rows_and_by_its_runtime_s() {
    let podman = |version, runtime: &[(&str, &str)]| {
        let engine = EngineVersion {
            kind: EngineKind::Podman,
            ..engine(version, runtime)
        };
        let found = look(&engine).into_iter();
        found
            .map(|finding| (finding.level, finding.found))
            .collect::<Vec<_>>()
    };
    let found = podman("5.8.6", &[("crun", "1.28")]);
    assert_eq!(found.len(), 2, "no containerd: {found:?}");
    assert!(
        found.iter().all(|(level, _)| *level == Severity::Ok),
        "{found:?}"
    );
    assert!(found[0].1.starts_with("Podman 5.8.6: ") && found[1].1.starts_with("crun 1.28: "));
    let found = podman("5.6.0", &[("crun", "1.19")]);
    assert!(
        found.iter().all(|(level, _)| *level == Severity::Warning),
        "{found:?}"
    );
    assert!(found[0].1.contains("CVE-2026-55686") && found[1].1.contains("CVE-2025-24965"));
    // 20.10 would be an old Docker Engine.
    let found = podman("20.10.0", &[("runc", "1.4.0")]);
    assert!(
        found.iter().all(|(level, _)| *level == Severity::Ok),
        "{found:?}"
    );
    assert!(
        podman("5.8.6", &[])[1]
            .1
            .contains("does not report its version of crun")
    );
}
