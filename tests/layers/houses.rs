//! The houses of `engine`: each speaks to one kind of engine, and only the face knows them.

use super::source::{NamedPath, Source, module};

/// Each is `src/engine/NAME.rs` with its folder.
const HOUSES: [&str; 2] = ["docker", "kubernetes"];

/// The face, which the layers above have.
const FACE: &str = "Engine";

/// Why this file may not use what `path` names.
fn misplaced(file: &str, path: &NamedPath) -> Option<String> {
    let own = module(file);
    let target = path.absolute();
    let [layer, named, ..] = &*target else {
        return None;
    };
    // `src/engine.rs` is the face.
    if layer != "engine" || own.first() != Some(layer) || own.len() == 1 {
        return None;
    }
    let is_house = |name: &str| HOUSES.contains(&name);
    if is_house(named) && own[1] != *named {
        return Some(format!(
            "uses the house `{named}`, which only the face knows"
        ));
    }
    let is_test = path.in_test || super::is_test(file);
    (is_house(&own[1]) && named == FACE && !is_test)
        .then(|| format!("uses the face from the house `{}`", own[1]))
}

/// The violations in a file, a line each.
fn violations(file: &str, text: &str) -> Vec<String> {
    let paths = Source::parse(file, text).paths.into_iter();
    let found = paths.filter_map(|path| Some((path.line, misplaced(file, &path)?)));
    found
        .map(|(line, why)| format!("{file}:{line} {why}"))
        .collect()
}

#[test]
fn a_house_knows_neither_another_one_nor_the_face() {
    let files = super::texts("src/engine");
    assert!(files.len() > 40, "only {} files", files.len());
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|(file, text)| violations(file, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_leads_to_another_house_or_to_the_face_is_found_however_it_is_written() {
    for (file, code, found) in [
        (
            "src/engine/docker/exec.rs",
            "use crate::engine::kubernetes::Pod;",
            "`kubernetes`",
        ),
        (
            "src/engine/docker.rs",
            "use super::kubernetes;",
            "`kubernetes`",
        ),
        (
            "src/engine/kubernetes/exec.rs",
            "use crate::engine::{error, docker::raw};",
            "`docker`",
        ),
        (
            "src/engine/kubernetes.rs",
            "fn f(_: super::docker::DockerEngine) {}",
            "`docker`",
        ),
        (
            "src/engine/error.rs",
            "use super::docker::verify;",
            "`docker`",
        ),
        (
            "src/engine/docker/exec.rs",
            "use crate::engine::Engine;",
            "the face",
        ),
        (
            "src/engine/docker/exec.rs",
            "fn f(_: &super::super::Engine) {}",
            "the face",
        ),
    ] {
        let said = violations(file, code).join("\n");
        assert!(said.contains(found), "{file}: {code}: {said}");
    }
}

#[test]
fn what_a_house_shares_with_others_and_its_own_is_not_found() {
    for (file, code) in [
        ("src/engine.rs", "use docker::DockerEngine; mod docker;"),
        (
            "src/engine/docker/exec.rs",
            "use crate::engine::error::EngineError;",
        ),
        (
            "src/engine/docker/exec.rs",
            "use crate::engine::docker::raw; use super::DockerEngine;",
        ),
        ("src/engine/docker/testing.rs", "use crate::engine::Engine;"),
        (
            "src/engine/docker/exec.rs",
            "#[cfg(test)] mod tests { use crate::engine::Engine; }",
        ),
        ("src/engine/host_calls.rs", "use super::Engine;"),
    ] {
        assert_eq!(violations(file, code), [""; 0], "{file}: {code}");
    }
}
