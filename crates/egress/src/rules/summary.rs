use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Protocol, Rule};

/// Bytes of the sentence about the network in the description of a tool.
pub const SUMMARY_LIMIT: usize = 500;

/// Kept for what comes after the hosts.
const END_BYTES: usize = 80;

pub(super) fn summary(rules: &BTreeSet<Rule>) -> String {
    if rules.is_empty() {
        return "There is no network.".to_owned();
    }
    let mut text = "The network reaches only: ".to_owned();
    let begin = text.len();
    let mut left = rules.len();
    for rule in rules {
        let rule = rule.to_string();
        let separator = if text.len() == begin { "" } else { ", " };
        if text.len() + separator.len() + rule.len() > SUMMARY_LIMIT - END_BYTES {
            break;
        }
        let _ = write!(text, "{separator}{rule}");
        left -= 1;
    }
    if left > 0 {
        let _ = write!(text, " and {left} more");
    }
    let is_tls = |rule: &Rule| rule.protocol == Protocol::Tls;
    text.push_str(match (rules.iter().any(is_tls), rules.iter().all(is_tls)) {
        (_, true) => " (TLS)",
        (true, _) => " (TLS, except where /tcp is written)",
        (false, _) => "",
    });
    text.push_str(". Bind servers to 127.0.0.1.");
    text
}
