//! Which links open, and for whom. All wrong links look the same.

use super::*;

#[tokio::test]
async fn a_private_link_opens_for_its_user_alone() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    write(&server, "ada", "a.txt", "of ada").await;
    write(&server, "bob", "a.txt", "of bob").await;
    let (shared, link) = share(&server, "ada", "a.txt").await;
    assert_eq!(shared.field("visibility"), "private");
    assert_eq!(open_as(&server, "ada", &link).await.text(), "of ada");

    // As a browser opens it, from a chat on another site.
    let cookie = session(&server, "ada").await;
    let headers = [NAVIGATION[0], NAVIGATION[1], ("cookie", cookie.as_str())];
    assert_eq!(open(&server, &link, &headers).await.text(), "of ada");

    let stranger = open(&server, &link, &NAVIGATION).await;
    assert_eq!(stranger.status, 403);
    assert!(stranger.text().contains("Sign in"), "{}", stranger.text());
    assert!(!stranger.text().contains("ada"), "{}", stranger.text());

    let nothing = open_as(&server, "ada", "/s/x").await;
    let bob = session(&server, "bob").await;
    let headers = [NAVIGATION[0], NAVIGATION[1], ("cookie", bob.as_str())];
    assert_eq!(
        open(&server, &link, &headers).await,
        nothing,
        "bob, signed in"
    );
    assert_eq!(open_as(&server, "bob", &link).await, nothing, "bob's token");
    let wrong = open(&server, &link, &[("authorization", "Bearer cm_none")]).await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn a_link_that_is_wrong_in_any_way_has_one_and_the_same_answer() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    let instance = server.instance.name().to_owned();
    write(&server, "ada", "a.txt", "a").await;
    write(&server, "ada", "b.txt", "b").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let (_, other) = share(&server, "ada", "b.txt").await;
    let (link_parts, other_parts) = (parts(&link), parts(&other));
    let id = &link_parts[1];
    let later: u64 = link_parts[2].parse().expect("a time");
    // The documented form is what the server makes.
    assert_eq!(signed(&KEY, &instance, "ada", id, later), link);
    let nothing = open_as(&server, "ada", "/s/x").await;
    assert_eq!(
        (nothing.status, nothing.code()),
        (404, "not_found".to_owned())
    );

    let mixed = |at: usize| {
        let mut parts = link_parts.clone();
        parts[at] = other_parts[at].clone();
        format!("/s/{}", parts.join("."))
    };
    let unknown = "0123456789abcdef0123456789abcdef";
    for (what, wrong) in [
        ("cut", link[..link.len() - 1].to_owned()),
        (
            "without a signature",
            format!("/s/{}", link_parts[..3].join(".")),
        ),
        ("longer", format!("{link}A")),
        ("another share", mixed(1)),
        ("another signature", mixed(3)),
        (
            "another key",
            signed(&OTHER_KEY, &instance, "ada", id, later),
        ),
        ("another instance", signed(&KEY, "other", "ada", id, later)),
        ("another user", signed(&KEY, &instance, "bob", id, later)),
        ("over", signed(&KEY, &instance, "ada", id, now())),
        (
            "no such share",
            signed(&KEY, &instance, "ada", unknown, later),
        ),
        ("huge", format!("/s/{}", "a".repeat(10_000))),
        ("escaped", link.replace('.', "%00")),
    ] {
        assert_eq!(open_as(&server, "ada", &wrong).await, nothing, "{what}");
    }
    assert_eq!(
        open_as(&server, "ada", &link).await.text(),
        "a",
        "it still opens"
    );

    // The end of a share is the end of its file.
    run(&server, "ada", &format!("rm .casemate/shares/{id}.json")).await;
    assert_eq!(open_as(&server, "ada", &link).await, nothing, "ended");
    // And its time may be over before that of the link.
    let id = &other_parts[1];
    let past = format!(
        "sed -i 's/\"expires_at\": \".*\"/\"expires_at\": \"2020-01-01T00:00:00Z\"/' .casemate/shares/{id}.json"
    );
    run(&server, "ada", &past).await;
    assert_eq!(
        open_as(&server, "ada", &other).await,
        nothing,
        "over by its file"
    );
}

