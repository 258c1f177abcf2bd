use std::collections::HashMap;
use std::fs;

use super::*;
use crate::engine::docker::testing::TempDir;

fn with(
    variables: &[(&str, &str)],
    sockets: &[(&str, Socket)],
) -> Result<EngineAddress, EngineError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let sockets: HashMap<_, _> = sockets.iter().copied().collect();
    let env = |name: &str| variables.get(name).map(|&value| value.to_owned());
    let probe = |path: &Path| {
        path.to_str()
            .and_then(|path| sockets.get(path))
            .copied()
            .unwrap_or(Socket::Absent)
    };
    locate_with(&env, &probe)
}

/// A docker CLI's configuration with one context, which is current.
fn context(host: &str) -> TempDir {
    let dir = TempDir::new();
    let meta = dir
        .path()
        .join("contexts/meta")
        .join(hex(&Sha256::digest("mine")));
    fs::create_dir_all(&meta).unwrap();
    let text = format!(
        r#"{{"Name":"mine","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
    );
    fs::write(meta.join("meta.json"), text).unwrap();
    fs::write(
        dir.path().join("config.json"),
        r#"{"auths":{},"currentContext":"mine"}"#,
    )
    .unwrap();
    dir
}

const ALL: &[(&str, Socket)] = &[(SYSTEM_SOCKET, Socket::Usable)];

#[test]
fn docker_host_counts_and_then_nothing_else() {
    let dir = context("unix:///from/context.sock");
    let config = dir.path().to_str().unwrap();
    let host = [
        ("DOCKER_CONFIG", config),
        ("DOCKER_HOST", "tcp://127.0.0.1:2375"),
    ];
    let found = with(&host, ALL).unwrap();
    assert_eq!(
        (found.uri.as_str(), found.found_by.as_str()),
        ("tcp://127.0.0.1:2375", "DOCKER_HOST")
    );

    let broken = [("DOCKER_CONFIG", config), ("DOCKER_HOST", "nonsense")];
    assert!(matches!(
        with(&broken, ALL),
        Err(EngineError::Address { .. })
    ));
}

#[test]
fn an_empty_variable_is_not_set() {
    let found = with(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")], ALL).unwrap();
    assert_eq!(found.uri, "unix:///var/run/docker.sock");
}

#[test]
fn the_context_of_the_docker_cli_comes_before_the_sockets() {
    let dir = context("unix:///from/context.sock");
    let config = ("DOCKER_CONFIG", dir.path().to_str().unwrap());
    let found = with(&[config], ALL).unwrap();
    assert_eq!(found.uri, "unix:///from/context.sock");
    assert_eq!(found.found_by, "docker context mine");

    let default = with(&[config, ("DOCKER_CONTEXT", "default")], ALL).unwrap();
    assert_eq!(default.uri, "unix:///var/run/docker.sock");

    let error = with(&[config, ("DOCKER_CONTEXT", "gone")], ALL).unwrap_err();
    assert!(error.to_string().contains("context gone"), "{error}");
}

#[test]
fn a_context_with_certificates_is_refused() {
    let dir = context("tcp://engine:2376");
    let tls = dir
        .path()
        .join("contexts/tls")
        .join(hex(&Sha256::digest("mine")))
        .join("docker");
    fs::create_dir_all(tls).unwrap();
    let error = with(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())], ALL).unwrap_err();
    assert!(
        error.to_string().contains("TLS is not supported yet"),
        "{error}"
    );
}

#[test]
fn a_broken_configuration_is_named() {
    let dir = TempDir::new();
    fs::write(dir.path().join("config.json"), "{").unwrap();
    let error = with(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())], ALL).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
}

#[test]
fn the_first_socket_that_may_be_opened_is_taken() {
    let env = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/1")];
    let order = [
        SYSTEM_SOCKET,
        "/h/.docker/run/docker.sock",
        "/run/user/1/docker.sock",
        "/h/.docker/desktop/docker.sock",
        "/h/.colima/default/docker.sock",
        "/h/.rd/docker.sock",
    ];
    for first in 0..order.len() {
        let sockets: Vec<_> = order
            .iter()
            .enumerate()
            .map(|(i, &path)| {
                (
                    path,
                    if i < first {
                        Socket::Forbidden
                    } else {
                        Socket::Usable
                    },
                )
            })
            .collect();
        assert_eq!(
            with(&env, &sockets).unwrap().uri,
            format!("unix://{}", order[first])
        );
    }
}

#[test]
fn without_any_the_error_lists_what_was_tried_and_what_to_do() {
    let error = with(&[("HOME", "/h")], &[(SYSTEM_SOCKET, Socket::Forbidden)]).unwrap_err();
    let text = error.to_string();
    for part in [
        "group docker",
        "/h/.colima/default/docker.sock is not there",
        "DOCKER_HOST",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn addresses_are_taken_or_refused_with_a_reason() {
    let tcp = |host: &str| Ok(Endpoint::Tcp(host.to_owned()));
    for (uri, wanted) in [
        ("unix:///a/b", Ok(Endpoint::Unix("/a/b".into()))),
        ("tcp://h:1", tcp("h:1")),
        ("tcp://h", tcp("h:2375")),
        ("http://h:1/", tcp("h:1")),
        ("tcp://[::1]", tcp("[::1]:2375")),
        ("tcp://[::1]:1", tcp("[::1]:1")),
        ("unix://a", Err("not absolute")),
        ("tcp://", Err("host:port")),
        ("tcp://h:1/prefix", Err("host:port")),
        ("https://h", Err("TLS")),
        ("ssh://me@h", Err("ssh is not supported yet")),
        (
            "npipe:////./pipe/docker_engine",
            Err("npipe is not supported"),
        ),
        ("/var/run/docker.sock", Err("no scheme")),
    ] {
        match (Endpoint::parse(uri), wanted) {
            (found, Ok(wanted)) => assert_eq!(found, Ok(wanted), "{uri}"),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{uri}: {reason}"),
            (found, Err(_)) => panic!("{uri} was read as {found:?}"),
        }
    }
}

#[test]
fn tls_by_variable_is_refused_over_tcp_alone() {
    for variable in ["DOCKER_TLS_VERIFY", "DOCKER_TLS"] {
        let tcp = [("DOCKER_HOST", "tcp://h:2376"), (variable, "1")];
        assert!(matches!(with(&tcp, ALL), Err(EngineError::Address { .. })));
        let unix = [("DOCKER_HOST", "unix:///a"), (variable, "1")];
        assert!(with(&unix, ALL).is_ok());
    }
}

#[test]
fn a_socket_is_seen_and_a_file_is_none() {
    let dir = TempDir::new();
    let socket = dir.path().join("s");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    assert_eq!(probe(&socket), Socket::Usable);
    assert_eq!(probe(&dir.path().join("f")), Socket::Absent);
    assert_eq!(probe(&dir.path().join("gone")), Socket::Absent);
}
