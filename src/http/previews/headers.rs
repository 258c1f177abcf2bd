//! What passes between a browser and the program, and what does not. All functions are pure.
//!
//! The program believes that a browser on its own machine calls it: Vite, Next, Jupyter and others
//! refuse any other `Host` and `Origin`. The true values are in `X-Forwarded-Host` and `-Proto`.

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Uri, uri};

/// Of one connection (RFC 9110 section 7.6.1), and what proxies and clients say to each other.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a proxy before this server says about the browser is not the program's business, and the
/// answer to `Expect` is this server's.
const CUT: [HeaderName; 4] = [
    header::FORWARDED,
    header::EXPECT,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("via"),
];

/// A program could end sessions of the whole domain with the first, and the others bind more names
/// than its own.
const CUT_FROM_ANSWERS: [HeaderName; 3] = [
    HeaderName::from_static("clear-site-data"),
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
];

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Before the names of cookies and headers that are this server's.
const OUR_COOKIES: &str = "__Host-casemate";
const OUR_HEADERS: &str = "x-casemate-";

/// Bytes of all cookies of a request. A page of another preview can set cookies for the whole domain
/// (there is no way to tell them from the program's own), and servers refuse long headers.
const COOKIE_BYTES_LIMIT: usize = 8 * 1024;

/// Cookies that one answer deletes. A browser that has more sends the rest again, and they are deleted
/// then.
const DELETED_COOKIES_LIMIT: usize = 50;

/// The names of loopback by which a program may call itself.
const LOOPBACK: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"];

/// The two addresses of one program.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// As browsers write it: `https://<name>.<domain>`.
    pub origin: String,
    /// Of the program, in the sandbox.
    pub port: u16,
}

impl Addresses {
    fn local(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Scheme and host of the origin.
    fn public(&self) -> (&str, &str) {
        self.origin.split_once("://").unwrap_or_default()
    }
}

/// Whether these headers ask for a WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let has = |name: &HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter();
        let words = values.filter_map(|value| value.to_str().ok());
        let mut words = words.flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    has(&header::CONNECTION, "upgrade") && has(&header::UPGRADE, "websocket")
}

/// The headers of a request as the program gets them. Returns the names of its cookies if they are too
/// long: then it gets none.
pub fn to_program(headers: &mut HeaderMap, addresses: &Addresses) -> Vec<String> {
    let is_websocket = is_websocket(headers);
    cut_hop_by_hop(headers);
    CUT.iter().for_each(|name| drop(headers.remove(name)));
    let foreign = |name: &HeaderName| {
        name.as_str().starts_with("x-forwarded-") || name.as_str().starts_with(OUR_HEADERS)
    };
    cut(headers, foreign);
    if is_websocket {
        upgrade(headers);
    }
    let (scheme, host) = addresses.public();
    set(headers, FORWARDED_HOST, host);
    set(headers, FORWARDED_PROTO, scheme);
    let local = addresses.local();
    set(headers, header::HOST, &local["http://".len()..]);
    if headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin == addresses.origin.as_str())
    {
        set(headers, header::ORIGIN, &local);
    }
    if let Some(path) = referred(headers, &addresses.origin) {
        set(headers, header::REFERER, &format!("{local}{path}"));
    }
    cut_cookies(headers)
}

/// The headers of an answer as the browser gets them.
pub fn to_browser(headers: &mut HeaderMap, addresses: &Addresses, is_upgrade: bool) {
    cut_hop_by_hop(headers);
    CUT_FROM_ANSWERS
        .iter()
        .for_each(|name| drop(headers.remove(name)));
    cut(headers, |name| {
        let name = name.as_str();
        name.starts_with(OUR_HEADERS) || commands_a_proxy(name)
    });
    if is_upgrade {
        upgrade(headers);
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let turned = headers
            .get(&name)
            .and_then(|value| turned_back(value, addresses));
        if let Some(turned) = turned {
            set(headers, name, &turned);
        }
    }
    let cookies: Vec<_> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies.iter().filter_map(set_cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Whether it makes nginx, Apache or lighttpd in front of this server send a file of their host. Only the
/// buffering of its answer is the program's business.
fn commands_a_proxy(name: &str) -> bool {
    let of_nginx = name.starts_with("x-accel-") && name != "x-accel-buffering";
    let of_others = ["x-sendfile", "x-sendfile2", "x-reproxy-url"].contains(&name);
    of_nginx || of_others || name.starts_with("x-lighttpd-")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Also those that `Connection` names.
fn cut_hop_by_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CONNECTION).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let named = values.flat_map(|value| value.split(','));
    let named: Vec<HeaderName> = named.filter_map(|name| name.trim().parse().ok()).collect();
    HOP_BY_HOP
        .iter()
        .chain(&named)
        .for_each(|name| drop(headers.remove(name)));
}

fn cut(headers: &mut HeaderMap, is_cut: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_cut(name))
        .cloned()
        .collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
}

