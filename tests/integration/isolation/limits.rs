//! The limits as the kernel applies them, and the size of casemate-init.

use super::output;
use crate::harness::{TestServer, docker};

#[tokio::test]
async fn the_limits_that_the_operator_set_are_the_kernels() {
    let limits = [
        ("CASEMATE_MEMORY", "300m"),
        ("CASEMATE_CPUS", "0.5"),
        ("CASEMATE_PIDS", "77"),
    ];
    let server = limits
        .iter()
        .fold(TestServer::new(), |server, (name, value)| {
            server.env(name, value)
        });
    let server = server.start().await;
    // cgroup v1, or v2.
    let cgroup =
        |v1: &str, v2: &str| format!("cd /sys/fs/cgroup; echo $(cat {v1} 2>/dev/null || cat {v2})");
    let memory = cgroup("memory/memory.limit_in_bytes", "memory.max");
    assert_eq!(
        output(&server, &memory).await,
        (300 * 1024 * 1024).to_string()
    );
    // On gVisor PID 1 limits its user.
    let processes = match docker::on_gvisor() {
        true => "ulimit -Hu".to_owned(),
        false => cgroup("pids/pids.max", "pids.max"),
    };
    assert_eq!(output(&server, &processes).await, "77");
    let cpu = cgroup("cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us", "cpu.max");
    assert_eq!(output(&server, &cpu).await, "50000 100000");

    let limits = output(&server, "cat /proc/self/limits").await;
    let limit = |name: &str| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect(name);
        line.split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["4096", "4096"]);
    assert_eq!(limit("Max locked memory"), ["65536", "65536"]);
    assert_eq!(limit("Max file size"), ["2147483648", "2147483648"]);
    let too_large = server
        .shell("python3 -c 'open(\"sparse\", \"wb\").truncate(3 << 30)'")
        .await;
    assert!(
        too_large.stderr().contains("File too large"),
        "{}",
        too_large.0
    );

    let sizes = output(&server, "df --block-size=1 --output=size /tmp /dev/shm").await;
    let sizes: Vec<&str> = sizes.lines().skip(1).map(str::trim).collect();
    assert_eq!(sizes, [(128 << 20).to_string(), (64 << 20).to_string()]);
}

#[tokio::test]
async fn casemate_init_is_small_on_disk_and_in_memory() {
    // Includes patterns, archives and transfers, which added 0.3 MB each, egress, 0.2 MB, and ports and
    // shared data, 0.1 MB together.
    const DISK: u64 = 3_900_000;
    // Up to half of it are pages of the program that no other process has touched: 1.9 to 2.2 MiB.
    const PRIVATE_KIB: u64 = 2560;
    let server = TestServer::new().start().await;
    // Little output: PID 1 keeps results for a while, which would count.
    for number in 0..50 {
        assert_eq!(
            output(&server, &format!("echo {number}")).await,
            number.to_string()
        );
    }
    for number in 0..10 {
        server
            .write(&format!("file-{number}"), &"text\n".repeat(1000))
            .await;
        server.read(&format!("file-{number}")).await;
        server.list(".").await;
    }
    let container = server.instance.container();
    let size = docker::exec(&container, "stat -c %s /casemate-init");
    assert!(size.parse::<u64>().expect("bytes") < DISK, "{size} bytes");
    let memory = docker::beside(&container, "cat /proc/1/smaps_rollup");
    let private: u64 = memory
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .expect("a number")
                .parse::<u64>()
                .expect("kB")
        })
        .sum();
    assert!(private > 0 && private < PRIVATE_KIB, "{memory}");
}
