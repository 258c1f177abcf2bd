//! Names of types: each that other files see is used once in its crate. And no face is called
//! `mod.rs`.

use std::collections::BTreeMap;

use super::source::Source;

/// Names that several types share, each with why.
const SHARED: [(&str, &str); 13] = [
    ("Args", "the arguments of each verb of the command line"),
    ("Backup", "of PID 1, and as a store lists it"),
    ("Call", "as the audit records it, and as a tool gets it"),
    ("Event", "of the audit, and of a backup"),
    ("Finding", "of a check: the audit's, the doctor's"),
    ("Name", "checked at the edge: a file's, and an entry's"),
    ("Page", "of lines, and of names"),
    ("Reader", "of an archive, and of a pipe"),
    ("Scope", "of an identity, and of a clean-up"),
    ("Server", "as the audit names it, and the HTTP server"),
    ("Session", "of the command line, and of SSE"),
    ("Traces", "with and without the feature that exports them"),
    ("Writer", "of the audit, and of a command's streams"),
];

/// The places of each name that the product of these sources gives to more than one type.
fn repeated(texts: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in texts.iter().filter(|(file, _)| !super::is_test(file)) {
        let types = Source::parse(file, text).types.into_iter();
        for name in types.filter(|name| name.is_visible && !name.in_test) {
            let place = format!("{file}:{}", name.line);
            places.entry(name.name).or_default().push(place);
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

#[test]
fn the_name_of_a_type_is_used_once_or_has_a_reason() {
    for crate_sources in ["src", "crates/init/src"] {
        let mut found = repeated(&super::texts(crate_sources));
        found.retain(|name, _| !SHARED.iter().any(|(shared, _)| shared == name));
        assert!(found.is_empty(), "{crate_sources}: {found:#?}");
    }
}

#[test]
fn a_second_type_of_a_name_is_found_where_other_files_see_it() {
    let text = |file: &str, text: &str| (file.to_owned(), text.to_owned());
    let first = text("src/a.rs", "pub struct Row;");
    for (file, second, is_found) in [
        ("src/b.rs", "pub enum Row {}", true),
        ("src/b.rs", "mod c { pub(super) trait Row {} }", true),
        ("src/b.rs", "pub(crate) type Row = u8;", true),
        ("src/b.rs", "struct Row;", false),
        (
            "src/b.rs",
            "#[cfg(test)] mod tests { pub struct Row; }",
            false,
        ),
        ("src/b.rs", "fn f() { pub struct Row; }", false),
        ("src/b_tests.rs", "pub struct Row;", false),
        ("src/b.rs", "pub struct Line;", false),
    ] {
        let found = repeated(&[first.clone(), text(file, second)]);
        assert_eq!(found.contains_key("Row"), is_found, "{file}: {second}");
    }
}

#[test]
fn the_face_of_a_folder_is_beside_it_and_not_in_it() {
    for crate_sources in ["src", "crates/init/src"] {
        let texts = super::texts(crate_sources);
        let files = texts.iter().map(|(file, _)| file.as_str());
        let wrong: Vec<_> = files.filter(|file| file.ends_with("/mod.rs")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
