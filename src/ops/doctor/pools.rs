//! Checks pools of the kernel that all sandboxes share with their host: memory for TCP and UDP, and
//! pseudo-terminals.

use std::fs;

use rustix::param::page_size;

use super::Finding;
use super::host::{is_other_kernel, show};
use crate::config::{Config, Profile, SandboxSettings};
use crate::engine::{Capabilities, Engine};

/// TCP and UDP together may have this many bytes without a warning, even if a sandbox has less
/// memory: the connections of the machine need some.
const LEAST_SOCKETS: u64 = 128 << 20;

/// Limits of the memory in a machine's sockets, in bytes (`tcp_mem` and `udp_mem` in tcp(7),
/// udp(7)).
#[derive(Debug, Clone, Copy)]
struct SocketPools {
    tcp: u64,
    udp: u64,
}

impl SocketPools {
    /// Of this machine. `None` if they cannot be seen, as in another network namespace.
    fn read() -> Option<Self> {
        let pool = |name| {
            let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
            largest(&text)
        };
        Some(Self {
            tcp: pool("tcp_mem")?,
            udp: pool("udp_mem")?,
        })
    }

    fn both(self) -> u64 {
        self.tcp.saturating_add(self.udp)
    }
}

/// The last of three numbers of pages, in bytes.
fn largest(text: &str) -> Option<u64> {
    let pages: u64 = text.split_whitespace().nth(2)?.parse().ok()?;
    let page = u64::try_from(page_size()).ok()?;
    Some(pages.saturating_mul(page))
}

/// Memory that sandboxes may use by their limits, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// One.
    one: u64,
    /// All, at the limit of sandboxes.
    all: u64,
}

/// Memory that sandboxes can hold in sockets over loopback. `None` if their runtime has a separate
/// network stack.
pub async fn sockets(
    engine: &Engine,
    config: &Config,
    sandbox: &SandboxSettings,
) -> Option<Finding> {
    // `host` already reports that it does not answer.
    let host = engine.capabilities().await.ok()?;
    // Without a limit of memory there is no sandbox.
    let is_gvisors = sandbox.profile == Profile::High || is_other_kernel(&host.default_runtime);
    if is_gvisors || !host.memory_limit {
        return None;
    }
    let one = sandbox.memory.0;
    let memory = Memory {
        one,
        all: one.saturating_mul(config.max_sandboxes.into()),
    };
    let pools = match host.is_on_this_machine() {
        true => SocketPools::read(),
        false => None,
    };
    Some(judge(&host, memory, pools))
}

fn judge(host: &Capabilities, memory: Memory, pools: Option<SocketPools>) -> Finding {
    let charged = host.cgroup_version > 1;
    let Some(pools) = pools else {
        let said = "net.ipv4.tcp_mem and net.ipv4.udp_mem cannot be seen from here";
        let also = match charged {
            true => "sandboxes that fill them slow down the host's own connections",
            false => "cgroup v1 limits nothing else of what a sandbox holds in sockets",
        };
        return Finding::note("sockets", format!("{said}: {also}"));
    };
    if charged {
        shared(memory, pools)
    } else {
        uncharged(memory, pools)
    }
}

/// On cgroup v1 the data in sockets is not part of the limit.
fn uncharged(memory: Memory, pools: SocketPools) -> Finding {
    let said = format!(
        "cgroup v1 charges TCP and UDP to no sandbox: in addition to the {} that the limits allow all sandboxes, \
         a single one can hold {} of the host in sockets",
        show(memory.all),
        show(pools.both())
    );
    let bound = memory.one.max(LEAST_SOCKETS);
    if pools.both() <= bound {
        return Finding::note("sockets", said);
    }
    Finding::warning("sockets", said).fix(format!(
        "boot with cgroup v2, which charges them; until then `{}` bounds them to {}, for the whole host",
        sysctl(bound / 2),
        show(bound)
    ))
}

/// On cgroup v2 they are part of the limit, but the pool is still the host's.
fn shared(memory: Memory, pools: SocketPools) -> Finding {
    let least = pools.tcp.min(pools.udp);
    let said = format!(
        "TCP may hold {} of the host, UDP {}; a sandbox's part is within its {}",
        show(pools.tcp),
        show(pools.udp),
        show(memory.one)
    );
    if memory.one >= least {
        let said = format!("{said}, so that one can fill a pool and slow down all connections");
        let enough = memory.one.saturating_mul(2);
        let fix = format!("`{}`, or give sandboxes less memory", sysctl(enough));
        return Finding::warning("sockets", said).fix(fix);
    }
    if memory.all >= least {
        let sandboxes = least.div_ceil(memory.one.max(1));
        let said = format!("{said}; {sandboxes} at their limit can fill a pool");
        return Finding::note("sockets", said);
    }
    Finding::ok("sockets", said)
}

/// The command that gives each of the two pools this many bytes, in the kernel's proportions: no
/// pressure below a half, pressure from two thirds on (`tcp_init_mem` in net/ipv4/tcp.c).
fn sysctl(bytes: u64) -> String {
    let pages = bytes / u64::try_from(page_size()).unwrap_or(4096);
    let three = format!("{} {} {pages}", pages / 2, pages / 3 * 2);
    format!("sysctl -w net.ipv4.tcp_mem='{three}' net.ipv4.udp_mem='{three}'")
}

/// `open` of the pseudo-terminals of the host, of which it keeps `reserved` of `most` for itself:
/// kernel.pty.nr, kernel.pty.reserve and kernel.pty.max, which are the same inside a container.
pub fn terminals(open: u64, reserved: u64, most: u64) -> Finding {
    let for_containers = most.saturating_sub(reserved);
    let said = format!(
        "{open} of the {for_containers} pseudo-terminals that all containers of the host share are open"
    );
    if open > for_containers / 2 {
        let fix = "`casemate exec USER -- 'ls /dev/pts'` shows those of a sandbox, `casemate rm USER` ends it; \
                    `sysctl -w kernel.pty.max=65536` makes room";
        return Finding::warning("terminals", said).fix(fix);
    }
    Finding::ok(
        "terminals",
        format!("{said} (one sandbox can open them all)"),
    )
}

#[cfg(test)]
#[path = "pools_tests.rs"]
mod tests;
