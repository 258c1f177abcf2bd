//! Patterns of listings: rg finds the same files.

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;

use crate::harness::{CallResult, Server, TestServer};

/// Numbers of trees, of files per tree, and of patterns per tree.
const ROUNDS: usize = 12;
const FILES: usize = 40;
const PATTERNS: usize = 40;

/// Makes the files of a tree, then lists them with rg by each pattern: null for a pattern that rg
/// rejects.
const RG: &str = r#"
import json, os, subprocess, sys
work = json.load(sys.stdin)
os.mkdir(work["tree"])
os.chdir(work["tree"])
for path in work["files"]:
    try:
        os.makedirs(os.path.dirname("./" + path), exist_ok=True)
        open(path, "w").close()
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        pass # it has the path of another, or is below a file
def rg(pattern):
    done = subprocess.run(["rg", "--files", "--hidden", "--no-ignore", "--glob", pattern],
                          capture_output=True, text=True)
    return None if done.returncode > 1 else sorted(done.stdout.splitlines())
print(json.dumps([rg(pattern) for pattern in work["patterns"]]))
"#;

struct Random(TestRng);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    /// One to `most` of `pieces`, joined.
    fn join(&mut self, pieces: &[&str], most: u32, between: &str) -> String {
        let count = 1 + self.below(most);
        let mut chosen = Vec::new();
        for _ in 0..count {
            let at = self.below(u32::try_from(pieces.len()).expect("few"));
            chosen.push(pieces[usize::try_from(at).expect("few")]);
        }
        chosen.join(between)
    }

    fn file(&mut self) -> String {
        self.join(
            &["a", "b", "ab", "a.b", "A", ".d", "b-", "*", "{a", "aab"],
            4,
            "/",
        )
    }

    /// A pattern without the component `.`: with it rg finds nothing, while `list_files` refuses it or
    /// gives it a meaning.
    fn pattern(&mut self) -> String {
        let pieces = [
            "a",
            "b",
            "ab",
            "*",
            "?",
            ".d",
            "A",
            "[ab]",
            "[!a]",
            "[a-c]*",
            "{a,b}",
            "{a*,?b,.d}",
            "\\*",
            "\\{",
            "[{]",
            "-",
            ".b",
        ];
        let mut names = Vec::new();
        for _ in 0..=self.below(4) {
            let any = self.below(4) == 0;
            names.push(if any {
                "**".to_owned()
            } else {
                self.join(&pieces, 3, "")
            });
        }
        let front = if self.below(6) == 0 { "/" } else { "" };
        let end = if self.below(12) == 0 { "/" } else { "" };
        [front, &names.join("/"), end].concat()
    }
}

/// The files that rg finds by each pattern.
async fn by_rg(
    server: &Server,
    tree: &str,
    files: &[String],
    patterns: &[String],
) -> Vec<Option<Vec<String>>> {
    let work = json!({ "tree": tree, "files": files, "patterns": patterns });
    let run = json!({
        "command": "python3 rg.py",
        "stdin": work.to_string(),
        "timeout_seconds": 60,
    });
    let ran = server.call("shell_exec", run).await;
    serde_json::from_str(ran.stdout()).unwrap_or_else(|error| panic!("{error}: {}", ran.0))
}

/// The files of a listing, below `tree` as rg shows them.
fn files(listed: &CallResult, tree: &str) -> Vec<String> {
    let entries = listed.field("entries").as_array().expect("entries");
    let files = entries.iter().filter(|entry| entry["type"] == "file");
    let paths = files.map(|entry| entry["path"].as_str().expect("a path"));
    let mut paths: Vec<_> = paths
        .map(|path| path[tree.len() + 1..].to_owned())
        .collect();
    paths.sort_unstable();
    paths
}

#[tokio::test]
async fn a_pattern_finds_the_files_that_rg_finds() {
    let seed = u64::from(std::process::id());
    eprintln!("patterns with seed {seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut random = Random(rng);
    let server = TestServer::new().start().await;
    server.write("rg.py", RG).await;
    let (mut compared, mut found) = (0, 0);
    for round in 0..ROUNDS {
        let tree = format!("tree{round}");
        let made: Vec<_> = (0..FILES).map(|_| random.file()).collect();
        let patterns: Vec<_> = (0..PATTERNS).map(|_| random.pattern()).collect();
        let by_rg = by_rg(&server, &tree, &made, &patterns).await;
        for (pattern, by_rg) in patterns.iter().zip(by_rg) {
            let Some(by_rg) = by_rg else { continue };
            let arguments = json!({ "path": tree, "pattern": pattern });
            let listed = server.call("list_files", arguments).await;
            assert!(!listed.is_error(), "{pattern}: {}", listed.0);
            let ours = files(&listed, &tree);
            assert_eq!(ours, by_rg, "seed {seed}, {tree}, {pattern}");
            compared += 1;
            found += ours.len();
        }
    }
    let enough = compared > ROUNDS * PATTERNS / 2 && found > compared;
    assert!(enough, "{compared} patterns, {found} files");
}
