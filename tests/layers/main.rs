//! Reads the sources and fails on an import that breaks the layers, and on a name that only one
//! place may use.
//!
//! The check is pure over a file's name and text. It sees syntax, not types: `use` trees are
//! spelled out, and `super` is followed from the module that the file's name and its inline
//! modules make.

mod backends;
mod circles;
mod names;
mod rules;
mod source;

use std::path::{Path, PathBuf};

use rules::{ENVIRONMENT, EXCEPTIONS, LAYERS, NAMES, ROOTS};
use source::{Source, module};

/// The violations in a file, a line each. `file` is its path from the top of the repository.
fn violations(file: &str, text: &str) -> Vec<String> {
    let source = Source::parse(file, text);
    let mut found = Vec::new();
    let mut find = |line: usize, what: String| found.push(format!("{file}:{line} {what}"));
    let elsewhere = |places: &str| !is_in(file, places);
    for word in &source.words {
        for (name, _, why) in NAMES.iter().filter(|(_, places, _)| elsewhere(places)) {
            if word.text == *name {
                find(word.line, format!("names `{name}`: {why}"));
            }
        }
    }
    let root = if file == "src/main.rs" {
        "casemate"
    } else {
        "crate"
    };
    for path in &source.paths {
        let spelled = path.segments.join("::");
        for (name, places, why) in NAMES.iter().filter(|(_, places, _)| elsewhere(places)) {
            let is_switch = *places == ENVIRONMENT && (path.in_test || is_test(file));
            if name.contains("::") && holds(&path.segments, name) && !is_switch {
                find(path.line, format!("names `{name}`: {why}"));
            }
        }
        let renamed = if path.renamed { spelled.as_str() } else { "" };
        let all = spelled.strip_suffix("::*").unwrap_or(renamed);
        if ROOTS.contains(&all) {
            find(path.line, format!("hides what it takes from `{all}`"));
        }
        let target = path.target(root).filter(|_| file.starts_with("src/"));
        if let Some(what) = target.and_then(|target| misplaced(file, target)) {
            find(path.line, what);
        }
    }
    found
}

fn is_in(file: &str, places: &str) -> bool {
    places.split(' ').any(|place| file.starts_with(place))
}

fn is_test(file: &str) -> bool {
    let names = ["tests.rs", "/testing.rs", "/mutations.rs"];
    let folders = ["/tests/", "/testing/", "/mutations/"];
    names.iter().any(|name| file.ends_with(name))
        || folders.iter().any(|folder| file.contains(folder))
}

/// Whether `segments` contain `path`.
fn holds(segments: &[String], path: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    segments.windows(path.len()).any(|window| window == path)
}

/// Why this file may not use the root's module `target`.
fn misplaced(file: &str, target: &str) -> Option<String> {
    let own = module(file).into_iter().next()?;
    let (_, below) = LAYERS.iter().find(|(layer, _)| *layer == own)?;
    let excepted = EXCEPTIONS
        .iter()
        .any(|(at, layer, _)| *at == file && *layer == target);
    let allowed = own == target || excepted || below.split(' ').any(|layer| layer == target);
    (!allowed).then(|| format!("uses `crate::{target}`, which is not below `{own}`"))
}

fn is_layer(name: &str) -> bool {
    LAYERS.iter().any(|(layer, _)| *layer == name)
}

/// The sources in `folder`, each by its path from the top of the repository.
fn texts(folder: &str) -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&top.join(folder), &mut files);
    let text = |path: &PathBuf| {
        let file = path.strip_prefix(top).expect("beneath").to_string_lossy();
        (
            file.into_owned(),
            std::fs::read_to_string(path).expect("text"),
        )
    };
    files.iter().map(text).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_source_keeps_the_layers() {
    let files = [texts("src"), texts("crates/init/src")].concat();
    assert!(files.len() > 80, "only {} files", files.len());
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|(file, text)| violations(file, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_root_has_a_layer() {
    let root = syn::parse_file(include_str!("../../src/lib.rs")).expect("src/lib.rs is Rust");
    for item in root.items {
        if let syn::Item::Mod(module) = item {
            let name = module.ident.to_string();
            assert!(is_layer(&name), "`{name}` has no layer");
        }
    }
}

/// Lines of `file | code | what is found`.
fn table(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut cells = line.splitn(3, " | ");
            let mut cell = || cells.next().unwrap_or_default();
            (cell(), cell(), cell())
        })
}

