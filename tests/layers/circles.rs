//! Circles: files of one crate that import each other.
//!
//! An import of a name that another file has only imported itself counts for the file that defines
//! it. Imports of tests do not count.
//!
//! Not seen: uses of names that the same file re-exports (`pub use`), and paths in code (`child::run()`). So a face may
//! pass on its children's types and call them, and they may import the face.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Import, NamedPath, Source, module};

type Module = Vec<String>;

/// The product's imports of a file: those that it uses, and all.
struct Imports {
    used: Vec<Module>,
    all: Vec<Module>,
}

impl Imports {
    fn of(source: &Source) -> Self {
        let of = |kinds: &[Import]| {
            let product = source.paths.iter().filter(|path| !path.in_test);
            let paths = product.filter(|path| kinds.contains(&path.import));
            paths.map(NamedPath::absolute).collect()
        };
        Self {
            used: of(&[Import::Used]),
            all: of(&[Import::Used, Import::PassedOn]),
        }
    }
}

/// The file that defines what `path` names.
fn target<'a>(
    files: &'a BTreeMap<Module, Imports>,
    path: &[String],
    seen: &mut BTreeSet<Module>,
) -> Option<&'a Module> {
    let length = (0..=path.len())
        .rev()
        .find(|&length| files.contains_key(&path[..length]))?;
    let (file, imports) = files.get_key_value(&path[..length])?;
    // A path that ends at a file is the file.
    let Some(name) = path.get(length) else {
        return Some(file);
    };
    let from = imports.all.iter().find(|other| other.last() == Some(name));
    match from {
        Some(from) if from != path && seen.insert(path.to_vec()) => {
            target(files, from, seen).or(Some(file))
        }
        _ => Some(file),
    }
}

/// The circles of files, each sorted and joined by spaces. `sources`: path and text.
fn circles<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
    let parsed = sources.into_iter();
    let files: BTreeMap<Module, Imports> = parsed
        .map(|(file, text)| (module(file), Imports::of(&Source::parse(file, text))))
        .collect();
    let edges: BTreeMap<&Module, BTreeSet<&Module>> = files
        .iter()
        .map(|(file, imports)| {
            let targets = imports.used.iter();
            let targets = targets.filter_map(|path| target(&files, path, &mut BTreeSet::new()));
            (file, targets.filter(|other| *other != file).collect())
        })
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = edges
        .keys()
        .map(|file| (*file, reachable(&edges, file)))
        .collect();
    let in_circle = reach
        .iter()
        .filter(|(file, reached)| reached.contains(*file));
    in_circle
        .map(|(file, reached)| {
            let back = reached.iter().filter(|other| reach[*other].contains(file));
            let names: Vec<String> = back.map(|other| other.join("::")).collect();
            names.join(" ")
        })
        .collect()
}

fn reachable<'a>(
    edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    file: &Module,
) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = edges[file].iter().copied().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(&edges[next]);
        }
    }
    seen
}

#[test]
fn no_files_import_each_other() {
    for crate_sources in ["src", "crates/init/src"] {
        let texts = super::texts(crate_sources);
        let product = texts.iter().filter(|(file, _)| !super::is_test(file));
        let found = circles(product.map(|(file, text)| (file.as_str(), text.as_str())));
        assert!(found.is_empty(), "{crate_sources}: {found:#?}");
    }
}

#[test]
fn a_circle_is_found_through_what_a_parent_passes_on_and_not_through_tests() {
    let face = (
        "src/a.rs",
        "mod b; mod c; use std::fmt; pub use b::B; pub use c::C;",
    );
    let cases = [
        // Each uses the other's type, one of them through the parent.
        ("use super::c::C;", "use crate::a::B;", "a::b a::c"),
        ("use super::c::C;", "use super::B;", "a::b a::c"),
        ("use super::C;", "use std::fmt;", ""),
        (
            "use super::C;",
            "#[cfg(test)] mod tests { use super::super::B; }",
            "",
        ),
        ("use super::c;", "use super::b::{self, B};", "a::b a::c"),
        // What the parent has imported itself leads to where it is defined.
        ("use super::C;", "use super::fmt;", ""),
        // The parent's own name leads to the parent, which uses neither.
        ("use super::C;", "use super::OWN;", ""),
    ];
    for (b, c, circle) in cases {
        let found = circles([face, ("src/a/b.rs", b), ("src/a/c.rs", c)]);
        assert_eq!(found.into_iter().collect::<String>(), circle, "{b} {c}");
    }
    let parent = ("src/a.rs", "mod b; use b::B;");
    let found = circles([parent, ("src/a/b.rs", "use super::OWN;")]);
    assert_eq!(found.into_iter().collect::<String>(), "a a::b");
}
