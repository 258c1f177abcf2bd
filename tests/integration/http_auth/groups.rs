//! Groups by the claims of access tokens: which callers are accepted, what the sandbox is made with, and that no
//! claim that is missing leads to wider rules.

mod sandboxes;

use super::jwt::{self, claims, with};
use super::key::Key;
use super::*;

/// The first group may do less than everybody: a token without the claim must not come past it.
const SETTINGS: &str = r#"
pids = 101

[[groups]]
name = "analysts"
claims = { groups = "analysts" }
pids = 104
egress = { allow = ["packages.example.com"] }

[[groups]]
name = "ops"
claims = { groups = "ops" }
pids = 105
"#;

/// A server with groups, and the key of its tokens.
struct Grouped {
    server: HttpServer,
    key: Key,
    settings: SettingFile,
    _keys: SettingFile,
}

impl Grouped {
    async fn new(settings: &str) -> Self {
        Self::on(settings, |server| server).await
    }

    async fn on(settings: &str, more: impl FnOnce(TestServer) -> TestServer) -> Self {
        let key = Key::ec();
        let keys = SettingFile::new(&json!({ "keys": [key.jwk("a")] }).to_string());
        let settings = SettingFile::new(settings);
        let server = jwt::server(&keys.text()).env("CASEMATE_CONFIG", &settings.text());
        Self {
            server: more(server).start_http().await,
            key,
            settings,
            _keys: keys,
        }
    }

    fn bearer(&self, claims: &Value) -> String {
        let head = json!({ "alg": self.key.algorithm(), "kid": "a" });
        format!("Bearer {}", self.key.sign(&head, claims))
    }

    /// `GET /status`: the status, and the answer.
    async fn status(&self, claims: &Value) -> (u16, Value) {
        let request = self.server.request("GET", "/status");
        let request = request.header("authorization", self.bearer(claims));
        let answer = self.server.send(request, "").await;
        let status = answer.status().as_u16();
        let text = answer.text().await;
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    async fn shell(&self, claims: &Value, command: &str) -> CallResult {
        let headers = [("authorization", self.bearer(claims))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        call(
            &self.server,
            &headers,
            "shell_exec",
            json!({ "command": command }),
        )
        .await
    }
}

/// A token of alice with these groups.
fn groups(names: &[&str]) -> Value {
    with("groups", json!(names))
}

fn claims_and(more: Value) -> Value {
    let (mut all, Value::Object(more)) = (claims(), more) else {
        panic!("an object");
    };
    all.as_object_mut().expect("an object").extend(more);
    all
}

/// Each token whose groups cannot be known.
fn without_groups() -> [Value; 5] {
    let analysts = || json!(["analysts"]);
    [
        claims(),
        claims_and(json!({ "roles": analysts() })),
        claims_and(json!({ "_claim_names": { "groups": "src1" } })),
        claims_and(json!({ "_claim_names": { "groups": "src1" }, "groups": analysts() })),
        claims_and(json!({ "hasgroups": true, "groups": analysts() })),
    ]
}

#[tokio::test]
async fn a_token_whose_groups_are_cut_out_is_refused_everywhere() {
    let grouped = Grouped::new(SETTINGS).await;
    for (names, expected) in [
        (&["analysts"][..], json!("analysts")),
        (&["ops", "analysts"], json!("analysts")),
        (&["ops"], json!("ops")),
        (&["others"], json!(null)),
        (&[], json!(null)),
    ] {
        let (status, answer) = grouped.status(&groups(names)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["data"]["group"], expected, "{names:?}");
    }
    for claims in without_groups() {
        let (status, answer) = grouped.status(&claims).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (403, &json!("group_unknown")),
            "{claims}"
        );
        let bearer = grouped.bearer(&claims);
        for (method, path) in [
            ("POST", "/v1/exec"),
            ("POST", "/mcp"),
            ("GET", "/files/list"),
        ] {
            let request = grouped.server.request(method, path);
            let request = request.header("authorization", &bearer);
            let answer = grouped.server.send(request, "").await;
            assert_eq!(answer.status(), 403, "{path} {claims}");
        }
    }
    // Two claims of one name: programs would read different ones.
    let twice =
        claims()
            .to_string()
            .replacen('{', r#"{"groups":["ops"],"groups":["analysts"],"#, 1);
    let head = json!({ "alg": grouped.key.algorithm(), "kid": "a" });
    let token = grouped.key.sign_text(&head, &twice);
    assert_eq!(with_token(&grouped.server, &token).await.0, 401);
    assert!(grouped.server.instance.containers().is_empty());
}

#[tokio::test]
async fn where_the_claim_is_optional_its_lack_is_no_group_and_nonsense_is_still_refused() {
    let grouped = Grouped::new(&format!("groups_claim = \"optional\"\n{SETTINGS}")).await;
    for claims in without_groups() {
        let (status, answer) = grouped.status(&claims).await;
        assert_eq!(status, 200, "{claims}");
        assert_eq!(answer["data"]["group"], json!(null), "{claims}");
    }
    let (status, _) = grouped.status(&claims_and(json!({ "groups": 1 }))).await;
    assert_eq!(status, 403);
}

#[test]
fn groups_by_claims_need_tokens_with_claims() {
    let settings = SettingFile::new(SETTINGS);
    let tokens = SettingFile::new("");
    for auth in ["none", "tokens"] {
        let mut variables = vec![("CASEMATE_AUTH", auth)];
        let (config, tokens) = (settings.text(), tokens.text());
        variables.push(("CASEMATE_CONFIG", &config));
        if auth == "tokens" {
            variables.push(("CASEMATE_TOKENS_FILE", &tokens));
        }
        let (code, _, errors) = casemate(&["serve", "--http", "127.0.0.1:0"], &variables);
        assert_eq!(code, Some(1), "{errors}");
        assert!(
            errors.contains("the group analysts asks for claims"),
            "{errors}"
        );
    }
}
