//! Tokens from a file.

use super::super::harness::Instance;
use super::*;

/// A server whose tokens are these tables.
pub fn server(file: &SettingFile) -> TestServer {
    TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
}

/// A new token as the command line prints it: the secret, and its entry for the file.
pub fn token(flags: &[&str]) -> (String, String) {
    let (code, table, errors) = casemate(&[&["token"], flags].concat(), &[]);
    assert_eq!(code, Some(0), "{errors}");
    let token = errors.lines().find(|line| line.starts_with("cm_"));
    (token.expect("a token").to_owned(), table)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_token_of_the_command_line_opens_and_nothing_else_does() {
    let (alice, table) = token(&["--user", "alice"]);
    let file = SettingFile::new(&table);
    let server = server(&file).start_http().await;
    assert_eq!(with_token(&server, &alice).await.0, 200);

    let realm = r#"Bearer realm="casemate""#;
    let basic = [("authorization", "Basic YWxpY2U6YQ==")];
    for headers in [
        &[][..],
        &basic,
        &[("cookie", &alice)],
        &[("x-api-key", &alice)],
    ] {
        assert_eq!(
            asked(&server, headers).await,
            (401, realm.to_owned()),
            "{headers:?}"
        );
    }
    let (_, other) = token(&["--user", "alice"]);
    let digest = other
        .split('"')
        .find(|word| word.len() == 64)
        .expect("a digest");
    let (long, cut) = ("a".repeat(16 * 1024), &alice[..alice.len() - 1]);
    for wrong in [
        &token(&["--user", "alice"]).0,
        digest,
        cut,
        &long,
        "a b",
        "",
    ] {
        let (status, challenge) = with_token(&server, wrong).await;
        assert_eq!(status, 401, "{wrong}");
        assert!(challenge.starts_with("Bearer"), "{challenge}");
    }
    let (bearer, twice) = (bearer(&alice), "authorization");
    assert_eq!(
        asked(&server, &[(twice, &bearer), (twice, &bearer)])
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn the_query_is_no_place_for_a_token_and_every_route_asks_for_one() {
    let (alice, table) = token(&["--user", "alice"]);
    let file = SettingFile::new(&table);
    let server = server(&file).start_http().await;
    for path in ["/mcp", "/sse", "/messages"] {
        for query in [
            "",
            &format!("?access_token={alice}"),
            &format!("?token={alice}"),
        ] {
            for method in ["GET", "POST", "DELETE"] {
                let request = server.request(method, &format!("{path}{query}"));
                let answer = server.send(request, "").await;
                assert_eq!(answer.status(), 401, "{method} {path}{query}");
                assert!(answer.header("www-authenticate").starts_with("Bearer"));
            }
        }
    }
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_which_one_is_needed() {
    let (files, first) = token(&["--user", "alice", "--scopes", "files"]);
    let (tools, second) = token(&["--user", "alice", "--scopes", "tools"]);
    let file = SettingFile::new(&(first + &second));
    let server = server(&file).start_http().await;
    let challenge = r#"Bearer realm="casemate", error="insufficient_scope", scope="tools""#;
    assert_eq!(
        with_token(&server, &files).await,
        (403, challenge.to_owned())
    );
    assert_eq!(with_token(&server, &tools).await.0, 200);
}

#[tokio::test]
async fn only_a_delegate_may_name_its_user() {
    let (app, first) = token(&["--delegate", "webapp"]);
    let (alice, second) = token(&["--user", "alice"]);
    let file = SettingFile::new(&(first + &second));
    let server = server(&file).start_http().await;
    let (app, alice) = (bearer(&app), bearer(&alice));
    let user = |name| ("x-casemate-user", name);
    let long = "a".repeat(2_000);
    for (token, users, status) in [
        (&app, &[user("bob")][..], 200),
        (&app, &[], 400),
        (&app, &[user("")], 400),
        (&app, &[user(&long)], 400),
        (&app, &[user("bob"), user("eve")], 400),
        (&alice, &[user("bob")], 403),
        (&alice, &[user("alice")], 403),
    ] {
        let headers = [&[("authorization", token.as_str())], users].concat();
        assert_eq!(asked(&server, &headers).await.0, status, "{users:?}");
    }
    // A caller without a valid token learns nothing about it.
    assert_eq!(asked(&server, &[user("bob")]).await.0, 401);
}

#[tokio::test]
async fn a_user_is_the_one_of_stdio_and_a_delegates_users_are_its_own() {
    let instance = Instance::new();
    let (alice, first) = token(&["--user", "alice"]);
    let (app, second) = token(&["--delegate", "webapp"]);
    let file = SettingFile::new(&(first + &second));
    let over_stdio = TestServer::on(&instance).user("alice").start().await;
    over_stdio.write("whose", "alice of local").await;
    let server = TestServer::on(&instance)
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
        .start_http()
        .await;

    let path = json!({ "path": "whose" });
    let alice = [("authorization", &*bearer(&alice))];
    let read = call(&server, &alice, "read_file", path.clone()).await;
    assert_eq!(read.text(), "alice of local");

    let app = bearer(&app);
    let their_alice = [("authorization", &*app), ("x-casemate-user", "alice")];
    let read = call(&server, &their_alice, "read_file", path).await;
    assert!(read.is_error(), "{read:?}");
    assert_eq!(instance.volumes().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_added_works_soon_and_one_that_is_taken_out_no_longer() {
    let (first, first_table) = token(&["--user", "alice"]);
    let (second, second_table) = token(&["--user", "bob"]);
    let file = SettingFile::new(&first_table);
    let (server, log) = logged(server(&file)).await;
    let is = async |token: &str, status: u16| with_token(&server, token).await.0 == status;
    assert!(is(&first, 200).await && is(&second, 401).await);

    file.write(&(first_table.clone() + &second_table));
    eventually("the new token works", SOON, || is(&second, 200)).await;
    assert!(is(&first, 200).await);

    file.write(&second_table);
    eventually("the old token does not", SOON, || is(&first, 401)).await;
    assert!(is(&second, 200).await);

    // An invalid file: its last valid content stays in force, and the log says why, once.
    file.write("[[tokens]]\nname = \"a\"\ntoken = \"cm_in_the_wrong_place\"\n");
    let complaints = || {
        let text = fs::read_to_string(log.path()).expect("a log");
        assert!(!text.contains("cm_in_the_wrong_place"));
        text.matches("what it said before holds").count()
    };
    let complained = async || {
        assert!(is(&second, 200).await);
        complaints() > 0
    };
    eventually("the log says so", SOON, complained).await;
    // The next change is noticed after other checks of the broken file.
    file.write(&first_table);
    eventually("it is good again", SOON, || is(&second, 401)).await;
    assert!(is(&first, 200).await);
    assert_eq!(complaints(), 1);
}

#[test]
fn settings_that_admit_everybody_or_nobody_are_refused_with_the_reason() {
    let file = SettingFile::new("[[tokens]]\nname = \"a\"\ntoken = \"cm_secret\"\n");
    let (path, nowhere) = (file.text(), "/nonexistent/tokens.toml");
    let tokens = ("CASEMATE_AUTH", "tokens");
    let bind = ("CASEMATE_MODE", "bind");
    for (address, variables, parts) in [
        (
            "0.0.0.0:0",
            &[][..],
            &["0.0.0.0:0", "not a loopback", "CASEMATE_AUTH"][..],
        ),
        ("[::]:0", &[], &["[::]:0", "not a loopback"]),
        (
            "0.0.0.0:0",
            &[("CASEMATE_AUTH", "none")],
            &["not a loopback"],
        ),
        ("127.0.0.1:0", &[tokens], &["CASEMATE_AUTH", "tokens_file"]),
        (
            "127.0.0.1:0",
            &[("CASEMATE_AUTH", "jwt")],
            &["CASEMATE_AUTH", "jwt_issuer"],
        ),
        (
            "127.0.0.1:0",
            &[("CASEMATE_TOKENS_FILE", &path)],
            &["CASEMATE_TOKENS_FILE", "no effect"],
        ),
        (
            "127.0.0.1:0",
            &[tokens, ("CASEMATE_TOKENS_FILE", &path)],
            &["line 3 of", "unknown key"],
        ),
        (
            "127.0.0.1:0",
            &[tokens, ("CASEMATE_TOKENS_FILE", nowhere)],
            &["cannot read", nowhere],
        ),
        (
            "127.0.0.1:0",
            &[
                tokens,
                ("CASEMATE_TOKENS_FILE", &path),
                bind,
                ("CASEMATE_BIND_DIR", "/srv"),
            ],
            &["bind_dir", "bind_root"],
        ),
    ] {
        let (code, output, errors) = casemate(&["serve", "--http", address], variables);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "{part:?} is not in {errors}");
        }
        assert!(!errors.contains("cm_secret"), "{errors}");
    }
}

#[tokio::test]
async fn no_token_is_in_the_log_accepted_or_refused() {
    let (alice, first) = token(&["--user", "alice"]);
    let (app, second) = token(&["--delegate", "webapp"]);
    let (stranger, _) = token(&["--user", "eve"]);
    let file = SettingFile::new(&(first + &second));
    let (mut server, log) = logged(server(&file)).await;
    for (token, status) in [(&alice, 200), (&stranger, 401), (&app, 400)] {
        assert_eq!(with_token(&server, token).await.0, status);
    }
    let alice_is = [("authorization", &*bearer(&alice))];
    call(&server, &alice_is, "read_file", json!({ "path": "/" })).await;
    server.signal("TERM");
    server.wait().await;

    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(log.contains("TRACE") && log.contains("refused"), "{log}");
    for token in [&alice, &stranger, &app] {
        assert!(!log.contains(&token["cm_".len()..]), "{log}");
    }
}