/// Path and query of a `Referer` that is of the preview itself.
fn referred(headers: &HeaderMap, origin: &str) -> Option<String> {
    let referer = headers.get(header::REFERER)?.to_str().ok()?;
    let path = referer.strip_prefix(origin)?;
    path.starts_with('/').then(|| path.to_owned())
}

/// Leaves the program's own cookies, or none where all are too long, and returns their names then.
fn cut_cookies(headers: &mut HeaderMap) -> Vec<String> {
    let values: Vec<_> = headers.get_all(header::COOKIE).iter().cloned().collect();
    let length: usize = values.iter().map(HeaderValue::len).sum();
    headers.remove(header::COOKIE);
    let texts = values
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let own: Vec<String> = texts
        .flat_map(|text| {
            text.split(';')
                .map(|pair| pair.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|pair| !pair.is_empty() && !is_ours(pair))
        .collect();
    if length > COOKIE_BYTES_LIMIT {
        let name = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
        return own.iter().map(name).take(DELETED_COOKIES_LIMIT).collect();
    }
    if !own.is_empty() {
        set(headers, header::COOKIE, &own.join("; "));
    }
    Vec::new()
}

/// Deletes these cookies in the browser, those of this host and those of the domain of all previews.
/// `Clear-Site-Data` would also delete those of other hosts below the registered domain.
pub fn delete_cookies(headers: &mut HeaderMap, names: &[String], addresses: &Addresses) {
    let (_, host) = addresses.public();
    let domain = host.split_once('.').map_or(host, |(_, domain)| domain);
    let domain = domain.split(':').next().unwrap_or_default();
    for name in names {
        for domain in [String::new(), format!("; Domain={domain}")] {
            let deleted = format!("{name}=; Path=/; Max-Age=0{domain}");
            if let Ok(deleted) = HeaderValue::try_from(deleted) {
                headers.append(header::SET_COOKIE, deleted);
            }
        }
    }
}

/// Browsers compare the prefix of a name without its case.
fn is_ours(pair: &str) -> bool {
    let name = pair.get(..OUR_COOKIES.len());
    name.is_some_and(|name| name.eq_ignore_ascii_case(OUR_COOKIES))
}

/// Without `Domain`, so that it is of this host alone; `None` for a name that is this server's.
fn set_cookie(value: &HeaderValue) -> Option<HeaderValue> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let mut parts = text.split(';');
    let pair = parts.next()?;
    if is_ours(pair.trim()) {
        return None;
    }
    let is_domain = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("domain")
    };
    let kept = parts.filter(|part| !is_domain(part));
    let whole = std::iter::once(pair).chain(kept).collect::<Vec<_>>();
    HeaderValue::try_from(whole.join(";")).ok()
}

/// A URL of the program itself, as the browser finds it.
fn turned_back(value: &HeaderValue, addresses: &Addresses) -> Option<String> {
    let text = value.to_str().ok()?;
    // `Uri` has no fragment.
    let (url, fragment) = match text.find('#') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let uri: Uri = url.parse().ok()?;
    let own = |scheme: &uri::Scheme| *scheme == uri::Scheme::HTTP || *scheme == uri::Scheme::HTTPS;
    let host = uri.host().filter(|_| uri.scheme().is_some_and(own))?;
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    });
    let (_, public) = addresses.public();
    let is_program = LOOPBACK.contains(&host) && port == addresses.port;
    let is_public = uri.authority().is_some_and(|authority| authority == public);
    if !is_program && !is_public {
        return None;
    }
    let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
    Some(format!("{}{path}{fragment}", addresses.origin))
}

#[cfg(test)]
mod tests;
