use super::super::{Severity, host};
use super::*;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn found(cgroup_version: u8, one: u64, sandboxes: u64, tcp: u64, udp: u64) -> Finding {
    let mut host = host::good();
    host.cgroup_version = cgroup_version;
    let memory = Memory {
        one,
        all: one * sandboxes,
    };
    judge(&host, memory, Some(SocketPools { tcp, udp }))
}

#[test]
fn the_third_number_counts_in_pages() {
    let page = u64::try_from(page_size()).expect("a size");
    assert_eq!(largest("287898\t383867\t575796\n"), Some(575_796 * page));
    for text in ["", "1 2", "1 2 many"] {
        assert_eq!(largest(text), None, "{text}");
    }
}

#[test]
fn on_cgroup_v1_a_pool_larger_than_a_sandbox_is_a_warning_and_the_line_bounds_it() {
    let finding = found(1, 512 * MIB, 100, 2 * GIB, 4 * GIB);
    assert_eq!(finding.level, Severity::Warning);
    let said =
        "in addition to the 50g that the limits allow all sandboxes, a single one can hold 6g of";
    assert!(finding.found.contains(said), "{finding:?}");
    let pages = 256 * MIB / u64::try_from(page_size()).expect("a size");
    let line = format!(
        "net.ipv4.tcp_mem='{} {} {pages}' ",
        pages / 2,
        pages / 3 * 2
    );
    let fix = finding.fix.expect("a fix");
    assert!(fix.contains(&line) && fix.contains("512m"), "{fix}");

    // After this command there is no warning, even with small sandboxes.
    for one in [16 * MIB, 512 * MIB, 8 * GIB] {
        let bound = one.max(LEAST_SOCKETS) / 2;
        assert_eq!(found(1, one, 100, bound, bound).level, Severity::Note);
        assert_eq!(
            found(1, one, 100, bound, bound + 1).level,
            Severity::Warning
        );
    }
}

#[test]
fn on_cgroup_v2_a_pool_is_small_where_one_sandbox_can_fill_it() {
    for (one, sandboxes, udp, level) in [
        (512 * MIB, 3, 4 * GIB, Severity::Ok),
        (512 * MIB, 4, 4 * GIB, Severity::Note),
        (512 * MIB, 100, 4 * GIB, Severity::Note),
        (2 * GIB - 1, 1, 4 * GIB, Severity::Ok),
        (2 * GIB, 1, 4 * GIB, Severity::Warning),
        (512 * MIB, 1, 512 * MIB, Severity::Warning),
    ] {
        let finding = found(2, one, sandboxes, 2 * GIB, udp);
        assert_eq!(finding.level, level, "{finding:?}");
        assert_eq!(finding.fix.is_some(), level > Severity::Note, "{finding:?}");
    }
    let finding = found(2, 512 * MIB, 100, 2 * GIB, 4 * GIB);
    assert!(finding.found.contains("; 4 at their limit"), "{finding:?}");
    // With the line there is no more to say.
    let finding = found(2, 2 * GIB, 1, 4 * GIB, 4 * GIB);
    assert_eq!(finding.level, Severity::Ok, "{finding:?}");
}

#[test]
fn pools_that_cannot_be_seen_are_a_note_that_names_them() {
    let memory = Memory {
        one: 512 * MIB,
        all: 50 * GIB,
    };
    for cgroup_version in [1, 2] {
        let mut host = host::good();
        host.cgroup_version = cgroup_version;
        let finding = judge(&host, memory, None);
        assert_eq!(finding.level, Severity::Note);
        assert!(finding.found.contains("net.ipv4.udp_mem"), "{finding:?}");
    }
}

#[test]
fn terminals_are_few_when_most_of_what_containers_may_have_are_open() {
    for (open, level) in [
        (0, Severity::Ok),
        (1_536, Severity::Ok),
        (1_537, Severity::Warning),
        (3_072, Severity::Warning),
    ] {
        let finding = terminals(open, 1_024, 4_096);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.found.contains(" of the 3072 "), "{finding:?}");
        assert_eq!(finding.fix.is_some(), level > Severity::Ok);
    }
    assert_eq!(terminals(0, 2, 1).level, Severity::Ok);
}
