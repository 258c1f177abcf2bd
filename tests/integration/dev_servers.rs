//! Development servers from npm and PyPI: each starts in a sandbox and answers a request over
//! loopback. They are uploaded, as a user's project is.

mod browser;

use std::path::Path;
use std::process::Stdio;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use crate::harness::{CallResult, HttpServer, TestServer, clients};
use crate::http_files::client::stream_up;
use crate::node;

/// Seconds for a command; what `answers.py` waits for takes at most 70.
const TIMEOUT: u32 = 85;

/// Left out of the archive: parts of packages that no server reads, which are a third of their
/// size, and a `node` that would hide the image's.
const LEFT_OUT: [&str; 5] = [
    "*.map",
    "node-*/include",
    "node-*/lib",
    "node-*/share",
    "node_modules/.bin/node",
];

/// Where programs are looked for, from a directory of `tests/servers`: npm's, run by the Node.js of
/// the image or by a newer one that the user brings, and pip's.
const NPM: &str = "$PWD/../node_modules/.bin";
const NPM_NEW: &str = "$(echo $PWD/../node_modules/node-new-*/bin):$PWD/../node_modules/.bin";
const PIP: &str = "$PWD/../env/bin";

/// Installs the packages from PyPI.
const INSTALL: &str = "python3 -m venv env && env/bin/pip install --quiet --no-index --find-links . \
                       --no-deps --no-compile --requirement requirements.txt";

/// A server, and the request for it.
struct DevServer {
    programs: &'static str,
    /// The directory below `tests/servers` that it is started in.
    directory: &'static str,
    command: &'static str,
    url: &'static str,
    /// Expected in the answer.
    text: &'static str,
}

const HTTP_SERVER: DevServer = DevServer {
    programs: NPM,
    directory: "static",
    command: "http-server -p 8080",
    url: "http://127.0.0.1:8080/",
    text: "a page of files",
};

const SERVE: DevServer = DevServer {
    programs: NPM,
    directory: "static",
    command: "serve --listen 3001",
    url: "http://127.0.0.1:3001/",
    text: "a page of files",
};

const VITE: DevServer = DevServer {
    programs: NPM_NEW,
    directory: "vite",
    command: "vite --host --port 5173",
    url: "http://127.0.0.1:5173/",
    text: "vite serves this",
};

const WEBPACK: DevServer = DevServer {
    programs: NPM_NEW,
    directory: "webpack",
    command: "webpack serve --host 0.0.0.0 --port 8081",
    url: "http://127.0.0.1:8081/main.js",
    text: "webpack serves this",
};

const NEXT: DevServer = DevServer {
    programs: NPM_NEW,
    directory: "next",
    command: "next dev --hostname 0.0.0.0 --port 3000",
    url: "http://127.0.0.1:3000/",
    text: "next serves this",
};

const FLASK: DevServer = DevServer {
    programs: PIP,
    directory: "flask",
    command: "flask --app app run --host 0.0.0.0 --port 5000",
    url: "http://localhost:5000/",
    text: "flask serves this",
};

const JUPYTER: DevServer = DevServer {
    programs: PIP,
    directory: "jupyter",
    command: "jupyter server --no-browser --ip 0.0.0.0 --port 8888 --IdentityProvider.token=",
    url: "http://localhost:8888/api/status",
    text: "\"kernels\"",
};

/// A sandbox with `files` of `tests/servers` in /workspace/servers; `None` where setup-clients
/// could not install `packages`, which are there too.
async fn sandbox(server: TestServer, packages: &str, files: &[&str]) -> Option<HttpServer> {
    let installed = clients::installed(packages)?;
    // The default limits of memory and processes are enough.
    let server = server.env("CASEMATE_CPUS", "2").start_http().await;
    let mut tar = Command::new("tar");
    tar.arg("--create")
        .args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")))
        .arg("--directory")
        .arg(&installed)
        .arg(if packages == "wheels" {
            "."
        } else {
            "node_modules"
        })
        .arg("--directory")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers"))
        .args(files);
    upload(&server, &mut tar).await;
    Some(server)
}

