//! An invalid table of a group is refused, with its location.

use super::*;

/// The message, without the path.
fn refusal(content: &str) -> String {
    let file = TempFile::new("groups", content);
    let error = refused(&["--config", file.path()], &[]);
    error.replace(&format!("{:?}", file.0), "FILE")
}

#[test]
fn what_is_wrong_with_a_table_is_told_with_its_line() {
    let name = "[[groups]]\nname = \"a\"\n";
    for (content, expected) in [
        (
            "groups = 1",
            "line 1 of FILE: groups are [[groups]] tables, found integer",
        ),
        (
            "[[groups]]\nusers = []",
            "line 1 of FILE: a [[groups]] table needs the key name",
        ),
        (
            name,
            "line 1 of FILE: a [[groups]] table needs one of the keys users, claims and delegate",
        ),
        (
            &format!("{name}users = []\ndelegate = \"a\""),
            "line 1 of FILE: a [[groups]] table needs one of the keys users, claims and delegate",
        ),
        (
            &format!("{name}users = \"a\""),
            "line 3 of FILE: users of a group are a list of names, found string",
        ),
        (&format!("{name}users = [[]]"), "expected text"),
        (
            &format!("{name}claims = {{}}"),
            "line 3 of FILE: claims of a group are a table",
        ),
        (
            &format!("{name}claims = {{ a = 1 }}"),
            "line 3 of FILE: claims of a group are a table",
        ),
        (
            &format!("{name}delegate = \"local\""),
            "key delegate in line 3 of FILE: \"local\" is not the name of a delegate's token",
        ),
        (
            &format!("{name}delegate = \"https://a.example\""),
            "is not the name of a delegate's token",
        ),
        (
            &format!("{name}delegate = \"a\"\nissuer = \"b\""),
            "key issuer in line 4 of FILE: it is the issuer of users",
        ),
        (
            &format!("{name}users = [\"b\",\n\"c\",\n\"b\"]"),
            "line 5 of FILE: \"b\" of \"local\" is in the list of a group already, in line 3",
        ),
        (
            &format!("{name}users = [\"b\"]\n[[groups]]\nname = \"c\"\nusers = [\"d\", \"b\"]"),
            "line 6 of FILE: \"b\" of \"local\" is in the list of a group already, in line 3",
        ),
        (
            &format!("{name}users = []\n{name}users = []"),
            "line 4 of FILE: a has a [[groups]] table already, in line 1",
        ),
        (
            "[[groups]]\nname = \"A b\"\nusers = []",
            "key name in line 2 of FILE: \"A b\" is not allowed: a group's name has 1 to 64",
        ),
        (&format!("{name}users = [\" \"]"), "the subject is blank"),
        (
            &format!("{name}claims = {{ a = \"b\" }}\nmode = \"ephemeral\""),
            "key mode in line 4 of FILE: the mode says where the workspace is",
        ),
        (
            &format!(
                "{name}claims = {{ a = \"b\" }}\n[[groups]]\nname = \"c\"\nusers = [\"d\"]\n\
                 issuer = \"https://a.example\"\nmode = \"ephemeral\""
            ),
            "key mode in line 8 of FILE: the mode says where the workspace is",
        ),
        (
            &format!("{name}usres = []"),
            "the nearest known one is users",
        ),
        (
            &format!("{name}users = []\nlog = \"info\""),
            "it holds for all users",
        ),
        (
            &format!("{name}users = []\nmemory = \"1\""),
            "key memory in line 4 of FILE",
        ),
        (
            &format!("{name}users = []\negress = {{ allow = [\"*.com\"] }}"),
            "key egress.allow[0] in line 4 of FILE",
        ),
    ] {
        let error = refusal(content);
        assert!(error.contains(expected), "{content}\n{error}");
    }
}
