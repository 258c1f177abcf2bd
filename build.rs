//! Builds casemate-init, which is embedded in the server and runs in every
//! container: static, for size and speed, with any profile of the server, because what is tested is
//! what ships. Only the demo has a faster build, which saves a minute.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    for input in [
        "crates/egress",
        "crates/init",
        "crates/protocol/src",
        "crates/seccomp",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={input}");
    }
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let target = init_target(&arch)?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    // One build for all profiles, lints and tests, in a separate folder: cargo
    // holds the lock of the one it works in.
    let folder = out
        .ancestors()
        .find(|folder| folder.ends_with("build"))
        .and_then(|build| build.parent()?.parent())
        .map_or_else(|| out.join("init"), |target| target.join("init-build"));
    let profile = init_profile(&out);
    build(&target, profile, &folder)?;
    let binary = folder.join(&target).join(profile).join("casemate-init");
    // A copy writes into the file that is there, which a copied target directory may share.
    let embedded = out.join("casemate-init");
    if embedded.exists() {
        std::fs::remove_file(&embedded)?;
    }
    std::fs::copy(&binary, &embedded)?;
    Ok(())
}

/// By the server's profile, which only the name of its folder says: `PROFILE` is `release` for all
/// that inherit from it.
fn init_profile(out: &Path) -> &'static str {
    let build = out.ancestors().find(|folder| folder.ends_with("build"));
    if build.is_some_and(|build| build.parent().is_some_and(|of| of.ends_with("demo"))) {
        "init-demo"
    } else {
        "init"
    }
}

/// musl where it is installed; glibc can be linked statically too.
fn init_target(arch: &str) -> Result<String, Box<dyn Error>> {
    let musl = format!("{arch}-unknown-linux-musl");
    let answer = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", &musl])
        .output()?;
    let libraries = String::from_utf8(answer.stdout)?;
    if Path::new(libraries.trim()).is_dir() {
        Ok(musl)
    } else {
        Ok(format!("{arch}-unknown-linux-gnu"))
    }
}

fn build(target: &str, profile: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--package", "casemate-init", "--profile", profile])
        .args(["--target", target, "--target-dir"])
        .arg(folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    // The inner build would read what cargo set for this one.
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "CLIPPY_ARGS",
        "__CARGO_DEFAULT_LIB_METADATA",
    ] {
        cargo.env_remove(name);
    }
    let output = cargo.output()?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("casemate-init could not be built for {target}:\n{log}").into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how cargo talks to a build script"
)]
fn variable(name: &str) -> Result<String, env::VarError> {
    env::var(name)
}
