//! An invalid egress setting is refused, with its location.

use super::*;

/// The message, without the path.
fn error(content: &str) -> String {
    let file = TempFile::new("egress", content);
    let error = refused(&["--config", file.path()], &[]);
    error.replace(&format!("{:?}", file.0), "FILE")
}

#[test]
fn what_is_not_valid_is_refused_with_file_line_key_and_reason() {
    for (content, message) in [
        (
            "[egress]\nallow = [\n  \"a.example.com\",\n  \"*.co.uk\",\n]",
            "key egress.allow[1] in line 4 of FILE: \"*.co.uk\" is not allowed: anybody can \
             register a name below this public suffix: name the hosts",
        ),
        (
            "[egress]\nallow = [\"a.example.com\"]\ndeny = [\n\"10.0.0.0/8\", \"10/8\"]",
            "key egress.deny[1] in line 4 of FILE: \"10/8\" is not allowed: a network is written \
             as in `10.1.2.0/24`",
        ),
        (
            "[egress]\nlists.a = [\"a.example.com\"]\nlists.\"b.c[0]\" = [\n\"d.example.com:0\"]",
            "key egress.lists.b.c[0][0] in line 4 of FILE: \"d.example.com:0\" is not allowed: a \
             port is a number from 1 to 65535",
        ),
        (
            "[egress]\nallow = [\"@python\"]",
            "key egress.allow[0] in line 2 of FILE: \"@python\" is not allowed: no such list in \
             [egress.lists]",
        ),
        (
            "[egress]\n\ncontact = \"a\\nb\"",
            "key egress.contact in line 3 of FILE: \"a\\nb\" is not allowed: one line of at most \
             200 characters",
        ),
        (
            "egress_allow = \"a.example.com,b\"",
            "key egress_allow in line 1 of FILE: \"b\" is not allowed: names of one part, names \
             that begin with wpad., and names under .localhost, .local, .internal and .arpa are \
             never looked up",
        ),
        (
            "[[users]]\nuser = \"a\"\n\n[users.egress]\nallow = [\"a.example.com\",\n\"b/tcp\"]",
            "key egress.allow[1] in line 6 of FILE: \"b/tcp\" is not allowed: names of one part, \
             names that begin with wpad., and names under .localhost, .local, .internal and .arpa \
             are never looked up",
        ),
    ] {
        assert_eq!(error(content), message);
    }
    for address in ["127.0.0.1", "0x7f000001:443", "[::1]:443", "::1", "127.1"] {
        let message = error(&format!("[egress]\nallow = [{address:?}]"));
        let start = format!("key egress.allow[0] in line 2 of FILE: {address:?} is not allowed: ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn the_variable_and_the_flag_are_named_with_the_entry_that_is_wrong() {
    let variable = [("CASEMATE_EGRESS_ALLOW", "a.example.com,*.com")];
    let reason = "anybody can register a name below this public suffix: name the hosts";
    assert_eq!(
        refused(&[], &variable),
        format!("variable CASEMATE_EGRESS_ALLOW: \"*.com\" is not allowed: {reason}")
    );
    assert_eq!(
        refused(&["--egress-allow", "*.com"], &[]),
        format!("flag --egress-allow: \"*.com\" is not allowed: {reason}")
    );
    // Of the table's other parts the place is still the file's.
    let file = TempFile::new("deny", "[egress]\ndeny = [\"a\"]");
    let message = refused(
        &["--config", file.path()],
        &[("CASEMATE_EGRESS_ALLOW", "a.example.com")],
    );
    assert!(
        message.starts_with("key egress.deny[0] in line 2 of "),
        "{message}"
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_with_line_and_key() {
    for (content, message) in [
        (
            "[egress]\nalow = []",
            "unknown key \"alow\" in line 2 of FILE; the nearest known one is allow",
        ),
        (
            "[egress]\nallow = [\n{ host = \"a.example.com\",\n  prot = 1 }]",
            "unknown key \"prot\" in line 4 of FILE; the nearest known one is port",
        ),
        (
            "[egress]\nlists.a = [{ hots = 1 }]",
            "unknown key \"hots\" in line 2 of FILE; the nearest known one is host",
        ),
        (
            "[[users]]\nuser = \"a\"\negress = { deny = [] }",
            "unknown key \"deny\" in line 3 of FILE; the nearest known one is extend",
        ),
        (
            "[egres]",
            "unknown key \"egres\" in line 1 of FILE; the nearest known one is egress",
        ),
        (
            "\negress = [\"a.example.com\"]",
            "line 2 of FILE: egress is a table, found array",
        ),
        (
            "[egress]\nallow = \"a.example.com\"",
            "key egress.allow in line 2 of FILE: invalid type: string \"a.example.com\", expected \
             a sequence",
        ),
        (
            "[egress]\nallow = [\n\"a.example.com\",\n7]",
            "key egress.allow[1] in line 4 of FILE: invalid type: integer `7`, expected a host as \
             in \"example.com:443\", or a table with `host`",
        ),
        (
            "[egress]\nallow = [{ host = \"a.example.com\", port = 70000 }]",
            "key egress.allow[0].port in line 2 of FILE: invalid value: integer `70000`, expected \
             u16",
        ),
        (
            "[egress]\nallow = [{ port = 7 }]",
            "key egress.allow[0] in line 2 of FILE: missing field `host`",
        ),
        (
            "[[users]]\nuser = \"a\"\negress_allow = \"a.example.com\"",
            "key egress_allow in line 3 of FILE: it holds for all users; a user may have: mode, \
             profile, image, memory, cpus, pids, quota, idle_timeout, background_ttl, calls_per_user, \
             ephemeral_live, sandboxes_per_user, workspaces_per_user, share_links, share_link_max, egress, shared",
        ),
        (
            "egress_allow = \"a.example.com\"\n[egress]\nallow = []",
            "key egress_allow in line 1 of FILE: allow in [egress] is the same setting: line 3 of \
             FILE",
        ),
    ] {
        assert_eq!(error(content), message);
    }
}

#[test]
fn an_error_about_a_long_text_is_short() {
    let long = "é".repeat(100_000);
    for content in [
        format!("[egress]\nallow = [\"{long}\"]"),
        format!("[egress]\nallow = \"{long}\""),
        format!("[egress]\nlists.\"{long}\" = [\"-\"]"),
        format!("[egress]\nlists.\"{long}\" = 7"),
        format!("[[users]]\nuser = \"a\"\negress.extend = \"{long}\""),
    ] {
        let message = error(&content);
        assert!(message.len() < 1_000, "{message}");
    }
}
