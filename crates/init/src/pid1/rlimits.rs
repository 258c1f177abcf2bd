//! Limits of each process that PID 1 sets itself, where the Engine sets none, as on Kubernetes. They
//! hold for all that it starts, and nobody in the container may raise them.

use std::io;

use casemate_protocol::Confinement;
use rustix::process::{Resource, Rlimit, setrlimit};

/// A resource and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimit {
    resource: Resource,
    limit: u64,
}

impl ResourceLimit {
    /// From `name:number`, by the Engine's names. `nproc` counts all processes of the user on the
    /// host, so it takes a uid that no other user has.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, limit) = text.split_once(':')?;
        let resource = match name {
            "core" => Resource::Core,
            "fsize" => Resource::Fsize,
            "memlock" => Resource::Memlock,
            "nofile" => Resource::Nofile,
            "nproc" => Resource::Nproc,
            _ => return None,
        };
        let limit = limit.parse().ok()?;
        Some(Self { resource, limit })
    }

    /// Whether the cgroup limits the same, and as low.
    fn is_there(self, confinement: &Confinement) -> bool {
        let pids = confinement.pids;
        self.resource == Resource::Nproc && pids.is_some_and(|pids| pids <= self.limit)
    }
}

/// Sets them.
///
/// # Errors
/// The kernel refuses: the container has lower ones.
pub fn set(limits: &[ResourceLimit], confinement: &Confinement) -> io::Result<()> {
    for limit in limits.iter().filter(|limit| !limit.is_there(confinement)) {
        let both = Some(limit.limit);
        let value = Rlimit {
            current: both,
            maximum: both,
        };
        setrlimit(limit.resource, value).map_err(|error| {
            io::Error::other(format!("{:?} {}: {error}", limit.resource, limit.limit))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn a_limit_is_set_and_the_number_of_processes_only_where_the_cgroup_has_none() {
        let limit = |text: &str| ResourceLimit::parse(text).expect("a limit");
        for wrong in ["", "nproc", "nproc:", "nproc:-1", "stack:1", "core:x"] {
            assert_eq!(ResourceLimit::parse(wrong), None, "{wrong}");
        }
        let with = |pids| Confinement {
            pids,
            ..Confinement::default()
        };
        let processes = limit("nproc:256");
        assert!(processes.is_there(&with(Some(256))));
        assert!(!processes.is_there(&with(Some(257))) && !processes.is_there(&with(None)));
        assert!(!limit("core:0").is_there(&with(Some(1))));
        set(&[limit("core:0")], &with(None)).expect("set");
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
