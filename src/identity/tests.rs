//! Case 7 of the isolation cases, and what every name promises.

use proptest::prelude::*;

use super::*;

fn user(issuer: &str, subject: &str) -> User {
    User {
        issuer: issuer.parse().unwrap(),
        subject: subject.parse().unwrap(),
    }
}

fn name(subject: &str) -> SandboxName {
    SandboxName::new(&Instance::default(), &user("local", subject).into())
}

/// moby, `daemon/names/names.go`: `[a-zA-Z0-9][a-zA-Z0-9_.-]`.
fn is_valid_for_docker(name: &str) -> bool {
    name.len() > 1
        && name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// The strings of case 7 that are users.
fn lookalikes() -> Vec<String> {
    let mut ids: Vec<String> = [
        "a/b",
        "a_b",
        "a.b",
        "A/B",
        "a%2Fb",
        "a b",
        "a-b",
        "a",
        "a ",
        " a",
        "a\u{a0}",
        "a\u{200b}",
        "\u{e9}",
        "e\u{301}",
        "..",
        ".",
        "-rf",
        "user",
        "\u{212a}",
        "k",
        "K",
        "\u{430}",
    ]
    .map(str::to_owned)
    .to_vec();
    ids.push(format!("{}x", "s".repeat(ID_BYTES - 1)));
    ids.push(format!("{}y", "s".repeat(ID_BYTES - 1)));
    ids
}

#[test]
fn ids_that_look_alike_have_sandboxes_of_their_own() {
    let ids = lookalikes();
    let mut names: Vec<SandboxName> = ids.iter().map(|id| name(id)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), ids.len());
}

#[test]
fn issuer_and_subject_do_not_run_into_each_other() {
    let name =
        |issuer, subject| SandboxName::new(&Instance::default(), &user(issuer, subject).into());
    assert_ne!(name("ab", "c"), name("a", "c"));
    // One slug, `c`, and one text when joined.
    assert_ne!(name("a/", "c"), name("a", "/c"));
}

/// Containers and volumes of older versions are found by these.
#[test]
fn the_name_of_a_users_sandbox_is_the_same_in_every_version() {
    let of = |user: &User| SandboxName::new(&Instance::default(), &user.clone().into()).to_string();
    let alice = user("local", "alice");
    assert_eq!(of(&alice), "casemate-default-alice-b6ecd04de4aa");
    let remote = user("https://id.example.com", "auth0|5");
    assert_eq!(of(&remote), "casemate-default-auth0-5-ad5e8e354c0c");
}

#[test]
fn an_id_that_cannot_be_kept_exactly_is_refused() {
    use IdentityError::{Blank, Control, TooLong};
    let what = "subject";
    let refused = |text: &str| text.parse::<Subject>().unwrap_err();

    for blank in ["", " ", "\u{3000}\u{a0}"] {
        assert_eq!(refused(blank), Blank(what));
    }
    for (text, code) in [
        ("a\0", 0),
        ("a\n", 0xa),
        ("\u{1b}[2J", 0x1b),
        ("\u{85}", 0x85),
    ] {
        assert_eq!(refused(text), Control { what, code });
    }
    for last in ["x", "y"] {
        let bytes = 10_000;
        let long = "s".repeat(bytes - 1) + last;
        assert_eq!(refused(&long), TooLong { what, bytes });
    }
    assert_eq!("".parse::<Issuer>().unwrap_err(), Blank("issuer"));
}

#[test]
fn a_name_shows_instance_and_slug_and_stays_the_same_in_all_versions() {
    let instance: Instance = "ci-7".parse().unwrap();
    let user = user("https://id.example.com", "Alice.Smith@Example.COM");
    // printf '\0\0\0\0\0\0\0\026https://id.example.com\0\0\0\0\0\0\0\027Alice.Smith@Example.COM' |
    // sha256sum
    assert_eq!(
        SandboxName::new(&instance, &user.into()).as_str(),
        "casemate-ci-7-alice-smith-example-com-32817d08bcc5"
    );
}

#[test]
fn an_instance_is_lower_case_and_short() {
    for good in ["default", "0", "ci_7-b", &"a".repeat(32)] {
        assert_eq!(good.parse::<Instance>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "-a",
        "_a",
        "A",
        "aB",
        "a.b",
        "a b",
        "é",
        &"a".repeat(33),
    ] {
        assert_eq!(bad.parse::<Instance>(), Err(IdentityError::Instance));
    }
}

#[test]
fn a_shown_user_cannot_break_out_of_its_line() {
    let user = user("local", "eve\u{202e}\" of \"root");
    assert_eq!(user.to_string(), r#""eve\u{202e}\" of \"root" of "local""#);
    assert!(format!("{user:?}").contains(r#""eve\u{202e}\" of \"root""#));
}

/// Few letters, so that two ids are often neighbours.
fn near_id() -> impl Strategy<Value = String> {
    let letters = prop::sample::select(vec!['a', 'b', 'A', '-', '/', '.', 'é', '1']);
    prop::collection::vec(letters, 1..5).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn two_users_never_share_a_name(a in (near_id(), near_id()), b in (near_id(), near_id())) {
        let instance = Instance::default();
        let [first, second] = [&a, &b].map(|(issuer, subject)| user(issuer, subject));
        let [first, second] = [first, second].map(WorkspaceId::from);
        let same = SandboxName::new(&instance, &first) == SandboxName::new(&instance, &second);
        prop_assert_eq!(same, a == b);
    }

    #[test]
    fn every_name_is_valid_for_docker(
        issuer in any::<String>(),
        subject in any::<String>(),
        instance in "[a-z0-9][a-z0-9_-]{0,31}",
    ) {
        if let (Ok(issuer), Ok(subject)) = (issuer.parse(), subject.parse()) {
            let instance = instance.parse().unwrap();
            let name = SandboxName::new(&instance, &User { issuer, subject }.into());
            prop_assert!(is_valid_for_docker(name.as_str()), "{}", name);
        }
    }

    #[test]
    fn an_accepted_id_is_kept_byte_for_byte(text in any::<String>()) {
        if let Ok(subject) = text.parse::<Subject>() {
            prop_assert_eq!(subject.as_str(), text);
        }
    }
}
