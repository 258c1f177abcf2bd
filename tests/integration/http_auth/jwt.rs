//! Access tokens: the claims that they need, and the users that they name.

mod claims;

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::harness::docker;
use super::key::Key;
use super::*;

pub const ISSUER: &str = "https://id.example.com/realms/a";

pub const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// A server that accepts tokens of [`ISSUER`] for [`AUDIENCE`].
pub fn server(jwks: &str) -> TestServer {
    TestServer::new()
        .env("CASEMATE_AUTH", "jwt")
        .env("CASEMATE_JWT_ISSUER", ISSUER)
        .env("CASEMATE_JWT_AUDIENCE", AUDIENCE)
        .env("CASEMATE_JWT_JWKS", jwks)
}

/// Seconds since 1970, `offset` from now.
fn at(offset: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_secs()).expect("before the end") + offset
}

/// Valid claims.
pub fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": at(300) })
}

/// Valid claims with one changed; `null` removes it.
pub fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().expect("an object");
    object.remove(name);
    if !value.is_null() {
        object.insert(name.to_owned(), value);
    }
    claims
}

/// A server with a key of each type in a file.
pub struct Issued {
    pub server: HttpServer,
    pub keys: [Key; 3],
    _file: SettingFile,
}

impl Issued {
    pub async fn new() -> Self {
        let keys = [Key::rsa(), Key::ec(), Key::ed()];
        let jwks = keys.each_ref().map(|key| key.jwk(key.algorithm()));
        let file = SettingFile::new(&json!({ "keys": jwks }).to_string());
        Self {
            server: server(&file.text()).start_http().await,
            keys,
            _file: file,
        }
    }

    pub fn rsa(&self) -> &Key {
        &self.keys[0]
    }

    pub async fn status(&self, token: &str) -> (u16, String) {
        with_token(&self.server, token).await
    }

    /// The answer to a token with these claims and a valid signature.
    async fn claiming(&self, claims: &Value) -> (u16, String) {
        let head = json!({ "alg": "RS256", "kid": "RS256" });
        self.status(&self.rsa().sign(&head, claims)).await
    }
}

#[tokio::test]
async fn a_token_of_each_algorithm_opens() {
    let issued = Issued::new().await;
    for key in &issued.keys {
        let algorithm = key.algorithm();
        for head in [
            json!({ "alg": algorithm, "kid": algorithm, "typ": "at+jwt" }),
            // The only key that it can be.
            json!({ "alg": algorithm }),
        ] {
            let (status, challenge) = issued.status(&key.sign(&head, &claims())).await;
            assert_eq!(status, 200, "{head}: {challenge}");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_asked_for_a_token_is_told_where_to_get_one() {
    let issued = Issued::new().await;
    let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    let start = format!(r#"Bearer resource_metadata="{metadata}""#);
    assert_eq!(asked(&issued.server, &[]).await, (401, start.clone()));
    let (status, challenge) = issued.claiming(&with("scope", json!("files openid"))).await;
    assert_eq!(status, 403);
    assert_eq!(
        challenge,
        format!(r#"{start}, error="insufficient_scope", scope="tools""#)
    );
    let (status, _) = issued.claiming(&with("scope", json!(""))).await;
    assert_eq!(status, 403);

    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        let (status, text) = issued.server.get(path).await;
        assert_eq!(status, 200);
        let found: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(found["resource"], AUDIENCE);
        assert_eq!(found["authorization_servers"], json!([ISSUER]));
        assert_eq!(found["scopes_supported"], json!(["tools", "files"]));
        assert_eq!(found["bearer_methods_supported"], json!(["header"]));
    }
}

#[tokio::test]
async fn a_token_of_the_issuer_cannot_name_another_user() {
    let issued = Issued::new().await;
    let head = json!({ "alg": "RS256", "kid": "RS256" });
    let bearer = format!("Bearer {}", issued.rsa().sign(&head, &claims()));
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-casemate-user", "bob"),
    ];
    assert_eq!(asked(&issued.server, &headers).await.0, 403);
}

#[tokio::test]
async fn a_sandbox_is_of_issuer_and_subject_together() {
    let issued = Issued::new().await;
    let head = json!({ "alg": "RS256", "kid": "RS256" });
    let instance = &issued.server.instance;
    for subject in ["alice", "Alice"] {
        let token = issued.rsa().sign(&head, &with("sub", json!(subject)));
        let bearer = format!("Bearer {token}");
        let arguments = json!({ "path": "whose", "content": subject, "mode": "create_new" });
        let headers = [("authorization", bearer.as_str())];
        let written = call(&issued.server, &headers, "write_file", arguments).await;
        assert!(!written.is_error(), "{written:?}");
        let user = format!("label=io.casemate.user={subject}");
        let issuer = format!("label=io.casemate.issuer={ISSUER}");
        let filters = [
            "--filter",
            &instance.label(),
            "--filter",
            &user,
            "--filter",
            &issuer,
        ];
        let found = docker::lines(&[&["ps", "--quiet"], &filters[..]].concat());
        assert_eq!(found.len(), 1, "{subject}");
    }
    assert_eq!(instance.volumes().len(), 2);
}

#[tokio::test]
async fn no_access_token_is_in_the_log() {
    let key = Key::rsa();
    let file = SettingFile::new(&json!({ "keys": [key.jwk("a")] }).to_string());
    let (mut server, log) = logged(server(&file.text())).await;
    let head = json!({ "alg": "RS256", "kid": "a" });
    let tokens = [
        (key.sign(&head, &claims()), 200),
        (key.sign(&head, &with("aud", json!("other"))), 401),
        (Key::rsa().sign(&head, &claims()), 401),
    ];
    for (token, status) in &tokens {
        assert_eq!(with_token(&server, token).await.0, *status);
    }
    server.signal("TERM");
    server.wait().await;
    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(log.contains("TRACE") && log.contains("refused"), "{log}");
    for (token, _) in &tokens {
        for part in token.split('.').skip(1) {
            assert!(!log.contains(part), "{log}");
        }
    }
}
