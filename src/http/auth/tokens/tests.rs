//! The holders of tokens, and the syntax of the file.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use proptest::prelude::*;

use super::*;
use crate::http::auth::testing::TempFile;
use crate::identity::Scope;

fn hex(digest: TokenDigest) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A row of the file for the token `token`.
fn row(name: &str, token: &str, rest: &str) -> String {
    let sha256 = hex(digest(token));
    format!("[[tokens]]\nname = {name:?}\nsha256 = {sha256:?}\n{rest}\n")
}

fn parsed(text: &str) -> Result<Vec<Token>, String> {
    let path: Arc<Path> = Path::new("t.toml").into();
    parse(&path, text).map_err(|error| error.to_string())
}

fn tokens() -> Tokens {
    let rows = [
        row("alice", "cm_alice", "user = \"alice\""),
        row(
            "alice-2",
            "cm_alice2",
            "user = \"alice\"\nscopes = [\"tools\"]",
        ),
        row("nothing", "cm_nothing", "user = \"alice\"\nscopes = []"),
        row(
            "webapp",
            "cm_webapp",
            "delegate = true\nscopes = [\"files\"]",
        ),
    ];
    let file = TempFile::new(&rows.concat());
    Tokens::load(file.path(), Arc::default()).unwrap()
}

/// The holder of `token`, in a request with these `X-Casemate-User` headers.
fn who(token: &str, users: &[&[u8]]) -> Result<(String, String, Scopes), AuthRejection> {
    let mut headers = HeaderMap::new();
    headers.append(AUTHORIZATION, format!("Bearer {token}").try_into().unwrap());
    for user in users {
        headers.append(USER_HEADER, user.to_vec().try_into().unwrap());
    }
    let bearer = Bearer::of(&headers).unwrap();
    let Principal { identity, scopes } = tokens().principal(&bearer, &headers)?;
    let user = identity.user;
    Ok((
        user.issuer.as_str().to_owned(),
        user.subject.as_str().to_owned(),
        scopes,
    ))
}

fn is(
    issuer: &str,
    subject: &str,
    scopes: Scopes,
) -> Result<(String, String, Scopes), AuthRejection> {
    Ok((issuer.to_owned(), subject.to_owned(), scopes))
}

#[test]
fn a_token_is_its_user_with_its_scopes() {
    let tools = Scopes::NONE.with(Scope::Tools);
    assert_eq!(who("cm_alice", &[]), is("local", "alice", Scopes::ALL));
    assert_eq!(who("cm_alice2", &[]), is("local", "alice", tools));
    assert_eq!(who("cm_nothing", &[]), is("local", "alice", Scopes::NONE));
}

#[test]
fn a_token_that_is_not_in_the_file_is_nobody() {
    let shown = hex(digest("cm_alice"));
    for token in ["cm_alic", "cm_alice3", "CM_ALICE", "alice", shown.as_str()] {
        assert_eq!(
            who(token, &[]),
            Err(AuthRejection::Invalid("it is not known")),
            "{token}"
        );
    }
}

#[test]
fn a_delegate_speaks_for_the_user_it_names_under_its_own_name() {
    let files = Scopes::NONE.with(Scope::Files);
    for user in ["bob", "a/b", "local", "é", "a%2Fb"] {
        assert_eq!(
            who("cm_webapp", &[user.as_bytes()]),
            is("webapp", user, files)
        );
    }
}

