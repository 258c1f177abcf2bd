//! An issuer of OpenID Connect on this machine: codes with PKCE, each good once, and tokens as a
//! test wants them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::key::{Key, base64};
use crate::harness::TestServer;

pub const AUDIENCE: &str = "https://mcp.example.com/mcp";
pub const CLIENT: &str = "casemate-page";

/// Where the servers believe to be found. Nothing listens there: a test asks the server itself.
pub const PUBLIC_URL: &str = "http://127.0.0.1:1";

pub type Params = HashMap<String, String>;

/// Faults of the issuer. Claims are given by name; `null` removes one.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub access: Vec<(&'static str, Value)>,
    pub id: Vec<(&'static str, Value)>,
    /// Instead of the issuer's own in the redirect; "" for none.
    pub iss: Option<String>,
    pub without_id_token: bool,
    /// The keys are not given.
    pub without_keys: bool,
    /// Instead of `Bearer`.
    pub token_type: Option<&'static str>,
    /// Instead of the JSON object: the access token as a string.
    pub bare: bool,
}

struct Inner {
    url: String,
    key: Key,
    secret: Option<&'static str>,
    changes: Mutex<Changes>,
    /// Where a browser finds the page, in place of [`PUBLIC_URL`].
    page: Mutex<String>,
    /// Requests for a sign-in, by the code that they got.
    codes: Mutex<HashMap<String, Params>>,
}

/// The issuer.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

impl Issuer {
    pub async fn start(secret: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let issuer = Self(Arc::new(Inner {
            url,
            key: Key::ec(),
            secret,
            changes: Mutex::default(),
            page: Mutex::new(PUBLIC_URL.to_owned()),
            codes: Mutex::default(),
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn changes(&self, changes: Changes) {
        *self.0.changes.lock().expect("lock") = changes;
    }

    /// From now on browsers are sent back to this address.
    pub fn send_back_to(&self, page: &str) {
        page.clone_into(&mut self.0.page.lock().expect("lock"));
    }

    /// What a person who signs in at `location` is sent back to: the address and its query.
    pub fn authorize(&self, location: &str) -> String {
        let (endpoint, query) = location.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.url()));
        self.code_for(form(query))
    }

    fn code_for(&self, params: Params) -> String {
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
            ("resource", AUDIENCE),
        ] {
            assert_eq!(params.get(name).map(String::as_str), Some(value), "{name}");
        }
        for name in ["state", "nonce", "code_challenge"] {
            assert_eq!(params[name].len(), 43, "{name}: 32 bytes in base64");
        }
        let code = uuid::Uuid::new_v4().simple().to_string();
        let iss = match &self.0.changes.lock().expect("lock").iss {
            None => format!("&iss={}", self.url()),
            Some(iss) if iss.is_empty() => String::new(),
            Some(iss) => format!("&iss={iss}"),
        };
        let (back, state) = (&params["redirect_uri"], &params["state"]);
        let url = format!("{back}?code={code}&state={state}{iss}");
        self.0.codes.lock().expect("lock").insert(code, params);
        url
    }

    /// An access token for a subject, as it comes for a code.
    pub fn access_token(&self, subject: &str) -> String {
        let mut claims = self.claims(subject, AUDIENCE);
        apply(&mut claims, &self.0.changes.lock().expect("lock").access);
        self.sign("at+jwt", &claims)
    }

    fn claims(&self, subject: &str, audience: &str) -> Value {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_secs();
        json!({ "iss": self.url(), "aud": audience, "sub": subject, "exp": now + 300, "iat": now })
    }

    fn sign(&self, kind: &str, claims: &Value) -> String {
        let head = json!({ "alg": self.0.key.algorithm(), "kid": "a", "typ": kind });
        self.0.key.sign(&head, claims)
    }
}

/// A server whose page signs in at `issuer`.
pub fn at(issuer: &Issuer) -> TestServer {
    at_on(TestServer::new(), issuer)
}

/// As [`at`], of this server.
pub fn at_on(server: TestServer, issuer: &Issuer) -> TestServer {
    server
        .env("CASEMATE_AUTH", "jwt")
        .env("CASEMATE_JWT_ISSUER", issuer.url())
        .env("CASEMATE_JWT_AUDIENCE", AUDIENCE)
        .env("CASEMATE_JWT_JWKS", &format!("{}/keys", issuer.url()))
        .env("CASEMATE_OIDC_CLIENT_ID", CLIENT)
        .env("CASEMATE_PUBLIC_URL", PUBLIC_URL)
}

fn apply(claims: &mut Value, changes: &[(&'static str, Value)]) {
    let claims = claims.as_object_mut().expect("an object");
    for (name, value) in changes {
        match value {
            Value::Null => claims.remove(*name),
            value => claims.insert((*name).to_owned(), value.clone()),
        };
    }
}

pub fn form(text: &str) -> Params {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.expect("UTF-8").into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

async fn metadata(State(issuer): State<Issuer>) -> Json<Value> {
    let url = issuer.url();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(State(issuer): State<Issuer>) -> Response {
    if issuer.0.changes.lock().expect("lock").without_keys {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(json!({ "keys": [issuer.0.key.jwk("a")] })).into_response()
}

async fn authorize(State(issuer): State<Issuer>, Query(params): Query<Params>) -> Redirect {
    let url = issuer.code_for(params);
    Redirect::to(&url.replacen(PUBLIC_URL, &issuer.0.page.lock().expect("lock"), 1))
}

async fn token(State(issuer): State<Issuer>, headers: HeaderMap, body: String) -> Response {
    let params = form(&body);
    let refused = |why: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response() as Response
    };
    if let Some(secret) = issuer.0.secret {
        use base64::Engine as _;
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("casemate%2Dpage:{secret}"));
        let given = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if given != Some(&format!("Basic {basic}")) {
            return refused("invalid_client");
        }
    }
    // Once.
    let Some(asked) = issuer.0.codes.lock().expect("lock").remove(&params["code"]) else {
        return refused("invalid_grant");
    };
    let challenge = base64(Sha256::digest(&params["code_verifier"]));
    let good = params["grant_type"] == "authorization_code"
        && challenge == asked["code_challenge"]
        && params["redirect_uri"] == asked["redirect_uri"]
        && params["client_id"] == CLIENT
        && params["resource"] == AUDIENCE;
    if !good {
        return refused("invalid_grant");
    }
    let changes = issuer.0.changes.lock().expect("lock").clone();
    let access_token = issuer.access_token("alice");
    if changes.bare {
        return Json(access_token).into_response();
    }
    let mut reply = json!({
        "access_token": access_token,
        "token_type": changes.token_type.unwrap_or("Bearer"),
    });
    if !changes.without_id_token {
        let mut claims = issuer.claims("alice", CLIENT);
        claims["nonce"] = asked["nonce"].clone().into();
        apply(&mut claims, &changes.id);
        reply["id_token"] = issuer.sign("JWT", &claims).into();
    }
    Json(reply).into_response()
}
