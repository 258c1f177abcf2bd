//! An `os.networkInterfaces()` for Node.js in every sandbox that works without netlink sockets,
//! which the seccomp profile refuses. `netif.cjs` explains how.

/// The directory of the script in a prepared image, readable for all users.
pub(super) const DIRECTORY: &str = "/casemate";

/// Where the script is.
pub(super) const NETIF_PATH: &str = "/casemate/netif.cjs";

/// The script.
pub(super) const NETIF: &str = include_str!("netif.cjs");

/// The variable by which every Node.js since version 8 loads it. It is set whether or not the image
/// has a `node`: the user may install one later (npm, nvm, a venv), and other programs ignore it.
pub(super) const VARIABLE: &str = "NODE_OPTIONS";

/// The variable's value.
pub(super) fn options() -> String {
    format!("--require={NETIF_PATH}")
}
