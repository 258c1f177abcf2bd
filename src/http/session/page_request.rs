//! Which requests are the page's own.

use axum::http::{HeaderMap, HeaderName};

use crate::http::guard::SEC_FETCH_SITE;

/// What only the page's own script sends: another origin's would have to ask first (CORS), and
/// is not allowed to.
const PAGE_HEADER: HeaderName = HeaderName::from_static("x-casemate-page");

/// Whether the page's own script sends this: the browser says that the origin is the same, and the
/// header is there that no form, link or picture can have.
pub fn is_from_the_page(headers: &HeaderMap) -> bool {
    let one = |name: &HeaderName, value: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|found| found == value) && values.next().is_none()
    };
    one(&SEC_FETCH_SITE, "same-origin") && one(&PAGE_HEADER, "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of the page, and whether these headers make it one.
    fn is_the_pages(headers: &[(&str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, value.parse().expect("a value"))
        });
        is_from_the_page(&headers.collect())
    }

    #[test]
    fn a_request_is_the_pages_only_if_the_browser_and_the_header_say_so() {
        const SITE: (&str, &str) = ("sec-fetch-site", "same-origin");
        const PAGE: (&str, &str) = ("x-casemate-page", "1");
        assert!(is_the_pages(&[SITE, PAGE]));
        for headers in [
            &[][..],
            &[SITE],
            &[PAGE],
            &[("sec-fetch-site", "same-site"), PAGE],
            &[("sec-fetch-site", "cross-site"), PAGE],
            &[("sec-fetch-site", "none"), PAGE],
            &[SITE, ("sec-fetch-site", "cross-site"), PAGE],
            &[SITE, ("x-casemate-page", "")],
            &[SITE, PAGE, PAGE],
        ] {
            assert!(!is_the_pages(headers), "{headers:?}");
        }
    }
}
