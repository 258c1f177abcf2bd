//! A server over HTTP: several users in one process, and its own listeners, which no name leads to.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::CLIENT;
use super::lab::{Lab, Talk, Target};
use crate::harness::{Application, CallResult, eventually};

/// How soon another settings file counts.
const SOON: Duration = Duration::from_secs(10);

/// Passes connections to an address of the server's namespace on from the same address of this
/// one. Dropping it closes it.
pub struct Bridge(AbortHandle);

impl Bridge {
    pub async fn to(lab: &Lab, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .expect("a port that is free");
        let there = lab.here.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let there = there.connect(address).await;
                connections.spawn(async move {
                    if let Ok(mut there) = there {
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Self(accepting.abort_handle())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(application: &Application, user: &str, script: &str) -> (Value, CallResult) {
    let arguments = json!({ "command": "python3 -", "stdin": format!("{CLIENT}\n{script}") });
    let result = application.call(user, "shell_exec", arguments).await;
    let said = serde_json::from_str(result.stdout());
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", result.0));
    (said, result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_one_server_have_the_rules_of_their_own() {
    let lab = Lab::new();
    let (one, two) = (
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    );
    let settings = r#"[[users]]
user = "alice"
issuer = "app"
egress = { allow = ["one.test"] }
[[users]]
user = "bob"
issuer = "app"
egress = { allow = ["two.test"] }
"#;
    let application = Application::start(lab.server(settings)).await;
    let _bridge = Bridge::to(&lab, application.server.address).await;
    for user in ["alice", "bob"] {
        let content = json!({ "path": "ca.pem", "content": lab.certificate() });
        let written = application.call(user, "write_file", content).await;
        assert!(!written.is_error(), "{}", written.0);
    }
    let script = "say([attempt(tls, n) for n in ('one.test', 'two.test') for _ in range(10)])";
    let (alice, bob) = tokio::join!(
        run(&application, "alice", script),
        run(&application, "bob", script)
    );
    let ten = |text: &str| vec![text.to_owned(); 10];
    assert_eq!(alice.0, json!([ten("ping"), ten("EAI_NONAME")].concat()));
    assert_eq!(bob.0, json!([ten("EAI_NONAME"), ten("ping")].concat()));
    for ((_, result), host) in [(alice, "two.test"), (bob, "one.test")] {
        super::assert_denied(&result, host, "not_allowed");
    }
    assert_eq!((one.count(), two.count()), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_leads_to_the_servers_own_listeners() {
    let lab = Lab::new();
    let server = lab.server("").env("CASEMATE_ADMIN", "127.0.0.1:0");
    let application = Application::start(server).await;
    let _bridge = Bridge::to(&lab, application.server.address).await;
    let mcp = application.server.address.port();
    let admin = application.server.admin.expect("it has one").port();
    let listener = lab.here.listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let other = Target::start(listener, None, Talk::Echo);
    let port = other.address.port();

    lab.resolver.set("name.test", ["127.0.0.1"]);
    let rule = |port: u16| {
        format!(
            "{{ host = \"name.test\", port = {port}, protocol = \"tcp\", allow_cidrs = [\"127.0.0.0/8\"] }}"
        )
    };
    let rules = [mcp, admin, port].map(rule).join(", ");
    lab.set("casemate.toml", &format!("[egress]\nallow = [{rules}]\n"));
    let reach = |port: u16| format!("say(attempt(plain, 'name.test', {port}))");
    eventually("the rules count", SOON, async || {
        run(&application, "alice", &reach(port)).await.0 == "ping"
    })
    .await;
    for own in [mcp, admin] {
        let (said, _) = run(&application, "alice", &reach(own)).await;
        assert_eq!(said, "ECONNREFUSED", "{own}");
    }
    // Where no other port is left, the name does not exist.
    lab.set(
        "casemate.toml",
        &format!("[egress]\nallow = [{}]\n", rule(mcp)),
    );
    let ask = "say(attempt(addresses, 'name.test'))";
    eventually("the name is gone", SOON, async || {
        run(&application, "alice", ask).await.0 == "EAI_NONAME"
    })
    .await;
}
