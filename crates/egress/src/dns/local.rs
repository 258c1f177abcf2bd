use std::net::Ipv4Addr;

use super::Answer;

/// Top-level domains that no public resolver knows: mDNS (RFC 6762), private networks (ICANN
/// resolution 2024.07.29.06), addresses turned round (RFC 3172).
const LOCAL_DOMAINS: [&str; 3] = ["local", "internal", "arpa"];

/// Programs that look for a proxy ask for it in every domain.
const PROXY_DISCOVERY: &str = "wpad";

/// Seconds for which an answer may be kept that is never another.
const LOCAL_TTL: u32 = 60;

/// Whether casemate-init answers a name without asking the server. The rules do not matter. `name`
/// is in lower case and without a final dot.
#[must_use]
pub fn is_local(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let first = name.split('.').next().unwrap_or(name);
    !name.contains('.')
        || last == "localhost"
        || LOCAL_DOMAINS.contains(&last)
        || first == PROXY_DISCOVERY
}

/// The answer to a name that [`is_local`]: this machine's own names are on loopback, the root
/// exists, and there is nothing else.
#[must_use]
pub fn local_answer(name: &str, own_host_name: &str) -> Option<Answer> {
    let is_own = name.eq_ignore_ascii_case(own_host_name);
    if !is_own && !is_local(name) {
        return None;
    }
    Some(match name {
        "" => Answer::NoRecords,
        _ if is_own || name == "localhost" || name.ends_with(".localhost") => {
            Answer::Address(Ipv4Addr::LOCALHOST, LOCAL_TTL)
        }
        _ => Answer::NoSuchName,
    })
}
