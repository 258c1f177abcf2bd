use globset::GlobMatcher;
use proptest::prelude::*;

use super::super::pool::Pool;
use super::*;

fn pattern(text: &str) -> Pattern {
    let parsed = Pattern::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
    parsed.expect("not empty")
}

fn matched(text: &str, paths: &[&str]) -> Vec<String> {
    let mut pattern = pattern(text);
    let mut matches = |path: &str| pattern.matches(path.as_bytes()).expect("matched");
    let paths = paths.iter().filter(|path| matches(path));
    paths.map(|path| (*path).to_owned()).collect()
}

#[test]
fn each_form_matches_what_it_says() {
    let paths = [
        ".hidden",
        "a",
        "a.rs",
        "ab",
        "b.rs",
        "d/a",
        "d/a.rs",
        "d/e/a.rs",
        "d/e/f/b.txt",
    ];
    for (text, expected) in [
        ("*", &paths[..]),
        ("**", &paths),
        ("**/*", &paths),
        ("/*", &[".hidden", "a", "a.rs", "ab", "b.rs"]),
        ("./a*", &["a", "a.rs", "ab"]),
        ("*.rs", &["a.rs", "b.rs", "d/a.rs", "d/e/a.rs"]),
        ("d/*.rs", &["d/a.rs"]),
        ("d/**", &["d/a", "d/a.rs", "d/e/a.rs", "d/e/f/b.txt"]),
        ("d/**/a.rs", &["d/a.rs", "d/e/a.rs"]),
        ("**/e/**", &["d/e/a.rs", "d/e/f/b.txt"]),
        ("?", &["a", "d/a"]),
        ("[ab].rs", &["a.rs", "b.rs", "d/a.rs", "d/e/a.rs"]),
        ("[!a].rs", &["b.rs"]),
        ("{a,b}.rs", &["a.rs", "b.rs", "d/a.rs", "d/e/a.rs"]),
        ("a{,.rs}", &["a", "a.rs", "d/a", "d/a.rs", "d/e/a.rs"]),
        ("*.{txt,{h*,c}}", &[".hidden", "d/e/f/b.txt"]),
        ("{d/a,ab}", &["ab", "d/a"]),
        ("\\a", &["a", "d/a"]),
        ("A", &[]),
    ] {
        assert_eq!(matched(text, &paths), expected, "{text}");
    }
}

#[test]
fn names_of_any_bytes_are_matched() {
    let names: [&[u8]; 4] = [b"\xff\xfe", b"a\nb", "zwölf".as_bytes(), b"{x}"];
    for (text, expected) in [("*", [true; 4]), ("??", [true, false, false, false])] {
        let mut pattern = pattern(text);
        let matched = names.map(|name| pattern.matches(name).expect("matched"));
        assert_eq!(matched, expected, "{text}");
    }
    assert_eq!(matched("zw*lf", &["zwölf"]), ["zwölf"]);
    assert_eq!(matched("zwölf", &["zwölf"]), ["zwölf"]);
    assert_eq!(matched("\\{x[}]", &["{x}"]), ["{x}"]);
}

#[test]
fn a_slash_at_the_end_asks_for_directories() {
    assert!(Pattern::parse("").expect("empty").is_none());
    assert!(!pattern("a").directories_only);
    let mut directories = pattern("src/");
    assert!(directories.directories_only);
    assert_eq!(directories.matches(b"a/src"), Ok(true));
    assert_eq!(pattern("/src/").matches(b"a/src"), Ok(false));
}

#[test]
fn a_pattern_that_is_none_names_its_problem() {
    for (text, problem) in [
        ("[a", "missing ']'"),
        ("a{b", "missing '}'"),
        ("a}b", "missing '{'"),
        ("[b-a]", "'b' > 'a'"),
        ("a\\", "dangling"),
        ("!a", "`!`"),
        ("/", "empty component"),
        ("a//b", "empty component"),
        ("../a", "`..`"),
        ("a/./b", "`.`"),
        ("/workspace/a", "/workspace"),
        ("/workspace", "/workspace"),
        (&"a".repeat(MAX_PATTERN + 1), "1024"),
        (&"{a}".repeat(MAX_GROUPS + 1), "64"),
    ] {
        let refused = Pattern::parse(text).expect_err(text);
        assert_eq!(refused.code(), Code::BadPattern, "{text}");
        assert!(
            refused.detail.contains(problem),
            "{text}: {}",
            refused.detail
        );
    }
    assert!(Pattern::parse("/workspace-2/a").is_ok());
    assert!(Pattern::parse(&"a".repeat(MAX_PATTERN)).is_ok());
}