/// The violations in a file whose second line is `code`.
fn said(file: &str, code: &str) -> String {
    violations(file, &format!("\n{code}")).join("\n")
}

#[test]
fn what_leads_upward_or_sideways_is_found_however_it_is_written() {
    let cases = r#"
        src/sandbox/owner.rs | use crate::tools::Tools; | tools
        src/sandbox/owner.rs | use crate::{engine::Engine, tools}; | tools
        src/sandbox/owner.rs | use crate::{engine::{self, Engine}, cli::{Cli as C}}; | cli
        src/sandbox/owner.rs | fn f(_: crate::tools::Code) {} | tools
        src/sandbox/owner.rs | use super::super::tools::Tools; | tools
        src/sandbox/mod.rs | use super::tools::Tools; | tools
        src/sandbox/owner.rs | mod tests { use super::super::super::tools::Tools; } | tools
        src/sandbox/owner.rs | #[cfg(test)] mod tests { use crate::stdio; } | stdio
        src/stdio.rs | use super::cli::Cli; | cli
        src/stdio.rs | use crate::http::router; | http
        src/engine/mod.rs | pub(crate) use crate::channel::Channel; | channel
        src/channel/mod.rs | impl From<crate::sandbox::Notice> for X {} | sandbox
        src/config/mod.rs | use crate::engine::Engine; | engine
        src/identity.rs | use crate::config::Config; | config
        src/workspace/path.rs | use crate::sandbox::Sandbox; | sandbox
        src/ops/gc.rs | use crate::channel::Channel; | channel
        src/tools/mod.rs | use crate::provision::Provisioner; | provision
        src/http/mod.rs | use crate::snapshot::Snapshots; | snapshot
        src/sandbox/manager.rs | use crate::snapshot::Snapshots; | snapshot
        src/snapshot/export.rs | use crate::sandbox::Manager; | sandbox
        src/provision/create.rs | use crate::snapshot::Snapshots; | snapshot
        src/provision.rs | use super::sandbox::Manager; | sandbox
        src/main.rs | use casemate::engine::Engine; | engine
        src/tools/mod.rs | use crate::*; | *
        src/sandbox/owner.rs | fn f() { select! { a = crate::tools::call() => {} } } | tools
    "#;
    for (file, code, target) in table(cases) {
        let said = said(file, code);
        let wanted = format!("{file}:2 uses `crate::{target}`");
        assert!(said.contains(&wanted), "{file}: {code}: {said:?}");
    }
}

#[test]
fn names_that_one_place_may_use_are_found_everywhere_else() {
    let cases = r#"
        src/sandbox/mod.rs | use bollard::Docker; | names `bollard`
        src/sandbox/mod.rs | fn f(_: ::bollard::Docker) {} | names `bollard`
        src/sandbox/mod.rs | #[cfg(test)] mod tests { use bollard::Docker; } | names `bollard`
        src/engine/error.rs | use bollard::errors::Error; | names `bollard`
        src/engine/docker/exec.rs | use kube::Client; | names `kube`
        src/sandbox/mod.rs | use rmcp::model::Tool; | names `rmcp`
        src/cli/serve.rs | fn f(_: rmcp::Peer) {} | names `rmcp`
        src/engine/mod.rs | fn g() { unsafe { f() } } | names `unsafe`
        src/cli/serve.rs | fn f() { let a = std::env::var("A"); } | names `env::var`
        src/cli/serve.rs | use std::{env, fmt}; fn f() { env::var_os("A"); } | names `env::var_os`
        src/engine/mod.rs | use std::env::{self, vars}; | names `env::vars`
        src/engine/mod.rs | use std::env::vars_os as all; | names `env::vars_os`
        src/engine/mod.rs | use std::env::*; | names `env::*`
        src/engine/mod.rs | #[cfg(test)] mod a {} fn f() { std::env::var("A"); } | names `env::var`
        src/engine/mod.rs | use crate as all; | hides what it takes from `crate`
        src/engine/mod.rs | use std as s; | hides what it takes from `std`
        src/engine/mod.rs | use std::env as e; | hides what it takes from `std::env`
        crates/init/src/pid1/mod.rs | use tokio::fs::File; | names `tokio::fs`
        crates/init/src/pid1/mod.rs | use tokio::{fs, time}; | names `tokio::fs`
        crates/init/src/pid1/mod.rs | fn f(_: tokio::process::Child) {} | names `tokio::process`
        crates/init/src/files/pool.rs | use tokio::*; | hides what it takes from `tokio`
        crates/init/src/files/pool.rs | fn g() { tokio::task::spawn_blocking(f); } | names `spawn_blocking`
        crates/init/src/files/pool.rs | fn g() { runtime.handle().spawn_blocking(f); } | names `spawn_blocking`
        crates/init/src/files/pool.rs | use tokio as runtime; | hides what it takes from `tokio`
    "#;
    for (file, code, what) in table(cases) {
        let said = said(file, code);
        assert!(
            said.contains(&format!("{file}:2 {what}")),
            "{file}: {code}: {said:?}"
        );
    }
}

