//! The effect of the calls, from the files that they left in the workspace.

use std::collections::BTreeMap;

use casemate::config::Mode;

use super::cell::{Cell, Deed, FILES, Stage, Victim, letter};
use crate::harness::{CallResult, Server};

/// Prints `kept`; how often the command ran; for each replaced file its length, its first byte and
/// how many bytes differ from that; and the other processes.
const LOOK: &str = "echo kept $(cat kept); echo ran $(wc -l < ran); \
    for f in big?; do [ -e $f ] || continue; b=$(head -c 1 $f); \
        echo $f $(wc -c < $f) $b $(tr -d $b < $f | wc -c); done; \
    echo sleeping $(pgrep -c '^sleep'); \
    echo temporaries $(find . -name '.casemate-tmp-*' | wc -l)";

/// The workspace after the kill.
pub struct Seen(BTreeMap<String, String>);

impl Seen {
    /// Read by the same server, at the first try; at the second if the first was sent before the
    /// server could know that PID 1 is dead, and was reported as lost.
    pub async fn by(server: &Server, cell: &Cell) -> Self {
        let command = format!("({LOOK}) 2> /dev/null");
        let mut look = server.shell(&command).await;
        let mut restarted = look.field("sandbox")["restarted"].clone();
        if cell.victim == Victim::Pid1 && look.field("outcome") == "sandbox_lost" {
            look = server.shell(&command).await;
        }
        assert!(!look.is_error(), "{cell}: the next call: {}", look.0);
        assert_eq!(look.outcome(), "exited", "{cell}: {}", look.0);
        // The note about a new container is true, and comes once.
        let told = look.field("sandbox")["restarted"].clone();
        assert!(restarted.is_null() || told.is_null() || restarted == told);
        restarted = if restarted.is_null() { told } else { restarted };
        let may_be = cell.mode != Mode::Ephemeral && cell.victim != Victim::Bridge;
        let replaced = cell.stage == Stage::Remove;
        assert!(
            may_be || replaced || restarted.is_null(),
            "{cell}: {}",
            look.0
        );
        if cell.stage == Stage::Idle && may_be {
            assert!(restarted["reason"].is_string(), "{cell}: {}", look.0);
        }
        let lines = look.stdout().lines();
        let facts = lines.filter_map(|line| line.split_once(' '));
        Self(
            facts
                .map(|(what, fact)| (what.to_owned(), fact.to_owned()))
                .collect(),
        )
    }

    fn fact(&self, what: &str) -> &str {
        self.0.get(what).map_or("", String::as_str)
    }

    /// Checks that hold after any answer.
    pub fn is_whole(&self, cell: &Cell) {
        let kept = if cell.stage == Stage::Create {
            ""
        } else {
            "kept"
        };
        assert_eq!(self.fact("kept"), kept, "{cell}");
        assert!(
            ["", "1"].contains(&self.fact("ran")),
            "{cell}: it ran twice"
        );
        assert_eq!(self.fact("sleeping"), "0", "{cell}");
        if cell.victim == Victim::Bridge {
            assert_eq!(self.fact("temporaries"), "0", "{cell}");
        }
        let files = self.0.keys().filter(|what| what.starts_with("big")).count();
        let wanted = if cell.stage == Stage::Write { FILES } else { 0 };
        assert_eq!(files, wanted, "{cell}");
    }

    /// Whether the answer is true.
    pub fn agrees_with(&self, cell: &Cell, deed: &Deed, result: &CallResult) {
        match deed {
            Deed::Command => self.command(cell, result),
            Deed::Write(file) => self.write(cell, *file, result),
        }
    }

    fn command(&self, cell: &Cell, result: &CallResult) {
        let outcome = result.field("outcome").as_str();
        let said = outcome.unwrap_or_else(|| result.code());
        let ran = self.fact("ran") == "1";
        match said {
            "exited" => {
                assert_eq!(result.stdout(), "end\n", "{cell}: {}", result.0);
                assert!(ran, "{cell}: {}", result.0);
            }
            "sandbox_lost" => assert!(result.is_error(), "{cell}: {}", result.0),
            _ => {
                says_to_retry(cell, result);
                assert!(!ran, "{cell}: it was run: {}", result.0);
            }
        }
        // A command without its bridge is found again; without its container it is lost.
        match (cell.victim, cell.stage) {
            (Victim::Bridge, _) => assert_eq!(said, "exited", "{cell}: {}", result.0),
            (_, Stage::Run) => {
                assert_eq!((said, ran), ("sandbox_lost", true), "{cell}: {}", result.0);
            }
            _ => {}
        }
    }

    fn write(&self, cell: &Cell, file: usize, result: &CallResult) {
        let size = casemate_protocol::MAX_WRITE;
        let found = self.fact(&format!("big{file}"));
        let is = |file| found == format!("{size} {} 0", letter(file));
        let (old, new) = (is(None), is(Some(file)));
        assert!(old || new, "{cell}: a mix: {found}");
        if !result.is_error() {
            assert!(new, "{cell}: {found} after {}", result.0);
        } else {
            // Writing it again is safe in any case. If it may have been written, the error says so.
            says_to_retry(cell, result);
            let in_doubt = result.text().contains("may or may not");
            assert!(old || in_doubt, "{cell}: it was done: {}", result.0);
        }
        if cell.victim == Victim::Bridge {
            assert!(!result.is_error(), "{cell}: {}", result.0);
        }
    }
}

/// Asserts an error that says what is away, and to try again.
fn says_to_retry(cell: &Cell, result: &CallResult) {
    let codes = ["engine_unavailable", "sandbox_unavailable"];
    assert!(codes.contains(&result.code()), "{cell}: {}", result.0);
    let text = result.text().to_lowercase();
    assert!(text.contains("retry"), "{cell}: {text}");
}