/// Stores what a command writes, an archive, without keeping it.
async fn upload(server: &HttpServer, tar: &mut Command) {
    let tar = tar.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tar = tar.kill_on_drop(true).spawn().expect("tar starts");
    let archive = ReaderStream::new(tar.stdout.take().expect("stdout"));
    let archive = archive.map(|chunk| chunk.expect("tar's output"));
    let path = "/files/content/servers?unpack=tar";
    let reply = stream_up(server, "PUT", path, &[], archive).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(tar.wait().await.expect("it ends").success());
}

async fn shell(server: &HttpServer, command: &str, env: &Value) -> CallResult {
    let arguments = json!({
        "command": command, "cwd": "servers", "env": env,
        "timeout_seconds": TIMEOUT, "wait_seconds": TIMEOUT,
    });
    let result = server.call("shell_exec", arguments).await;
    assert_eq!(result.exit_code(), 0, "{command}: {}", result.0);
    result
}

/// Starts it in the sandbox, and returns the output of `tests/servers/answers.py`.
async fn try_out(server: &HttpServer, tried: &DevServer, text: &str, env: &Value) -> Value {
    let DevServer {
        programs,
        directory,
        command,
        url,
        ..
    } = tried;
    let command = format!(
        "cd {directory} && PATH=\"{programs}:$PATH\" python3 ../answers.py {url} '{text}' {command}"
    );
    let result = shell(server, &command, env).await;
    serde_json::from_str(result.stdout()).expect("JSON")
}

async fn answers(server: &HttpServer, tried: &DevServer) {
    // Next.js would ask about telemetry.
    let env = json!({ "NEXT_TELEMETRY_DISABLED": "1" });
    let tried_out = try_out(server, tried, tried.text, &env).await;
    let command = tried.command;
    assert_eq!(tried_out["answered"], true, "{command}: {tried_out}");
    assert_eq!(tried_out["ended"], Value::Null, "{command}: {tried_out}");
}

/// Without /casemate/netif.cjs they fail, because the interfaces cannot be listed.
async fn dies_without_netif(server: &HttpServer, tried: &DevServer) {
    let env = json!({ "NODE_OPTIONS": "" });
    let tried_out = try_out(server, tried, "no page has this", &env).await;
    let ended = tried_out["ended"].as_i64();
    let said = tried_out["said"].as_str().expect("text");
    assert!(ended.is_some_and(|code| code != 0), "{tried_out}");
    assert!(said.contains("uv_interface_addresses"), "{tried_out}");
}

#[tokio::test]
async fn servers_from_npm_start_and_answer() {
    // Next.js looks for the root of a project by its lock.
    let files = [
        "package.json",
        "package-lock.json",
        "answers.py",
        "static",
        "vite",
        "webpack",
        "next",
    ];
    let Some(server) = sandbox(TestServer::new(), "servers", &files).await else {
        return;
    };
    for tried in [HTTP_SERVER, SERVE, VITE, WEBPACK, NEXT] {
        answers(&server, &tried).await;
    }
    for tried in [HTTP_SERVER, SERVE, VITE] {
        dies_without_netif(&server, &tried).await;
    }
    let has_ipv6 = server.shell(node::BINDS_IPV6).await.exit_code() == 0;
    for version in ["old", "new"] {
        let path = format!("PATH=$(echo $PWD/node_modules/node-{version}-*/bin):$PATH");
        let result = shell(
            &server,
            &format!("{path}\n{}", node::EVERYWHERE),
            &json!({}),
        )
        .await;
        let wanted = vec![node::loopback(has_ipv6); node::ANSWERS];
        assert_eq!(node::answers(&result), wanted, "{version}: {}", result.0);
    }
}

#[tokio::test]
async fn servers_from_pypi_start_and_answer() {
    let files = ["answers.py", "requirements.txt", "flask", "jupyter"];
    let Some(server) = sandbox(TestServer::new(), "wheels", &files).await else {
        return;
    };
    shell(&server, INSTALL, &json!({})).await;
    for tried in [FLASK, JUPYTER] {
        answers(&server, &tried).await;
    }
    // Server, kernel and client talk over loopback.
    let kernel = "cd jupyter && ../env/bin/jupyter execute notebook.ipynb && cat answer";
    assert_eq!(shell(&server, kernel, &json!({})).await.stdout(), "42");
}