#[tokio::test]
async fn a_user_lists_their_own_shares_and_ends_one() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    write(&server, "ada", "a.txt", "a").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    let id = parts(&link)[1].clone();
    let bearer = |user: &str| format!("Bearer cm_{user}");
    let list = async |user: &str| {
        let listed = send(
            &server,
            "GET",
            "/shares",
            &[("authorization", &bearer(user))],
        )
        .await;
        let json: Value = serde_json::from_slice(&listed.body).expect("JSON");
        json["data"].clone()
    };
    let listed = list("ada").await;
    let share = &listed["shares"][0];
    assert_eq!(
        (&share["id"], &share["path"]),
        (&json!(id), &json!("a.txt"))
    );
    assert_eq!(
        (&share["visibility"], &listed["more"]),
        (&json!("private"), &json!(false))
    );
    assert!(
        !listed.to_string().contains(&parts(&link)[3]),
        "no signature"
    );
    assert_eq!(list("bob").await["shares"], json!([]));
    // As the page asks, in the session of its user.
    let cookie = session(&server, "ada").await;
    let headers = [PAGE[0], PAGE[1], ("cookie", cookie.as_str())];
    assert_eq!(send(&server, "GET", "/shares", &headers).await.status, 200);

    let end = format!("/shares/{id}");
    let of_bob = send(
        &server,
        "DELETE",
        &end,
        &[("authorization", &bearer("bob"))],
    )
    .await;
    assert_eq!(of_bob.status, 200, "another user's is not there");
    assert_eq!(open_as(&server, "ada", &link).await.text(), "a");
    for (path, status) in [
        ("/shares/x", 400),
        ("/shares/%2e%2e", 400),
        (end.as_str(), 200),
    ] {
        assert_eq!(
            send(&server, "DELETE", path, &headers).await.status,
            status,
            "{path}"
        );
    }
    assert_eq!(open_as(&server, "ada", &link).await.status, 404);
    assert_eq!(list("ada").await["shares"], json!([]));
    assert_eq!(send(&server, "GET", "/shares", &[]).await.status, 401);
}

#[tokio::test]
async fn a_link_opens_the_content_that_was_shared_and_no_other() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    write(&server, "ada", "a.txt", "one").await;
    let (_, link) = share(&server, "ada", "a.txt").await;
    assert_eq!(open_as(&server, "ada", &link).await.text(), "one");
    write(&server, "ada", "a.txt", "two").await;
    let changed = open_as(&server, "ada", &link).await;
    assert_eq!(
        (changed.status, changed.code()),
        (404, "changed".to_owned())
    );
    assert!(
        changed.text().contains("changed since"),
        "{}",
        changed.text()
    );
    let head = [("authorization", "Bearer cm_ada")];
    assert_eq!(send(&server, "HEAD", &link, &head).await.status, 404);
    let (_, again) = share(&server, "ada", "a.txt").await;
    assert_eq!(open_as(&server, "ada", &again).await.text(), "two");
    run(&server, "ada", "rm a.txt").await;
    assert_eq!(open_as(&server, "ada", &again).await.status, 404);
}

#[tokio::test]
async fn links_without_sign_in_are_the_operators_choice_and_short() {
    let deployment = Deployment::new();
    let server = deployment
        .for_users()
        .env("CASEMATE_SHARE_LINKS", "on")
        .env("CASEMATE_SHARE_LINK_MAX", "2h")
        .start_http()
        .await;
    write(&server, "ada", "a.txt", "of ada").await;
    let (shared, link) = share(&server, "ada", "a.txt").await;
    assert_eq!(shared.field("visibility"), "link");
    assert_eq!(open(&server, &link, &NAVIGATION).await.text(), "of ada");
    assert_eq!(open_as(&server, "bob", &link).await.text(), "of ada");
    let long = json!({ "path": "a.txt", "expires_in_seconds": 7201 });
    let refused = call(&server, "ada", "share", long).await;
    assert!(refused.text().contains("7200 s"), "{}", refused.text());

    // Of a user who has never been here.
    let instance = server.instance.name();
    let unknown = "0123456789abcdef0123456789abcdef";
    let absent = signed(&KEY, instance, "absent", unknown, now() + 60);
    assert_eq!(open(&server, &absent, &[]).await.status, 404);
}

/// A wrong link costs nothing, and a right one starts a sandbox rarely.
#[tokio::test]
async fn a_sandbox_is_woken_by_a_signed_link_alone() {
    let deployment = Deployment::new();
    let first = deployment
        .for_users()
        .env("CASEMATE_SHARE_LINKS", "on")
        .start_http()
        .await;
    write(&first, "ada", "a.txt", "a").await;
    let (_, link) = share(&first, "ada", "a.txt").await;
    let instance = first.instance.clone();
    drop(first);
    crate::harness::docker::quietly(&["rm", "--force", &instance.container()]);
    let server = TestServer::on(&instance)
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &deployment.path("tokens.toml"))
        .env("CASEMATE_LINK_KEY_FILE", &deployment.path("key"))
        .env("CASEMATE_SHARE_LINKS", "on")
        .env("CASEMATE_WARM", "off")
        .start_http()
        .await;
    let mut wrong = link.clone();
    wrong.pop();
    for _ in 0..5 {
        assert_eq!(open(&server, &wrong, &[]).await.status, 404);
    }
    assert!(instance.containers().is_empty(), "a wrong link woke it");
    assert_eq!(open(&server, &link, &[]).await.text(), "a");
    assert_eq!(instance.containers().len(), 1);
    // It ends, and the link is opened again and again. Where a start takes long, the first 10 s are
    // over by then, and those of the next count.
    let waits = async || {
        for container in instance.containers() {
            crate::harness::docker::quietly(&["rm", "--force", &container]);
        }
        open(&server, &link, &[]).await.status == 503
    };
    let limit = std::time::Duration::from_secs(30);
    crate::harness::eventually("it waits", limit, waits).await;
    assert!(instance.containers().is_empty(), "woken twice within 10 s");
}
