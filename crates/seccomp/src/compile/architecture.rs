//! The architectures that have filters, and the errors of the compilation.

use std::ops::RangeInclusive;
use std::str::FromStr;

use seccompiler::TargetArch;

/// Why there is no filter: a mistake in the data, which the build shows.
#[derive(Debug)]
pub enum CompileError {
    /// Neither x86_64 nor aarch64.
    Architecture(String),
    /// The profile does not have the expected form.
    Profile(String),
    /// An error of the compiler.
    Backend(seccompiler::BackendError),
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Architecture(name) => write!(f, "no filters for the architecture {name}"),
            Self::Profile(why) => write!(f, "the seccomp profile: {why}"),
            Self::Backend(error) => write!(f, "seccompiler: {error}"),
        }
    }
}

impl std::error::Error for CompileError {}

impl From<seccompiler::BackendError> for CompileError {
    fn from(error: seccompiler::BackendError) -> Self {
        Self::Backend(error)
    }
}

/// Calls of 32-bit kernels, which the crate has in its table for aarch64 too.
const TIME64: RangeInclusive<usize> = 403..=423;

/// What the filters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl FromStr for Architecture {
    type Err = CompileError;

    /// By its name in Rust (`CARGO_CFG_TARGET_ARCH`).
    fn from_str(name: &str) -> Result<Self, CompileError> {
        match name {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => Err(CompileError::Architecture(other.to_owned())),
        }
    }
}

impl Architecture {
    pub(super) fn target(self) -> TargetArch {
        match self {
            Self::X86_64 => TargetArch::x86_64,
            Self::Aarch64 => TargetArch::aarch64,
        }
    }

    /// `AUDIT_ARCH_*`, by which the kernel names the ABI of a call.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// As the profile names it.
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The number of a system call; `None` where the architecture has no such call.
    pub fn number(self, call: &str) -> Option<u32> {
        let number = match self {
            Self::X86_64 => call.parse().map(|call: syscalls::x86_64::Sysno| call.id()),
            Self::Aarch64 => {
                // The crate has the name of the manual page, all others that of the kernel.
                let call = if call == "newfstatat" {
                    "fstatat"
                } else {
                    call
                };
                call.parse().map(|call: syscalls::aarch64::Sysno| call.id())
            }
        };
        u32::try_from(number.ok()?).ok()
    }

    /// Whether there is a call of this number.
    pub(super) fn has(self, number: u32) -> bool {
        let Ok(number) = usize::try_from(number) else {
            return false;
        };
        match self {
            Self::X86_64 => syscalls::x86_64::Sysno::new(number).is_some(),
            Self::Aarch64 => {
                !TIME64.contains(&number) && syscalls::aarch64::Sysno::new(number).is_some()
            }
        }
    }
}
