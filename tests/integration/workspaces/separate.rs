//! Two workspaces of one user share no file, no process and no container.

use super::*;

#[tokio::test]
async fn two_workspaces_of_one_user_do_not_see_each_others_files_and_the_own_one_is_as_ever() {
    let app = Application::start(quiet()).await;
    let (own, first, second) = (
        at(&app, "ada", None),
        at(&app, "ada", "chat-1"),
        at(&app, "ada", "chat-2"),
    );
    for (place, text) in [(own, "own"), (first, "first"), (second, "second")] {
        let written = place
            .call("write_file", json!({ "path": "mine", "content": text }))
            .await;
        assert!(!written.is_error(), "{}", written.0);
    }
    for (place, text) in [(own, "own"), (first, "first"), (second, "second")] {
        let shown = place.shell("cat mine; ls -A | grep -v '^[.]'").await;
        assert_eq!(shown.stdout(), format!("{text}mine\n"), "{}", shown.0);
        let (status, listed) = place.http("GET", "/v1/files/list", "").await;
        assert_eq!(status, 200, "{listed}");
        assert_eq!(
            listed["data"]["files"].as_array().map(Vec::len),
            Some(1),
            "{listed}"
        );
        let run = json!({ "command": "cat mine" }).to_string();
        let request = place.request(app.server.post("/v1/exec"));
        let answer = app.server.send(request, run).await;
        let answer: Value = serde_json::from_str(&answer.text().await).expect("JSON");
        assert_eq!(answer["stdout"], text, "{answer}");
    }
    // The name of the user's own is that of older versions.
    let instance = app.server.instance.name();
    let prefix = format!("casemate-{instance}-ada-");
    let mut names: Vec<_> = [own, first, second].iter().map(Place::sandbox).collect();
    // printf '\0\0\0\0\0\0\0\003app\0\0\0\0\0\0\0\003ada' | sha256sum
    assert_eq!(names[0], format!("{prefix}6e9711aa23bd"));
    names.sort();
    let mut volumes = app.server.instance.volumes();
    volumes.sort();
    assert_eq!(volumes, names);
    // Each has its label, and the user's own has none, as ever.
    for (place, label) in [
        (own, None),
        (first, Some("chat-1")),
        (second, Some("chat-2")),
    ] {
        for kind in ["container", "volume"] {
            let found = docker::inspect(kind, &place.sandbox());
            let labels = if kind == "volume" {
                &found["Labels"]
            } else {
                &found["Config"]["Labels"]
            };
            assert_eq!(labels["io.casemate.workspace"].as_str(), label, "{found}");
            assert_eq!(labels["io.casemate.user"], "ada");
        }
    }
    // One user's workspaces are one user to the kernel.
    let uid = |place: Place| {
        docker::inspect("volume", &place.sandbox())["Labels"]["io.casemate.uid"].clone()
    };
    assert_eq!(uid(own), uid(first));
    assert_eq!(uid(own), uid(second));
}

#[tokio::test]
async fn a_command_belongs_to_its_workspace() {
    let app = Application::start(quiet()).await;
    let (first, second) = (at(&app, "ada", "chat-1"), at(&app, "ada", "chat-2"));
    let started = json!({ "command": "sleep 300", "wait_seconds": 0 });
    let started = first.call("shell_exec", started).await;
    let id = started
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    let stop = json!({ "command_id": id, "stop": true });
    let elsewhere = second.call("shell_exec", stop.clone()).await;
    assert_eq!(elsewhere.code(), "not_found", "{}", elsewhere.0);
    let (_, status) = first.http("GET", "/status", "").await;
    assert_eq!(status["data"]["workspace"], "chat-1", "{status}");
    assert_eq!(
        status["data"]["commands"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
    let (_, status) = second.http("GET", "/status", "").await;
    assert_eq!(status["data"]["commands"], json!([]), "{status}");
    let stopped = first.call("shell_exec", stop).await;
    assert_eq!(stopped.outcome(), "cancelled", "{}", stopped.0);
}

#[tokio::test]
async fn resources_have_the_workspaces_name_and_reach_no_other() {
    let app = Application::start(quiet()).await;
    let (own, chat) = (at(&app, "ada", None), at(&app, "ada", "chat 1"));
    for (place, text) in [(own, "own"), (chat, "chat")] {
        let written = place
            .call("write_file", json!({ "path": "a.txt", "content": text }))
            .await;
        assert!(!written.is_error(), "{}", written.0);
    }
    let read = async |place: Place<'_>, uri: &str| {
        let answer = place
            .ask("resources/read", json!({ "uri": uri }))
            .await
            .answer()
            .await;
        answer["result"]["contents"][0]["text"]
            .as_str()
            .map(str::to_owned)
    };
    let (own_uri, chat_uri) = ("casemate:///a.txt", "casemate://chat%201/a.txt");
    assert_eq!(read(own, own_uri).await.as_deref(), Some("own"));
    assert_eq!(read(chat, chat_uri).await.as_deref(), Some("chat"));
    assert_eq!(read(own, chat_uri).await, None);
    assert_eq!(read(chat, own_uri).await, None);
    let templates = chat
        .ask("resources/templates/list", json!({}))
        .await
        .answer()
        .await;
    let template = &templates["result"]["resourceTemplates"][0]["uriTemplate"];
    assert_eq!(template, "casemate://chat%201/{+path}");
    let shared = chat.call("share", json!({ "path": "a.txt" })).await;
    assert_eq!(shared.field("resource_uri"), chat_uri, "{}", shared.0);
    let listed = chat.ask("resources/list", json!({})).await.answer().await;
    assert_eq!(
        listed["result"]["resources"][0]["uri"], chat_uri,
        "{listed}"
    );
    let listed = own.ask("resources/list", json!({})).await.answer().await;
    assert_eq!(listed["result"]["resources"], json!([]), "{listed}");
}
