//! A name on the command line means the existing user of that name, with any issuer.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Application, Directory, Instance, TestServer};

/// The issuer of the application's users: the name of its token.
const ISSUER: &str = "app";

/// A user that only the application has.
const EVE: &str = "eve@example.com";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn done(instance: &Instance, args: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = instance.command(args).output().expect("it runs");
    assert!(status.success(), "{args:?}: {}", text(&stderr));
    text(&stdout)
}

fn refused(instance: &Instance, args: &[&str]) -> String {
    let output = instance.command(args).output().expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    said
}

/// `ada` is a user over stdio and one of the application, `eve@example.com` only the latter.
async fn two_issuers(instance: &Instance) -> Application {
    let local = TestServer::on(instance).user("ada").start().await;
    local.shell("echo local > file").await;
    let application = Application::start(TestServer::on(instance)).await;
    for user in ["ada", EVE] {
        application.shell(user, "echo app > file").await;
    }
    application
}

#[tokio::test]
async fn a_bare_name_means_the_only_such_user_and_an_ambiguous_one_is_refused() {
    let instance = Instance::new();
    let _application = two_issuers(&instance).await;
    let containers = instance.containers().len();

    assert_eq!(done(&instance, &["exec", EVE, "--", "cat file"]), "app\n");
    for verb in [
        &["exec", "ada", "--", "true"][..],
        &["rm", "ada", "--force", "--volume"],
        &["hold", "ada"],
    ] {
        let said = refused(&instance, verb);
        assert!(
            said.contains("app, local") && said.contains("--issuer"),
            "{said}"
        );
    }
    for (issuer, content) in [("local", "local\n"), (ISSUER, "app\n")] {
        let args = ["exec", "ada", "--issuer", issuer, "--", "cat file"];
        assert_eq!(done(&instance, &args), content);
    }
    assert_eq!(instance.containers().len(), containers);
}

#[tokio::test]
async fn an_unknown_name_makes_no_sandbox_and_no_hold() {
    let instance = Instance::new();
    let _server = {
        let server = TestServer::on(&instance).user("ada").start().await;
        server.shell("true").await;
        server
    };
    for verb in [
        &["exec", "ghost", "--", "true"][..],
        &["exec", "ada", "--issuer", ISSUER, "--", "true"],
        &["rm", "ghost"],
        &["hold", "ghost"],
    ] {
        let said = refused(&instance, verb);
        assert!(said.contains("there is no user"), "{said}");
    }
    for verb in [
        &["exec", "ada", "--workspace", "chat", "--", "true"][..],
        &["hold", "ada", "--workspace", "chat"],
    ] {
        let said = refused(&instance, verb);
        assert!(said.contains("does not exist"), "{said}");
    }
    assert_eq!(instance.volumes().len(), 1);
    done(&instance, &["exec", "ghost", "--create", "--", "true"]);
    assert_eq!(instance.volumes().len(), 2);
}

#[tokio::test]
async fn ps_shows_the_issuer_and_what_destroys_says_whose_it_was() {
    let instance = Instance::new();
    let _application = two_issuers(&instance).await;
    let table = done(&instance, &["ps"]);
    let heading = table.lines().next().unwrap_or_default();
    assert!(
        heading.starts_with("USER") && heading.contains("ISSUER"),
        "{table}"
    );
    let eve = table.lines().find(|line| line.starts_with(EVE));
    assert!(eve.is_some_and(|line| line.contains(ISSUER)), "{table}");

    let removed = done(&instance, &["rm", EVE, "--force", "--volume"]);
    for line in removed.lines() {
        assert!(
            line.contains("of the user \"eve@example.com\" of \"app\""),
            "{removed}"
        );
    }
    assert!(removed.contains("volume"), "{removed}");
}

#[tokio::test]
async fn a_restore_into_an_empty_engine_finds_the_user_among_the_backups() {
    let instance = Instance::new();
    let store = Directory::new(0);
    let application = two_issuers(&instance).await;
    let to = ["--to", store.text()];
    done(&instance, &[&["backup", "--all"][..], &to].concat());
    drop(application);
    for issuer in ["local", ISSUER] {
        done(
            &instance,
            &["rm", "ada", "--issuer", issuer, "--force", "--volume"],
        );
    }
    done(&instance, &["rm", EVE, "--force", "--volume"]);
    assert!(instance.volumes().is_empty());

    let from = ["--from", store.text()];
    let listed = done(
        &instance,
        &[&["backup", "list", "--json"][..], &from].concat(),
    );
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    let users: Vec<_> = listed
        .iter()
        .map(|one| (&one["user"], &one["issuer"]))
        .collect();
    assert_eq!(users.len(), 3, "{users:?}");
    assert!(
        listed.iter().all(|one| one["complete"] == true),
        "{listed:?}"
    );
    let table = done(&instance, &[&["backup", "list", EVE][..], &from].concat());
    assert_eq!(table.lines().count(), 2, "{table}");

    let said = refused(&instance, &[&["restore", "ada"][..], &from].concat());
    assert!(said.contains("app, local"), "{said}");
    let said = refused(&instance, &[&["restore", "ghost"][..], &from].concat());
    assert!(
        said.contains("there is no user") && said.contains(store.text()),
        "{said}"
    );
    done(&instance, &[&["backup", "verify", EVE][..], &from].concat());
    let told = done(&instance, &[&["restore", EVE][..], &from].concat());
    assert!(told.contains("\"eve@example.com\" of \"app\""), "{told}");
    assert_eq!(done(&instance, &["exec", EVE, "--", "cat file"]), "app\n");
}
