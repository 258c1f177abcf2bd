//! Compiles the filters of system calls for the target: PID 1 only loads them.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use casemate_seccomp::compile::{Architecture, filters};

#[expect(
    clippy::disallowed_methods,
    reason = "how cargo talks to a build script"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let arch: Architecture = env::var("CARGO_CFG_TARGET_ARCH")?.parse()?;
    let mut source = String::from("&[\n");
    for filter in filters(arch)? {
        source.push_str("&[");
        for it in filter {
            write!(source, "of({},{},{},{}),", it.code, it.jt, it.jf, it.k)?;
        }
        source.push_str("],\n");
    }
    source.push_str("]\n");
    let path = PathBuf::from(env::var("OUT_DIR")?).join("filters.rs");
    Ok(std::fs::write(path, source)?)
}
