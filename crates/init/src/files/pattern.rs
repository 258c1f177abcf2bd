//! Glob patterns of listings, with the meaning they have for `rg -g`:
//!
//! | | matches |
//! |---|---|
//! | `?`, `*` | one byte, any number of bytes; never `/` |
//! | `[a-z]`, `[!a-z]` | one byte of a set, or not of it |
//! | `{a,b*}` | one of several patterns, also nested, also empty |
//! | `**` as a whole component | any number of directories |
//! | `\` | makes the next character plain |
//!
//! A pattern without `/` is matched with the name alone, at any depth; one with
//! `/`, also as its first character, with the path below what is listed. With `/`
//! at its end it matches directories only. A name that begins with a dot is like
//! any other.
//!
//! globset reads the pattern and makes a regular expression of it. The expression
//! is run by a lazy DFA, and not by globset's own matcher, for two reasons:
//! - Time is linear in the path and memory is [`CACHE_BYTES_LIMIT`] at most for any pattern;
//!   globset's matcher may take 20 MiB, and PID 1 runs four at once.
//! - The DFA knows when nothing that begins with a path can match: a directory
//!   is entered only when something below may match.

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, WORKSPACE};
use globset::GlobBuilder;
use regex_automata::Anchored;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::{start, syntax};

/// Longest pattern, in bytes. People and models write fewer than 100.
const MAX_PATTERN: usize = 1024;

/// `{` in one pattern. The readers of a pattern recur once a level, and the
/// stack of a file thread is 512 KiB.
const MAX_GROUPS: usize = 64;

/// Bytes of the expression when it is compiled. The worst pattern that was found
/// takes 66 KiB.
const NFA_BYTES_LIMIT: usize = 512 * 1024;

/// Bytes of the states that the DFA remembers. Full, it begins anew, so this
/// costs time and never an answer.
const CACHE_BYTES_LIMIT: usize = 1024 * 1024;

/// A pattern that can be matched.
#[derive(Debug)]
pub(super) struct Pattern {
    dfa: DFA,
    cache: Cache,
    /// It ended with `/`.
    pub(super) directories_only: bool,
}

impl Pattern {
    /// A pattern as a request has it; none when it is empty.
    ///
    /// # Errors
    /// [`Code::BadPattern`] with what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        if text.is_empty() {
            return Ok(None);
        }
        check(text)?;
        // `./a` is `a` in the directory itself, as for a shell.
        let anchored = text.strip_prefix('.').filter(|rest| rest.starts_with('/'));
        let text = anchored.unwrap_or(text);
        let (text, directories_only) = match text.strip_suffix('/') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let glob = match text.strip_prefix('/') {
            Some(anchored) => anchored.to_owned(),
            None if text.contains('/') => text.to_owned(),
            None => format!("**/{text}"),
        };
        check_components(&glob)?;
        let dfa = compile(&glob)?;
        let cache = dfa.create_cache();
        Ok(Some(Self {
            dfa,
            cache,
            directories_only,
        }))
    }

    /// Whether it matches a path below the listed directory. If [`Self::directories_only`] is
    /// set, the entry must also be a directory.
    pub(super) fn matches(&mut self, path: &[u8]) -> Result<bool, Failure> {
        let Some(state) = self.run(path)? else {
            return Ok(false);
        };
        let end = self.dfa.next_eoi_state(&mut self.cache, state);
        Ok(end.map_err(other)?.is_match())
    }

    /// Whether it may match anything below the directory of this path.
    pub(super) fn may_match_below(&mut self, directory: &[u8]) -> Result<bool, Failure> {
        let Some(state) = self.run(directory)? else {
            return Ok(false);
        };
        let below = self.dfa.next_state(&mut self.cache, state, b'/');
        Ok(!below.map_err(other)?.is_dead())
    }

    /// The state of the DFA after `path`; `None` if nothing can match any more.
    fn run(&mut self, path: &[u8]) -> Result<Option<LazyStateID>, Failure> {
        let Self { dfa, cache, .. } = self;
        let start = start::Config::new().anchored(Anchored::Yes);
        let mut state = dfa.start_state(cache, &start).map_err(other)?;
        for byte in path {
            state = dfa.next_state(cache, state, *byte).map_err(other)?;
            if state.is_dead() {
                return Ok(None);
            }
        }
        Ok(Some(state))
    }
}

/// Bounds, and what has a meaning elsewhere and none here.
fn check(text: &str) -> Result<(), Failure> {
    if text.len() > MAX_PATTERN {
        return Err(bad(format!("is longer than {MAX_PATTERN} bytes")));
    }
    if text.matches('{').count() > MAX_GROUPS {
        return Err(bad(format!("has more than {MAX_GROUPS} groups in braces")));
    }
    if text.starts_with('!') {
        return Err(bad(
            "begins with `!`, and there are no patterns that exclude; write `\\!` for a name that begins so",
        ));
    }
    let absolute = text.strip_prefix(WORKSPACE);
    if absolute.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(bad(format!(
            "begins with {WORKSPACE}, and is matched with what is below `path`; leave it away"
        )));
    }
    Ok(())
}

/// No path that is listed has such components.
fn check_components(glob: &str) -> Result<(), Failure> {
    for name in glob.split('/') {
        match name {
            "" => return Err(bad("has an empty component")),
            "." | ".." => {
                let problem = format!("has the component `{name}`, which nothing below `path` has");
                return Err(bad(problem));
            }
            _ => {}
        }
    }
    Ok(())
}

fn compile(glob: &str) -> Result<DFA, Failure> {
    let glob = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
        .map_err(|error| bad(error.kind()))?;
    DFA::builder()
        // Names are any bytes, line breaks among them.
        .syntax(syntax::Config::new().utf8(false).dot_matches_new_line(true))
        .thompson(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(NFA_BYTES_LIMIT)),
        )
        .configure(DFA::config().cache_capacity(CACHE_BYTES_LIMIT))
        .build(glob.regex())
        .map_err(|error| bad(format!("cannot be compiled: {error}")))
}

fn bad(problem: impl ToString) -> Failure {
    Failure::new(Code::BadPattern, problem.to_string())
}

/// The DFA has no reason to give up: no bytes to stop at, and a cache that may
/// be begun anew as often as it is full.
fn other(error: impl ToString) -> Failure {
    Failure::new(Code::Other, error.to_string())
}

#[cfg(test)]
mod tests;
