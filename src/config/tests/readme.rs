//! What README and docs/settings.md say about the settings holds.

use super::*;

const README: &str = include_str!("../../../README.md");
const SETTINGS: &str = include_str!("../../../docs/settings.md");

#[test]
fn the_settings_file_of_the_docs_is_one() {
    let (_, after) = SETTINGS.split_once("```toml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("its end");
    let config = load_file("docs", example).unwrap();
    assert!(config.users.layers().count() > 0);
}

#[test]
fn the_docs_name_every_setting() {
    for &setting in Setting::ALL {
        let (variable, key) = (setting.variable(), setting.key().to_ascii_uppercase());
        let named = [format!("`{variable}`"), format!("`_{key}`")];
        assert!(
            named.iter().any(|name| SETTINGS.contains(name)),
            "{variable}"
        );
    }
}

/// The few that README has are rows of that table, with the same defaults.
#[test]
fn readmes_settings_are_those_of_the_docs() {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim);
        let (_, name, default) = (cells.next()?, cells.next()?, cells.next()?);
        let name = name.trim_end_matches([' ', '¹', '²']);
        let is_setting = name.starts_with("`CASEMATE_");
        is_setting.then(|| (name.to_owned(), default.to_owned()))
    };
    let documented: Vec<_> = SETTINGS.lines().filter_map(row).collect();
    let shown: Vec<_> = README.lines().filter_map(row).collect();
    assert!(shown.len() >= 5, "{shown:?}");
    for setting in shown {
        assert!(documented.contains(&setting), "{setting:?}");
    }
}
