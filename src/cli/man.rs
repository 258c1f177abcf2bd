//! `casemate man`: the manual pages, from the same source as `--help`.
//!
//! The flags of the settings are many, and the same for most verbs. So a page has a separate section
//! for them, and its synopsis has only those of the verb.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, examples};

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory for the pages: casemate.1, and one for each verb.
    directory: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// A directory that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    write_pages(&command, "", &args.directory)
        .with_context(|| format!("cannot write manual pages to {:?}", args.directory))
}

/// The page of the command, and those of its verbs. `verb`: its words after `casemate`.
fn write_pages(command: &Command, verb: &str, directory: &Path) -> io::Result<()> {
    for each in visible_verbs(command) {
        let verb = format!("{verb} {}", each.get_name());
        write_pages(each, verb.trim_start(), directory)?;
    }
    let name = Man::new(command.clone()).get_filename();
    let mut file = File::create(directory.join(name))?;
    file.write_all(&page(command, verb)?)
}

fn visible_verbs(command: &Command) -> impl Iterator<Item = &Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn page(command: &Command, verb: &str) -> io::Result<Vec<u8>> {
    let hide = |is_hidden: fn(&Arg) -> bool| {
        let hide = |arg: Arg| match is_hidden(&arg) {
            true => arg.hide(true),
            false => arg,
        };
        Man::new(command.clone().mut_args(hide))
    };
    let own = hide(is_setting);
    let mut page = Vec::new();
    own.render_title(&mut page)?;
    own.render_name_section(&mut page)?;
    own.render_synopsis_section(&mut page)?;
    own.render_description_section(&mut page)?;
    own.render_options_section(&mut page)?;
    if visible_verbs(command).next().is_some() {
        own.render_subcommands_section(&mut page)?;
    }
    if command.get_arguments().any(is_setting) {
        let settings = hide(|arg| !is_setting(arg));
        render_settings(command, &settings, &mut page)?;
    }
    render_examples(verb, &mut page)?;
    if command.get_version().is_some() {
        own.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// Only they have a heading, that of their group.
fn is_setting(arg: &Arg) -> bool {
    arg.get_help_heading().is_some()
}

/// Each group of settings is a section in the library's page, and a part of one here.
fn render_settings(command: &Command, settings: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["SETTINGS"]);
    roff.text([roman("This verb takes every setting as a flag.")]);
    let units = command.get_after_help().map(ToString::to_string);
    for line in units.iter().flat_map(|text| text.lines()) {
        match line.is_empty() {
            true => roff.control("PP", []),
            false => roff.text([roman(line)]),
        };
    }
    roff.to_writer(page)?;
    let mut groups = Vec::new();
    settings.render_options_section(&mut groups)?;
    let groups = String::from_utf8_lossy(&groups).replace(".SH ", ".SS ");
    page.extend_from_slice(groups.as_bytes());
    Ok(())
}

fn render_examples(verb: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["EXAMPLES"]);
    for (line, what) in examples::of(verb) {
        roff.control("TP", []);
        roff.text([bold(*line)]);
        roff.text([roman(*what)]);
    }
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The section of this name, without its heading.
    fn section<'a>(page: &'a str, name: &str) -> &'a str {
        let heading = format!(".SH {name}\n");
        let (_, rest) = page
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{name}: {page}"));
        rest.split("\n.SH ").next().expect("a section")
    }

    fn page_of(verb: &[&str]) -> String {
        let mut command = Cli::command();
        command.build();
        let mut found = &command;
        for word in verb {
            found = found.find_subcommand(word).expect("the verb");
        }
        let page = page(found, &verb.join(" ")).expect("a page");
        String::from_utf8(page).expect("text")
    }

    #[test]
    fn the_synopsis_has_the_verbs_own_flags_and_the_settings_have_a_section() {
        let page = page_of(&["ps"]);
        let synopsis = section(&page, "SYNOPSIS").replace("\\-", "-");
        for own in ["--watch", "--size", "--json", "--issuer", "USER"] {
            assert!(synopsis.contains(own), "{own}: {synopsis}");
        }
        let options = section(&page, "OPTIONS").replace("\\-", "-");
        let settings = section(&page, "SETTINGS").replace("\\-", "-");
        assert!(options.contains("--watch") && !settings.contains("--watch"));
        for setting in ["--idle-timeout", "--config", "--memory"] {
            assert!(!synopsis.contains(setting), "{setting}: {synopsis}");
            assert!(!options.contains(setting), "{setting}: {options}");
            assert!(settings.contains(setting), "{setting}: {settings}");
        }
        assert!(
            settings.contains(".SS ") && settings.contains("A SIZE is"),
            "{settings}"
        );
        assert!(synopsis.len() < 400, "{synopsis}");
    }

    #[test]
    fn a_verb_without_settings_has_no_section_for_them_and_one_below_another_has_examples() {
        assert!(!page_of(&["token"]).contains(".SH SETTINGS"));
        let page = page_of(&["backup", "list"]);
        assert!(
            page.starts_with(".ie") || page.contains(".TH casemate\\-backup\\-list 1"),
            "{page}"
        );
        let examples = section(&page, "EXAMPLES").replace("\\-", "-");
        assert!(examples.contains("casemate backup list ada"), "{examples}");
        let backup = page_of(&["backup"]);
        assert!(section(&backup, "SUBCOMMANDS").contains("list"), "{backup}");
    }
}