#[test]
fn what_keeps_the_layers_and_what_is_no_code_is_left_alone() {
    let cases = r##"
        src/cli/serve.rs | use crate::{config::Config, engine::locate, sandbox::Manager, stdio, tools::Tools};
        src/tools/error.rs | use crate::engine::EngineError; use super::Code; use rmcp::model::Tool;
        src/sandbox/owner.rs | use super::{Lease, handle::Sandbox}; use crate::sandbox::Notice;
        src/sandbox/owner.rs | #[cfg(test)] mod tests { use super::super::Notice; use super::*; }
        src/engine/docker_tests.rs | use super::super::labels;
        src/engine/docker.rs | use bollard::Docker; pub(in crate::engine) fn f() {}
        src/main.rs | use casemate::cli::Cli;
        src/sandbox/snapshots.rs | use crate::snapshot::Snapshots;
        src/ops/gc/mod.rs | use crate::{provision::owner, sandbox::Manager, snapshot::Snapshots};
        src/config/environment.rs | fn f() { std::env::vars_os(); }
        src/config/mod.rs | use Setting as S; use crate::identity::User as Person;
        src/tools/mod.rs | #[cfg(test)] mod tests { #[a(b = "c")] fn f() { std::env::var_os("UPDATE"); } }
        src/channel/mod.rs | fn f() -> impl Future + use<> {}
        src/engine/exec.rs | fn f() { let a = env!("CARGO"); std::env::temp_dir(); }
        crates/init/src/pid1/mod.rs | use tokio::{net, time}; fn g() { unsafe { f() }; std::env::vars_os(); }
        src/sandbox/mod.rs | //! [`crate::tools`] and `rmcp`, unsafe
        src/sandbox/mod.rs | fn f() {} // `bollard`, crate::cli
        src/sandbox/mod.rs | /* bollard /* crate::tools::x */ unsafe */ fn f() {}
        src/sandbox/mod.rs | fn g() { f("crate::tools::x", r#"unsafe " bollard"#, b"rmcp", '"', b'"', '\'', "\" bollard"); }
        src/sandbox/mod.rs | fn f<'a>(a: &'a str) -> &'static str { unsafe_looking(a, 'x') }
    "##;
    for (file, code, _) in table(cases) {
        assert_eq!(said(file, code), "", "{file}: {code}");
    }
}

#[test]
fn the_line_of_a_violation_is_its_own() {
    let text = "/* a\n b */\nconst A: &str = \"c\n d\";\nuse crate::{\n    engine,\n    tools,\n};\nuse bollard::A;\n";
    let said = violations("src/sandbox/mod.rs", text);
    assert!(
        said.iter()
            .any(|line| line.contains("mod.rs:9 names `bollard`")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|line| line.contains("mod.rs:7 uses `crate::tools`")),
        "{said:?}"
    );
}
