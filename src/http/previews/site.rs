//! A site: an HTML file, or a directory with `index.html`, as a browser shows it. No process of the
//! sandbox serves it; the files are read as every file is.
//!
//! The site shows the version that was shared: after a change it is gone. A file is found in
//! the listing of the directory, never by its path alone: so nothing hidden is shown, and nothing
//! that a link leads to.

use std::collections::HashSet;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::gate::Viewer;
use super::hosts::PreviewHosts;
use super::refusal::PreviewRefusal;
use crate::http::files;
use crate::identity::WorkspaceId;
use crate::sandbox::{LastContainer, Sandbox};
use crate::shares::{self, ContentVersion, PreviewClaims, ShareStore, ShareTarget, Visibility};
use crate::workspace::{self, WorkspacePath};

/// The page of a directory.
const INDEX: &[u8] = b"index.html";

/// The name of a request in the audit.
const AUDITED_AS: &str = "http_preview";

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The file, below the directory.
    File(Vec<u8>),
    /// A directory, whose pages are relative to its slash.
    Directory,
    Nothing,
}

/// What opens a site.
#[derive(Debug)]
pub struct SharedSite {
    pub workspace: WorkspaceId,
    pub claims: PreviewClaims,
    pub viewer: Viewer,
}

/// Sends the file that a request names.
pub async fn answer(
    hosts: &PreviewHosts,
    of: SharedSite,
    request: Request,
) -> Result<Response, PreviewRefusal> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let names = decoded(request.uri().path());
    let (true, Some(names)) = (is_read, names) else {
        return Err(PreviewRefusal::Gone);
    };
    let manager = &hosts.0.manager;
    let permit = hosts
        .0
        .loads
        .take(&of.workspace.user)
        .ok_or(PreviewRefusal::Busy)?;
    let (workspace, share) = (of.workspace.clone(), of.claims.share);
    let found = hosts
        .0
        .owners
        .identity_of(manager, workspace, &of.claims.group);
    let identity = found.await?;
    if !hosts.is_allowed(of.viewer, &identity, &share) {
        return Err(PreviewRefusal::Gone);
    }
    let path = String::from_utf8_lossy(&names).into_owned();
    let arguments = json!({ "share": share.share.to_string(), "path": path }).to_string();
    // The server waits for requests under way when it ends.
    let _call = manager.calls().token();
    let answer = |request: Request| {
        let (parts, _) = request.into_parts();
        let sandbox = manager.sandbox(&identity);
        let sandbox = match parts.extensions.get::<LastContainer>() {
            Some(used) => sandbox.with_last_container(used),
            None => sandbox,
        };
        let (of, names) = (&of, &names);
        async move {
            let sent = send(hosts, &sandbox, of, names, &parts).await;
            sent.unwrap_or_else(PreviewRefusal::into_response)
        }
    };
    let arguments = arguments.into_bytes();
    let sent = files::recorded(manager, &identity, AUDITED_AS, arguments, request, answer).await;
    Ok(files::held(sent, permit))
}

async fn send(
    hosts: &PreviewHosts,
    sandbox: &Sandbox,
    of: &SharedSite,
    names: &[u8],
    request: &Parts,
) -> Result<Response, PreviewRefusal> {
    let share = of.claims.share.share;
    if !sandbox.is_awake() {
        let woken = hosts.0.wakes.open(share, true);
        woken.map_err(|_| PreviewRefusal::Later)?;
    }
    let must_be_open = hosts.must_be_open_to(of.viewer);
    let record = ShareStore(sandbox).find(&share).await?;
    let record = record.filter(|record| {
        let is_for_viewer = !must_be_open || record.visibility == Visibility::Link;
        !record.is_expired() && is_for_viewer
    });
    let Some(ShareTarget::Path { path, version }) = record.map(|record| record.target) else {
        return Err(PreviewRefusal::Gone);
    };
    let (file, version) = match version {
        ContentVersion::File(version) if names.is_empty() => (path, Some(version)),
        ContentVersion::File(_) => return Err(PreviewRefusal::Gone),
        ContentVersion::Directory(_) => {
            let listing = hosts.0.listings.of(sandbox, share, &path).await?;
            if listing.0 != version {
                return Err(PreviewRefusal::Changed);
            }
            match found(&listing.1, names) {
                Found::Nothing => return Err(PreviewRefusal::Gone),
                Found::Directory => return Ok(with_slash(request)),
                Found::File(below) => {
                    let whole = [path.as_bytes(), &below].join(&b'/');
                    let file = WorkspacePath::of_bytes(&whole);
                    (file.map_err(|_| PreviewRefusal::Gone)?, None)
                }
            }
        }
    };
    let (method, headers) = (&request.method, &request.headers);
    let sent = files::of_version(sandbox, &file, version, method, headers).await;
    let mut sent = sent?.ok_or(PreviewRefusal::Changed)?;
    if sent.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        // Its text names the path.
        *sent.body_mut() = Body::empty();
        sent.headers_mut().remove(header::CONTENT_LENGTH);
    }
    describe(sent.headers_mut(), file.as_bytes());
    Ok(sent)
}

