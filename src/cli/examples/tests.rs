use clap::{Command, CommandFactory as _, Parser as _};

use super::super::Cli;
use super::*;

/// What a shell gives to `casemate` in this line: without its pipes, redirections and comment.
fn words(line: &str) -> Vec<String> {
    let mut quote = None;
    let mut parts = vec![String::new()];
    let mut before = ' ';
    for character in line.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '#') if before == ' ' => break,
            (None, '|' | ';' | '&') => {
                parts.push(String::new());
                before = ' ';
                continue;
            }
            _ => {}
        }
        before = character;
        parts.last_mut().expect("a part").push(character);
    }
    let part = parts
        .iter()
        .find(|part| part.trim_start().starts_with("casemate"));
    let part = part.unwrap_or_else(|| panic!("no casemate in {line:?}"));
    let words = shlex::split(part).unwrap_or_else(|| panic!("no shell reads {line:?}"));
    let is_redirection = |word: &String| [">", ">>", "<", "2>"].contains(&word.as_str());
    words
        .into_iter()
        .take_while(|word| !is_redirection(word))
        .collect()
}

/// Fails with what clap says if the line is not one of this program.
fn assert_parses(line: &str) {
    if let Err(error) = Cli::try_parse_from(words(line)) {
        panic!("{line}: {error}");
    }
}

fn verbs(command: &Command, above: &str, found: &mut Vec<String>) {
    for verb in command.get_subcommands() {
        let name = format!("{above} {}", verb.get_name());
        let name = name.trim_start().to_owned();
        verbs(verb, &name, found);
        found.push(name);
    }
}

#[test]
fn every_verb_has_examples_and_each_is_a_command_line_of_it() {
    let mut all = vec![String::new()];
    verbs(&Cli::command(), "", &mut all);
    assert!(all.iter().any(|verb| verb == "backup list"), "{all:?}");
    for verb in &all {
        assert!(!of(verb).is_empty(), "{verb} has no examples");
        for (line, what) in of(verb) {
            assert_parses(line);
            let named = format!("casemate {verb}");
            assert!(line.contains(named.trim_end()), "{line} is not of {verb}");
            assert!(what.ends_with('.'), "{what}");
        }
    }
    for (verb, _) in EXAMPLES {
        assert!(
            all.iter().any(|known| known == verb),
            "there is no verb {verb}"
        );
    }
}

/// The texts between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_command_for_the_person_on_call_is_one_of_this_program() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(file).expect("the page");
    let (_, on_call) = page.split_once("| symptom | command |").expect("the table");
    let table: Vec<_> = on_call
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('|'))
        .collect();
    let table = table.join("\n").replace("\\|", "|");
    let commands: Vec<_> = code(&table)
        .filter(|text| text.starts_with("casemate "))
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    let fenced = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    let fenced = fenced.filter(|line| line.starts_with("casemate ") && !line.ends_with('\\'));
    let fenced: Vec<_> = fenced.collect();
    assert!(fenced.len() > 15, "{fenced:?}");
    for line in commands.into_iter().chain(fenced) {
        assert_parses(line);
    }
}

#[test]
fn only_the_words_of_the_program_are_looked_at() {
    assert_eq!(
        words("tar c a | casemate shared put a - # all"),
        ["casemate", "shared", "put", "a", "-"]
    );
    assert_eq!(
        words("casemate exec ada -- 'a | b > c' > out"),
        ["casemate", "exec", "ada", "--", "a | b > c"]
    );
    assert!(Cli::try_parse_from(words("casemate ps --no-such-flag")).is_err());
}
