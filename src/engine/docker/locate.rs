//! Where the Engine is.
//!
//! `DOCKER_HOST` alone, if it is set. Otherwise the docker
//! CLI's context (`DOCKER_CONTEXT`, then `currentContext` of its
//! `config.json`). Otherwise the first of the usual sockets that we may open.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::endpoint::{Endpoint, TLS};
use crate::engine::address::EngineAddress;
use crate::engine::error::EngineError;
use crate::engine::hex::hex;

/// The socket of an Engine that runs as root.
const SYSTEM_SOCKET: &str = "/var/run/docker.sock";

/// Finds the Engine of this machine's user. `env` looks up an environment variable.
///
/// # Errors
/// [`EngineError::Address`] for an address or a context that cannot be used,
/// [`EngineError::NotFound`] with all that was tried.
pub fn locate(env: &dyn Fn(&str) -> Option<String>) -> Result<EngineAddress, EngineError> {
    locate_with(env, &probe)
}

/// The state of the path of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Usable,
    Forbidden,
    Absent,
}

fn locate_with(
    env: &dyn Fn(&str) -> Option<String>,
    probe: &dyn Fn(&Path) -> Socket,
) -> Result<EngineAddress, EngineError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(uri) = env("DOCKER_HOST") {
        let tls = env("DOCKER_TLS_VERIFY").is_some() || env("DOCKER_TLS").is_some();
        return checked(uri, "DOCKER_HOST".to_owned(), tls);
    }
    let home = env("HOME").map(PathBuf::from);
    let config = env("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or(home.as_ref().map(|home| home.join(".docker")));
    if let Some(config) = config
        && let Some(context) = current_context(env("DOCKER_CONTEXT"), &config)?
    {
        return context_address(&context, &config);
    }
    usual_socket(
        home.as_deref(),
        env("XDG_RUNTIME_DIR").as_deref().map(Path::new),
        probe,
    )
}

fn checked(uri: String, found_by: String, tls: bool) -> Result<EngineAddress, EngineError> {
    let refuse = |reason| EngineError::Address {
        address: uri.clone(),
        found_by: found_by.clone(),
        reason,
    };
    match Endpoint::parse(&uri).map_err(refuse)? {
        Endpoint::Tcp(_) if tls => Err(refuse(TLS.to_owned())),
        _ => Ok(EngineAddress { uri, found_by }),
    }
}

/// The docker CLI's configuration, as far as it matters here.
#[derive(Deserialize)]
struct CliConfig {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

/// One stored context (docker/cli, `cli/context/store/doc.go`).
#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: MetaEndpoints,
}

#[derive(Deserialize)]
struct MetaEndpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// The context in use, unless it is `default`, which means the usual socket.
fn current_context(given: Option<String>, config: &Path) -> Result<Option<String>, EngineError> {
    let name = match given {
        Some(name) => name,
        None => {
            let path = config.join("config.json");
            match fs::read(&path) {
                Ok(text) => parse::<CliConfig>(&path, &text)?.current_context,
                Err(_) => return Ok(None),
            }
        }
    };
    Ok(Some(name).filter(|name| !name.is_empty() && name != "default"))
}

fn context_address(context: &str, config: &Path) -> Result<EngineAddress, EngineError> {
    let key = hex(&Sha256::digest(context));
    let contexts = config.join("contexts");
    let path = contexts.join("meta").join(&key).join("meta.json");
    let text = fs::read(&path).map_err(|error| {
        unusable(
            &path,
            format!("the docker context {context} cannot be read: {error}"),
        )
    })?;
    let host = parse::<ContextMeta>(&path, &text)?.endpoints.docker.host;
    let tls = contexts.join("tls").join(&key).join("docker").exists();
    checked(host, format!("docker context {context}"), tls)
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, text: &'a [u8]) -> Result<T, EngineError> {
    serde_json::from_slice(text)
        .map_err(|error| unusable(path, format!("it cannot be understood: {error}")))
}

fn unusable(path: &Path, reason: String) -> EngineError {
    EngineError::Address {
        address: path.display().to_string(),
        found_by: "the docker CLI's configuration".to_owned(),
        reason: format!("{reason}; fix it with `docker context use default`, or set DOCKER_HOST"),
    }
}

fn usual_socket(
    home: Option<&Path>,
    runtime_dir: Option<&Path>,
    probe: &dyn Fn(&Path) -> Socket,
) -> Result<EngineAddress, EngineError> {
    let in_home = |path: &str| home.map(|home| home.join(path));
    let candidates = [
        Some(PathBuf::from(SYSTEM_SOCKET)),
        in_home(".docker/run/docker.sock"),
        runtime_dir.map(|dir| dir.join("docker.sock")),
        in_home(".docker/desktop/docker.sock"),
        in_home(".colima/default/docker.sock"),
        in_home(".rd/docker.sock"),
    ];
    let mut tried = Vec::new();
    for path in candidates.into_iter().flatten() {
        match probe(&path) {
            Socket::Usable => {
                let uri = format!("unix://{}", path.display());
                return Ok(EngineAddress {
                    uri,
                    found_by: "the usual socket".to_owned(),
                });
            }
            Socket::Forbidden => tried.push(format!(
                "{} may not be opened by this user (add them to the group docker)",
                path.display()
            )),
            Socket::Absent => tried.push(format!("{} is not there", path.display())),
        }
    }
    Err(EngineError::NotFound {
        tried: tried.join(", "),
    })
}

/// Does not connect: an Engine that is about to start is found too.
/// Opening a socket as a file always fails, but the error shows whether we have permission.
fn probe(path: &Path) -> Socket {
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            match fs::OpenOptions::new().read(true).write(true).open(path) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Socket::Forbidden,
                _ => Socket::Usable,
            }
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Socket::Forbidden,
        _ => Socket::Absent,
    }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
