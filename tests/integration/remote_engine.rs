//! An Engine on another machine, behind a socket of this one: Docker Desktop, OrbStack and Colima run
//! it in a virtual machine. `make test-vm` runs these tests with such an Engine, and `scripts/test-engines`
//! under another host name; with one of this machine they say that they did not run.

mod disk;
mod paths;
mod work;

use crate::harness::{docker, not_run};

/// Whether the Engine of these tests is not this machine's own.
fn is_remote() -> bool {
    let there = docker::output(&["info", "--format", "{{.Name}} {{.KernelVersion}}"]);
    let here = ["hostname", "osrelease"].map(|name| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        text.expect("Linux").trim_end().to_owned()
    });
    let remote = there != here.join(" ");
    if !remote {
        not_run("the Engine is on this machine");
    }
    remote
}

/// The release of the kernel that the Engine's containers run on.
fn engine_kernel() -> String {
    docker::output(&["info", "--format", "{{.KernelVersion}}"])
}