#[test]
fn a_delegate_names_exactly_one_user() {
    assert_eq!(who("cm_webapp", &[]), Err(AuthRejection::WhichUser));
    assert_eq!(
        who("cm_webapp", &[b"bob", b"bob"]),
        Err(AuthRejection::WhichUser)
    );
    assert_eq!(
        who("cm_webapp", &[b"\xff"]),
        Err(AuthRejection::UserNotUtf8)
    );
    let long = "a".repeat(2_000);
    for user in ["", "a\tb", &long] {
        let refused = who("cm_webapp", &[user.as_bytes()]);
        assert!(
            matches!(refused, Err(AuthRejection::BadUser(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_user_speaks_for_nobody_else_not_even_for_themselves() {
    for user in [&b"bob"[..], b"alice", b""] {
        assert_eq!(who("cm_alice", &[user]), Err(AuthRejection::NotADelegate));
    }
}

#[test]
fn a_delegate_may_have_an_old_token_and_a_new_one() {
    let text = row("webapp", "old", "delegate = true") + &row("webapp", "new", "delegate = true");
    assert_eq!(parsed(&text).unwrap().len(), 2);
}

#[test]
fn an_empty_file_has_no_token() {
    assert_eq!(parsed(""), Ok(Vec::new()));
}

/// The error names `line` and contains `message`, but no value of the file.
fn check_error(text: &str, line: usize, message: &str) {
    let error = parsed(text).unwrap_err();
    let start = format!("line {line} of \"t.toml\": ");
    assert!(error.starts_with(&start), "{text}: {error}");
    assert!(error.contains(message), "{text}: {error}");
    assert!(!error.contains("cm_leak"), "{text}: {error}");
}

#[test]
fn an_error_of_syntax_or_type_names_its_line_and_no_value() {
    for (text, line, message) in [
        ("[[tokens]\n", 1, ""),
        ("tokens = 1", 1, "a value is not what"),
        ("token = \"cm_leak\"", 1, "an unknown key"),
        ("cm_leak = 1", 1, "an unknown key"),
        (
            "[[tokens]]\nname = \"a\"\nuser = \"b\"",
            1,
            "missing field `sha256`",
        ),
        (
            &row("a", "", "user = \"b\"\ntoken = \"cm_leak\""),
            5,
            "an unknown key",
        ),
        (
            &row("a", "", "user = \"b\"\ncm_leak = 1"),
            5,
            "an unknown key",
        ),
        (
            &row("a", "", "delegate = \"cm_leak\""),
            4,
            "a value is not what",
        ),
        (
            &row("a", "", "user = [\"cm_leak\"]"),
            4,
            "a value is not what",
        ),
        (
            &row("a", "", "user = \"b\"\nscopes = \"cm_leak\""),
            5,
            "a value is not what",
        ),
        (
            &row("a", "", "user = \"b\"\nscopes = [\"cm_leak\"]"),
            5,
            "the scopes are tools and files",
        ),
    ] {
        check_error(text, line, message);
    }
}

#[test]
fn an_error_of_a_value_names_its_line_and_not_the_value() {
    let good = row("alice", "cm_alice", "user = \"alice\"");
    for (text, line, message) in [
        (&row("a", "", ""), 1, "one of user, delegate"),
        (
            &row("a", "", "user = \"b\"\ndelegate = true"),
            1,
            "one of user, delegate",
        ),
        (
            &row("a", "", "delegate = false"),
            1,
            "one of user, delegate",
        ),
        (&row("a", "", "user = \" \""), 4, "the subject is blank"),
        (&row("local", "", "delegate = true"), 2, "is not `local`"),
        (
            &row("https://id.example.com", "", "delegate = true"),
            2,
            "a token's name has",
        ),
        (
            &format!("{good}{}", row("b", "cm_alice", "delegate = true")),
            7,
            "the same sha256",
        ),
        (
            &"[[tokens]]\nname = \"a\"\nsha256 = \"cm_leak\"\nuser = \"b\"".to_owned(),
            3,
            "64 hexadecimal digits",
        ),
    ] {
        check_error(text, line, message);
    }
}

#[test]
fn a_new_token_has_256_random_bits_and_is_found_by_its_digest() {
    let (one, other) = (generate().unwrap(), generate().unwrap());
    assert_ne!(one, other);
    assert_eq!(URL_SAFE_NO_PAD.decode(&one[3..]).unwrap().len(), 32);
    assert!(one.starts_with("cm_"));
    let tokens = parsed(&row("a", &one, "user = \"b\"")).unwrap();
    assert!(find(&tokens, &digest(&one)).is_some());
    assert!(find(&tokens, &digest(&other)).is_none());
}

proptest! {
    #[test]
    fn a_digest_is_found_exactly_if_it_is_there(digests: [[u8; 1]; 4], wanted: [u8; 1]) {
        let tokens: Vec<Token> = digests.iter().map(|seed| Token {
            name: "a".parse().unwrap(),
            digest: Sha256::digest(seed).into(),
            holder: Holder::Delegate,
            scopes: Scopes::ALL,
        }).collect();
        let found = find(&tokens, &Sha256::digest(wanted).into());
        prop_assert_eq!(found.is_some(), digests.contains(&wanted));
    }
}
