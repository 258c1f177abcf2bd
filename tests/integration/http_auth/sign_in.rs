//! Sign-in on the page: sessions, and how they begin and end.

mod answers;
mod at_issuer;
mod secrets;
mod sessions;

use serde_json::json;

use super::oidc_issuer::PUBLIC_URL;
use super::*;
use crate::http_files::client::{self, Reply};

/// What the page's own requests have, as a browser sends them.
const PAGE: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("x-casemate-page", "1")];

/// A way to a page, by a link or an address.
const NAVIGATION: [(&str, &str); 2] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
];

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const NEW_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

impl Reply {
    /// `Set-Cookie` of this name, as it came.
    fn set_cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all("set-cookie").iter();
        let mut all = all.map(|value| value.to_str().expect("ASCII"));
        all.find(|text| text.starts_with(&format!("{name}=")))
    }

    /// The cookie of this name, as a browser sends it back.
    fn cookie(&self, name: &str) -> String {
        let set = self
            .set_cookie(name)
            .unwrap_or_else(|| panic!("{name}: {}", self.text()));
        set.split(';').next().expect("a pair").to_owned()
    }
}

/// One request, whose body is JSON.
async fn send(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let json = ("content-type", "application/json");
    let json = (!body.is_empty()).then_some(json);
    let headers: Vec<_> = headers.iter().copied().chain(json).collect();
    client::ask(server, method, path, &headers, body.to_owned()).await
}

/// A request of the page with this cookie.
async fn page(server: &HttpServer, method: &str, path: &str, cookie: &str) -> Reply {
    let headers = [PAGE[0], PAGE[1], ("cookie", cookie)];
    send(server, method, path, &headers, "").await
}

/// Signs in with a token, as the page does.
async fn with_token(server: &HttpServer, token: &str) -> Reply {
    let body = json!({ "token": token }).to_string();
    send(server, "POST", "/sign-in", &PAGE, &body).await
}

fn rows(rows: &[(&str, &str)]) -> String {
    let row = |(token, holder): &(&str, &str)| token_row(token, token, holder);
    rows.iter().map(row).collect()
}

fn tokens(file: &SettingFile) -> TestServer {
    TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
}

const ADA: (&str, &str) = ("cm_ada", "user = \"ada\"");

/// The way to the issuer: where it is, and the cookie.
async fn begin(server: &HttpServer) -> (String, String) {
    let started = send(
        server,
        "GET",
        "/sign-in/start",
        &[("sec-fetch-site", "same-origin")],
        "",
    )
    .await;
    assert_eq!(started.status, 303, "{}", started.text());
    let set = started
        .set_cookie("__Host-casemate-sign-in")
        .expect("a cookie");
    assert!(
        set.contains("Max-Age=600") && set.contains("HttpOnly") && set.contains("SameSite=Lax")
    );
    (
        started.header("location").to_owned(),
        started.cookie("__Host-casemate-sign-in"),
    )
}

/// The way back, with this cookie.
async fn back(server: &HttpServer, url: &str, cookie: &str) -> Reply {
    let path = url.strip_prefix(PUBLIC_URL).expect("the page's address");
    let headers = [NAVIGATION[0], NAVIGATION[1], ("cookie", cookie)];
    send(server, "GET", path, &headers, "").await
}

fn refused(reply: &Reply, status: u16, said: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(reply.text().contains(said), "{}", reply.text());
    assert!(reply.set_cookie("__Host-casemate").is_none());
    assert!(reply.header("content-type").starts_with("text/plain"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
}

/// The sign-in of the cookie is over.
fn over(reply: &Reply) {
    let over = reply.set_cookie("__Host-casemate-sign-in");
    let over = over.expect("a cookie");
    assert!(over.contains("Max-Age=0"), "{over}");
}
