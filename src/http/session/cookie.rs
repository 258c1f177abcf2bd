//! Cookies, read and written (RFC 6265).

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// Longest value that is looked at, in bytes: browsers keep 4 KiB of a cookie with its name.
const VALUE_BYTES: usize = 4096;

/// The value of a cookie. `None` also where there are several of the name: one of them is somebody
/// else's.
pub fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter();
    let pairs = pairs.filter_map(|header| header.to_str().ok());
    let pairs = pairs.flat_map(|header| header.split(';'));
    let mut values = pairs.filter_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    });
    let value = values.next()?;
    (values.next().is_none() && value.len() <= VALUE_BYTES).then_some(value)
}

/// `Set-Cookie` of one that no script sees, and that another site's page does not send, except by
/// a link. Not `Strict`: the way back from the issuer is such a link, and a page that is opened by
/// it would not be signed in.
pub fn set(name: &str, value: &str, age: Duration) -> String {
    let age = age.as_secs();
    format!("{name}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax")
}

/// `Set-Cookie` that takes it away.
pub fn clear(name: &str) -> String {
    set(name, "", Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[&str]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|text| (COOKIE, text.parse().expect("a value")));
        value(&headers.collect(), "__Host-a").map(str::to_owned)
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_only_alone() {
        assert_eq!(found(&["__Host-a=1"]).as_deref(), Some("1"));
        assert_eq!(found(&["b=2; __Host-a=1=; c=3"]).as_deref(), Some("1="));
        assert_eq!(found(&["b=2", "__Host-a=1"]).as_deref(), Some("1"));
        for none in [
            &[][..],
            &["__host-a=1"],
            &["x__Host-a=1"],
            &["__Host-a"],
            &["__Host-a=1; __Host-a=2"],
            &["__Host-a=1", "__Host-a=1"],
        ] {
            assert_eq!(found(none), None, "{none:?}");
        }
        let long = format!("__Host-a={}", "a".repeat(VALUE_BYTES + 1));
        assert_eq!(found(&[&long]), None);
    }
}
