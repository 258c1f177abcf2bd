//! Lines for people; colour only on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

fn colour(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A section.
pub fn title(text: &str) {
    println!("\n{}", colour("1;36", text));
}

/// What somebody did, and what came of it.
pub fn said(who: &str, what: &str, result: &str) {
    println!("  {} {}", colour("1", who), what.replace('\n', "\n      "));
    for line in result.trim_end().lines() {
        println!("      {}", colour("2", line));
    }
}

/// A time.
pub fn row(what: &str, time: Duration) {
    row_text(what, &format!("{:.1} ms", time.as_secs_f64() * 1000.0));
}

/// A fact.
pub fn row_text(what: &str, fact: &str) {
    println!("  {what:<46} {}", colour("1;32", fact));
}

/// The end.
pub fn done(text: &str) {
    println!("\n{}", colour("1;36", text));
}