/// The names of a path, without its first slash; `None` for one that cannot be of a site: wrong
/// escapes, an empty name in it, a name that begins with a dot.
fn decoded(path: &str) -> Option<Vec<u8>> {
    files::escapes_are_whole(path).ok()?;
    let path = path.strip_prefix('/')?;
    let names: Vec<Vec<u8>> = path
        .split('/')
        .map(|name| percent_decode_str(name).collect())
        .collect();
    let last = names.len() - 1;
    let is_name = |(at, name): (usize, &Vec<u8>)| {
        let is_whole = !name.contains(&b'/') && !name.contains(&0);
        is_whole && (!name.is_empty() || at == last)
    };
    let whole = names.join(&b'/');
    let is_path = names.iter().enumerate().all(is_name);
    (is_path && !shares::is_hidden(&whole)).then_some(whole)
}

fn found(files: &HashSet<Vec<u8>>, names: &[u8]) -> Found {
    let is_directory = names.is_empty() || names.ends_with(b"/");
    let file = match is_directory {
        true => [names, INDEX].concat(),
        false => names.to_vec(),
    };
    if files.contains(&file) {
        return Found::File(file);
    }
    let index = [names, b"/", INDEX].concat();
    match !is_directory && files.contains(&index) {
        true => Found::Directory,
        false => Found::Nothing,
    }
}

/// The same address with a slash at its end. Its path has one slash at the beginning, so that it
/// leads to no other host.
fn with_slash(request: &Parts) -> Response {
    let uri = &request.uri;
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let location = HeaderValue::try_from(format!("{}/{query}", uri.path()));
    match location {
        Ok(location) => (
            StatusCode::PERMANENT_REDIRECT,
            [(header::LOCATION, location)],
        )
            .into_response(),
        Err(_) => PreviewRefusal::Gone.into_response(),
    }
}

/// Shown as what its name says, in an origin where nothing else is.
fn describe(headers: &mut HeaderMap, name: &[u8]) {
    headers.remove(header::CONTENT_DISPOSITION);
    headers.remove(header::CONTENT_SECURITY_POLICY);
    let kind = workspace::media_type(name).unwrap_or(workspace::BYTES);
    let kind = match kind.starts_with("text/") {
        true => format!("{kind}; charset=utf-8"),
        false => kind.to_owned(),
    };
    if let Ok(kind) = HeaderValue::try_from(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_whole_names_and_none_that_is_hidden() {
        for (path, names) in [
            ("/", ""),
            ("/a/b.html", "a/b.html"),
            ("/a/", "a/"),
            ("/caf%C3%A9.css", "café.css"),
            ("/a..b", "a..b"),
        ] {
            assert_eq!(decoded(path).as_deref(), Some(names.as_bytes()), "{path}");
        }
        for bad in [
            "",
            "a",
            "//",
            "//a",
            "/a//b",
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E%2e%2Fa",
            "/a%2Fb",
            "/a%00",
            "/.git/config",
            "/a/.env",
            "/%2egit",
            "/a%",
            "/a%zz",
        ] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_directory_is_its_index_and_wants_its_slash() {
        let files = ["index.html", "a/index.html", "a/b.js", "c/d"];
        let files: HashSet<Vec<u8>> = files.iter().map(|file| file.as_bytes().to_vec()).collect();
        let file = |name: &str| Found::File(name.as_bytes().to_vec());
        for (names, wanted) in [
            ("", file("index.html")),
            ("a/", file("a/index.html")),
            ("a/b.js", file("a/b.js")),
            ("a", Found::Directory),
            ("c", Found::Nothing),
            ("c/", Found::Nothing),
            ("index.html/", Found::Nothing),
            ("x", Found::Nothing),
        ] {
            assert_eq!(found(&files, names.as_bytes()), wanted, "{names}");
        }
    }
}
