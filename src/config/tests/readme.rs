//! What README says about the settings holds.

use super::*;

const README: &str = include_str!("../../../README.md");

#[test]
fn readmes_settings_file_is_one() {
    let (_, after) = README.split_once("```toml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("its end");
    let config = load_file("readme", example).unwrap();
    assert!(config.users.layers().count() > 0);
}

#[test]
fn readme_names_every_setting() {
    for &setting in Setting::ALL {
        let (variable, key) = (setting.variable(), setting.key().to_ascii_uppercase());
        let named = [format!("`{variable}`"), format!("`_{key}`")];
        assert!(named.iter().any(|name| README.contains(name)), "{variable}");
    }
}