#[test]
fn only_directories_that_may_hold_a_match_are_entered() {
    for (text, entered, not_entered) in [
        ("*.rs", &["a", "a/b", "a/b/c"][..], &[][..]),
        ("/*.rs", &[], &["a", "b"]),
        ("src/*.rs", &["src"], &["a", "src/b", "srcs", "s"]),
        ("src/**/t/*", &["src", "src/a", "src/t/b"], &["a", "t"]),
        ("*/b/c", &["a", "a/b"], &["a/c", "a/b/c"]),
        ("{a,b/c}/d", &["a", "b", "b/c"], &["c", "b/a", "a/d"]),
        ("[ab]x/y", &["ax", "bx"], &["cx", "a"]),
    ] {
        let mut pattern = pattern(text);
        let mut enters = |path: &&str| pattern.may_match_below(path.as_bytes()).expect("run");
        assert!(entered.iter().all(&mut enters), "{text}");
        assert!(!not_entered.iter().any(&mut enters), "{text}");
    }
}

/// What takes a matcher that goes back, or one that keeps all states, for ever.
fn hostile() -> Vec<String> {
    let groups = |group: &str, count| group.repeat(count) + "x";
    vec![
        "{".repeat(MAX_GROUPS) + "a" + &"}".repeat(MAX_GROUPS),
        "{a,".repeat(MAX_GROUPS) + &"}".repeat(MAX_GROUPS),
        groups("{a,aa}", MAX_GROUPS),
        groups("{*a,a*}", MAX_GROUPS),
        groups("{**/a,*}/", MAX_GROUPS),
        groups("*a", 500),
        groups("**/a/", 200),
        groups("[!b]", 255),
        "*a".to_owned() + &"?".repeat(MAX_PATTERN - 2),
        "*a".to_owned() + &"?".repeat(100),
        "?".repeat(MAX_PATTERN),
        "*".repeat(MAX_PATTERN),
    ]
}

/// Names of a few hundred a's and b's without an end to their number.
fn many_names() -> impl Iterator<Item = Vec<u8>> {
    (1..2000_u64).map(|number| {
        let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut name = Vec::new();
        for _ in 0..255 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            name.push(if random % 2 == 0 { b'a' } else { b'b' });
        }
        name
    })
}

#[tokio::test(flavor = "current_thread")]
async fn a_hostile_pattern_takes_no_more_memory_than_its_bound_on_a_file_thread() {
    let pool = Pool::start("file", 1).expect("thread");
    for text in hostile() {
        let shown = text.clone();
        let used = pool.run(move |_| {
            let Some(mut pattern) = Pattern::parse(&text)? else {
                return Ok((0, 0));
            };
            for name in many_names() {
                pattern.matches(&name)?;
            }
            let nfa = pattern.dfa.get_nfa().memory_usage();
            Ok::<_, Failure>((nfa, pattern.cache.memory_usage()))
        });
        let (nfa, cache) = used.await.expect("the thread lives").expect(&shown);
        assert!(
            nfa <= NFA_BYTES_LIMIT && cache <= CACHE_BYTES_LIMIT,
            "{shown}: {nfa} and {cache} bytes"
        );
    }
}

/// Pieces that make most patterns and paths related.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("b"),
        Just("ab"),
        Just("*"),
        Just("**"),
        Just("?"),
        Just("/"),
        Just("/"),
        Just("/**/"),
        Just("**/"),
        Just("[ab]"),
        Just("[!a]"),
        Just("{a,b*}"),
        Just("{a/b,b}"),
        Just("{,a}"),
        Just("\\*"),
        Just("."),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.*]{1,3}", 1..5).prop_map(|names| names.join("/"))
}

/// The same pattern for globset's own matcher.
fn globset_of(text: &str) -> GlobMatcher {
    let text = text
        .strip_prefix('.')
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    let glob = match text.strip_prefix('/') {
        Some(anchored) => anchored.to_owned(),
        None if text.contains('/') => text.to_owned(),
        None => format!("**/{text}"),
    };
    let mut builder = GlobBuilder::new(&glob);
    builder.literal_separator(true).empty_alternates(true);
    builder.build().expect("a pattern").compile_matcher()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn matches_are_those_of_globset_and_all_are_below_what_is_entered(
        text in text(),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let Ok(Some(mut pattern)) = Pattern::parse(&text) else {
            return Ok(());
        };
        let globset = globset_of(&text);
        for path in paths {
            let matches = pattern.matches(path.as_bytes()).expect("matched");
            prop_assert_eq!(matches, globset.is_match(&path), "{} {}", text, path);
            for (at, _) in path.match_indices('/').filter(|_| matches) {
                let entered = pattern.may_match_below(&path.as_bytes()[..at]);
                prop_assert_eq!(entered, Ok(true), "{} {}", text, path);
            }
        }
    }

    #[test]
    fn no_text_and_no_name_is_too_odd(text in "\\PC{0,40}|[\\[\\]{}*?,!^/\\\\a-]{0,40}", name in any::<Vec<u8>>()) {
        match Pattern::parse(&text) {
            Ok(Some(mut pattern)) => {
                prop_assert!(pattern.matches(&name).is_ok());
                prop_assert!(pattern.may_match_below(&name).is_ok());
            }
            Ok(None) => prop_assert_eq!(text, ""),
            Err(failure) => prop_assert_eq!(failure.code(), Code::BadPattern),
        }
    }
}
