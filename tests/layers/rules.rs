//! The rules: which module may use which, and what only some places may name. To change the architecture,
//! change these.

/// What the modules of the crate's root may use of each other. One that is not
/// in here has no place yet.
pub const LAYERS: [(&str, &str); 19] = [
    ("main", "cli"),
    (
        "cli",
        "http stdio ops tools shares api sandbox snapshot provision channel engine config identity workspace audit meter",
    ),
    (
        "http",
        "tools ops shares api sandbox channel engine config identity workspace audit meter",
    ),
    (
        "stdio",
        "tools shares api sandbox channel engine config identity workspace audit meter",
    ),
    (
        "tools",
        "shares api sandbox channel engine config identity workspace audit meter",
    ),
    ("shares", "sandbox config identity workspace"),
    (
        "api",
        "sandbox egress channel engine config identity workspace audit meter",
    ),
    (
        "ops",
        "sandbox snapshot provision engine config identity workspace audit meter",
    ),
    (
        "sandbox",
        "provision egress channel engine config identity workspace audit meter",
    ),
    (
        "snapshot",
        "provision channel engine config identity workspace meter",
    ),
    (
        "provision",
        "egress channel engine config identity workspace meter",
    ),
    ("egress", ""),
    ("channel", "engine config identity workspace meter"),
    ("engine", "config identity workspace meter"),
    ("config", "identity workspace"),
    ("identity", "workspace"),
    ("workspace", ""),
    ("audit", "identity meter"),
    ("meter", ""),
];

/// What one file may use besides, and why.
pub const EXCEPTIONS: [(&str, &str, &str); 2] = [
    (
        "src/sandbox/unused.rs",
        "snapshot",
        "a call that needs another workspace looks into those that may go",
    ),
    (
        "src/sandbox/snapshots.rs",
        "snapshot",
        "ops gets its handle on a whole workspace from sandbox::Manager",
    ),
];

/// What only some places may name, where those begin, and why no other may. A
/// single word is looked for in all code, a path among the paths.
pub const NAMES: [(&str, &str, &str); 13] = [
    (
        "bollard",
        "src/engine/docker. src/engine/docker/ crates/init/",
        "only Docker's backend speaks to Docker",
    ),
    ("kube", KUBERNETES, "only its backend speaks to Kubernetes"),
    (
        "k8s_openapi",
        KUBERNETES,
        "only its backend speaks to Kubernetes",
    ),
    (
        "rmcp",
        "src/tools. src/tools/ src/stdio. src/stdio/ src/http. src/http/ crates/init/",
        "only what faces clients speaks MCP",
    ),
    ("unsafe", "crates/init/", "the server has no unsafe code"),
    (
        "spawn_blocking",
        "src/",
        "it hangs at the limit of processes (tokio#2309)",
    ),
    (
        "tokio::fs",
        "src/",
        "its blocking pool hangs at the limit of processes",
    ),
    ("tokio::process", "src/", "PID 1 has one owner of waitid"),
    ("env::var", ENVIRONMENT, "only config reads the environment"),
    (
        "env::var_os",
        ENVIRONMENT,
        "only config reads the environment",
    ),
    (
        "env::vars",
        ENVIRONMENT,
        "only config reads the environment",
    ),
    (
        "env::vars_os",
        ENVIRONMENT,
        "only config reads the environment",
    ),
    ("env::*", ENVIRONMENT, "only config reads the environment"),
];

const KUBERNETES: &str = "src/engine/kubernetes. src/engine/kubernetes/ crates/init/";

/// Tests may have a switch for the developer.
pub const ENVIRONMENT: &str = "src/config. src/config/ crates/init/";

/// Under another name, or by `*`, what they hold could not be followed.
pub const ROOTS: [&str; 5] = ["crate", "casemate", "std", "std::env", "tokio"];
