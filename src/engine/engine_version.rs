//! Which program answers, and of which version it and its components are.

use super::kind::EngineKind;

/// The Engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// The program that answers.
    pub kind: EngineKind,
    /// The Engine's own version: `20.10.24`.
    pub version: String,
    /// The newest version of the API that it speaks: `1.41`.
    pub api: String,
    /// Its operating system: `linux`.
    pub os: String,
    /// Its architecture, in Go's words: `amd64`.
    pub arch: String,
    /// Its kernel.
    pub kernel: String,
    /// Its components. It names only its default runtime's, and leaves out components without a
    /// known version.
    pub components: Vec<Component>,
}

/// A component of an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `runc`, `containerd`.
    pub name: String,
    /// Its version: `1.1.5+ds1`.
    pub version: String,
    /// The version of the distribution's package, if the build reports it:
    /// `1.1.5+ds1-1+deb12u1`.
    pub package: Option<String>,
}
