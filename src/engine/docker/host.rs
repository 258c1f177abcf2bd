//! What this machine sees of the Engine's host: its disk, and whether its directories are ours.

use super::DockerEngine;
use crate::engine::address::EngineAddress;
use crate::engine::capabilities::Capabilities;
use crate::engine::error::EngineError;

impl DockerEngine {
    /// Free bytes on the Engine's disk; `None` where this machine cannot see it. A directory of the
    /// same name is no proof: one may be left of an Engine that ran here before Docker Desktop.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn disk_free(&self) -> Result<Option<u64>, EngineError> {
        let capabilities = self.capabilities().await?;
        if !has_these_files(self.address(), &capabilities) || capabilities.root_dir.is_empty() {
            return Ok(None);
        }
        let disk = rustix::fs::statvfs(&capabilities.root_dir).ok();
        Ok(disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    /// Why a directory of this machine cannot be a workspace; `None`: it can.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn bind_refusal(&self) -> Result<Option<&'static str>, EngineError> {
        Ok(bind_refusal(self.address(), &*self.capabilities().await?))
    }
}

/// Whether the files of this machine are the Engine's. A socket of this machine may lead to another
/// one, where a directory of the same name may be anybody's.
fn has_these_files(address: &EngineAddress, capabilities: &Capabilities) -> bool {
    address.uri.starts_with("unix://") && capabilities.is_on_this_machine()
}

/// Whether this Engine shares its files with this machine, under the same ids.
fn bind_refusal(address: &EngineAddress, capabilities: &Capabilities) -> Option<&'static str> {
    if !has_these_files(address, capabilities) {
        Some("is on another machine, perhaps a virtual one")
    } else if capabilities.rootless {
        Some("is rootless")
    } else if capabilities.user_namespaces {
        Some("maps users into a namespace")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemInfo;

    use super::*;

    /// An Engine that runs on this machine's kernel, as root.
    fn local() -> Capabilities {
        let here = rustix::system::uname();
        let text = |it: &std::ffi::CStr| Some(it.to_string_lossy().into_owned());
        Capabilities::from(SystemInfo {
            name: text(here.nodename()),
            kernel_version: text(here.release()),
            ..SystemInfo::default()
        })
    }

    /// The socket of Docker Desktop, Colima, or one that ssh forwards is a file of this machine.
    #[test]
    fn an_engine_that_has_other_files_or_other_ids_is_refused() {
        let refusal = |uri: &str, capabilities: Capabilities| {
            let address = EngineAddress {
                uri: uri.to_owned(),
                found_by: String::new(),
            };
            bind_refusal(&address, &capabilities)
        };
        let socket = "unix:///var/run/docker.sock";
        assert_eq!(refusal(socket, local()), None);
        let elsewhere = Some("is on another machine, perhaps a virtual one");
        assert_eq!(refusal("tcp://127.0.0.1:2375", local()), elsewhere);
        let mut virtual_machine = local();
        virtual_machine.host_name = "docker-desktop".to_owned();
        assert_eq!(refusal(socket, virtual_machine), elsewhere);
        let mut rootless = local();
        rootless.rootless = true;
        assert_eq!(refusal(socket, rootless), Some("is rootless"));
        let mut mapped = local();
        mapped.user_namespaces = true;
        assert_eq!(refusal(socket, mapped), Some("maps users into a namespace"));
    }
}
