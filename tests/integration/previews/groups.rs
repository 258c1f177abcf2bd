//! A site of a user whose group only an access token shows.

use super::*;
use crate::harness::{Directory, Instance, SettingFile, TestServer, docker};
use crate::http_auth::oidc_issuer::{Changes, Issuer, at_on};

const LABEL: &str = "io.casemate.group";

fn settings(group: &str) -> SettingFile {
    SettingFile::new(&format!(
        "[[groups]]\nname = \"{group}\"\nclaims = {{ groups = \"analysts\" }}\npids = 104\n\
         [[groups]]\nname = \"ops\"\nclaims = {{ groups = \"ops\" }}\npids = 105\n"
    ))
}

/// Tokens of alice have this group from now on.
fn join(issuer: &Issuer, group: &str) {
    issuer.changes(Changes {
        access: vec![("groups", json!([group]))],
        ..Changes::default()
    });
}

/// A server of one deployment.
struct Grouped<'a> {
    issuer: &'a Issuer,
    server: HttpServer,
    _settings: SettingFile,
}

impl<'a> Grouped<'a> {
    async fn start(
        issuer: &'a Issuer,
        instance: &Instance,
        state: &Directory,
        group: &str,
    ) -> Self {
        let settings = settings(group);
        let server = at_on(TestServer::on(instance), issuer)
            .env("CASEMATE_CONFIG", &settings.text())
            .env("XDG_STATE_HOME", state.text())
            .env("CASEMATE_WARM", "off");
        Self {
            issuer,
            server: server.start_http().await,
            _settings: settings,
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.issuer.access_token("alice"))
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallResult {
        let params = json!({ "name": tool, "arguments": arguments });
        let (request, body) = self.server.question("2025-06-18", "tools/call", &params);
        let request = request.header("authorization", self.bearer());
        let result = self.server.send(request, body).await.result().await;
        assert!(!result.is_error(), "{result:?}");
        result
    }

    /// Opens a private link, as its user with the groups of now.
    async fn opened(&self, link: &str) -> Preview {
        let (host, token) = parts(link);
        let (name, _) = host.split_once('.').expect("a name");
        let (bearer, address) = (self.bearer(), self.server.address.to_string());
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/p/{name}.{token}");
        let given = send(&self.server, &address, "GET", &path, &headers, "").await;
        assert_eq!(given.status, 303, "{given:?}");
        let (host, ticket) = parts(given.header("location"));
        with_ticket(&self.server, &host, &ticket, link).await
    }

    async fn stop_sandbox(&self) {
        let instance = &self.server.instance;
        docker::quietly(&["rm", "--force", &instance.container()]);
        let gone = async || instance.containers().is_empty();
        eventually("it is gone", LISTENING, gone).await;
    }

    async fn is_shown(&self, preview: &Preview) {
        let shown = async || {
            let page = preview.get(&self.server, "/").await;
            page.status == 200 && page.text() == "<h1>report</h1>"
        };
        // A link wakes a sandbox once in ten seconds.
        eventually("it is shown", 3 * LISTENING, shown).await;
    }

    async fn says_that_it_has_stopped(&self, preview: &Preview) {
        let stopped = async || {
            let page = preview.get(&self.server, "/").await;
            page.status == 403 && page.text().contains("The sandbox of this page has stopped")
        };
        eventually("it has stopped", 3 * LISTENING, stopped).await;
        assert!(
            self.server.instance.containers().is_empty(),
            "it was started"
        );
    }

    fn group(&self) -> Value {
        let instance = &self.server.instance;
        docker::inspect("container", &instance.container())["Config"]["Labels"][LABEL].clone()
    }
}

#[tokio::test]
async fn a_site_wakes_its_sandbox_in_the_group_that_it_was_shared_in_and_in_no_other() {
    let (issuer, instance, state) = (
        Issuer::start(None).await,
        Instance::new(),
        Directory::new(0),
    );
    join(&issuer, "analysts");
    let grouped = Grouped::start(&issuer, &instance, &state, "analysts").await;
    let file = json!({ "path": "report.html", "content": "<h1>report</h1>" });
    grouped.call("write_file", file).await;
    let shared = grouped
        .call("share", json!({ "path": "report.html" }))
        .await;
    let link = link_of(&shared);
    let preview = grouped.opened(&link).await;
    grouped.is_shown(&preview).await;
    grouped.stop_sandbox().await;
    grouped.is_shown(&preview).await;
    assert_eq!(grouped.group(), "analysts");

    // The user has left the group: opening the link starts no sandbox, in neither group.
    join(&issuer, "ops");
    grouped.stop_sandbox().await;
    let later = grouped.opened(&link).await;
    grouped.says_that_it_has_stopped(&later).await;
    // As the page says: the user's own call starts it, in the group of now.
    grouped
        .call("shell_exec", json!({ "command": "true" }))
        .await;
    assert_eq!(grouped.group(), "ops");
    grouped.is_shown(&later).await;
    grouped.stop_sandbox().await;
    drop(grouped);

    // The settings have no such group any more.
    let grouped = Grouped::start(&issuer, &instance, &state, "staff").await;
    grouped.says_that_it_has_stopped(&preview).await;
}
