//! Workspaces that requests name beside their user: separate from each other, and one user's as far
//! as limits go.

mod budget;
mod identity;
mod limits;
mod links;
mod many;
mod page;
mod separate;
mod stdio;
mod verbs;

use std::time::Duration;

use casemate::identity::{SandboxName, User, WorkspaceId};
use hyper::http::request::Builder;
use serde_json::{Value, json};

use crate::harness::{Answer, Application, CallResult, Instance, MODERN, TestServer, docker};

/// The header of workspaces.
const HEADER: &str = "X-Casemate-Workspace";

/// Deadline of a wait, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A user in one of their workspaces.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    app: &'a Application,
    user: &'a str,
    workspace: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn request(&self, request: Builder) -> Builder {
        let request = Application::of(self.user, request);
        match self.workspace {
            Some(name) => request.header(HEADER, name),
            None => request,
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Answer {
        let (mut request, body) = self.app.server.question(MODERN, method, &params);
        if let Some(uri) = params["uri"].as_str() {
            request = request.header("mcp-name", uri);
        }
        self.app.server.send(self.request(request), body).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallResult {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = self.ask("tools/call", params).await;
        assert_eq!(answer.status(), 200);
        answer.result().await
    }

    async fn shell(&self, command: &str) -> CallResult {
        self.call("shell_exec", json!({ "command": command })).await
    }

    /// Status and JSON of a plain request.
    async fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = self.request(self.app.server.request(method, path));
        let answer = self.app.server.send(request, body.to_owned()).await;
        let status = answer.status().as_u16();
        let text = answer.text().await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// The name of the container and volume.
    fn sandbox(&self) -> String {
        sandbox(&self.app.server.instance, "app", self.user, self.workspace)
    }
}

fn at<'a>(app: &'a Application, user: &'a str, workspace: impl Into<Option<&'a str>>) -> Place<'a> {
    let workspace = workspace.into();
    Place {
        app,
        user,
        workspace,
    }
}

fn sandbox(instance: &Instance, issuer: &str, user: &str, workspace: Option<&str>) -> String {
    let workspace = WorkspaceId {
        user: User {
            issuer: issuer.parse().expect("an issuer"),
            subject: user.parse().expect("a subject"),
        },
        name: workspace.map(|name| name.parse().expect("a name")),
    };
    SandboxName::new(&instance.name().parse().expect("an instance"), &workspace).to_string()
}

/// A server whose users are not warmed, so that only calls make sandboxes.
fn quiet() -> TestServer {
    TestServer::new().env("CASEMATE_WARM", "off")
}

/// The names of the containers that run.
fn running(instance: &Instance) -> Vec<String> {
    let filter = instance.label();
    docker::lines(&["ps", "--filter", &filter, "--format", "{{.Names}}"])
}
