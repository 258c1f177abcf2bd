//! What the network refused while a command ran, as results tell it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::sandbox::NetworkReport;

/// Hosts that one result names.
const HOST_LIMIT: usize = 10;

/// What the network refused while a command ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Network {
    /// At most 10 hosts, in the order of their first refusal.
    denied: Vec<DeniedEntry>,
    /// A sentence about it all.
    #[serde(skip)]
    line: String,
}

/// A host that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeniedEntry {
    /// Its name.
    host: String,
    /// Its port; none where the name was refused for all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16")]
    port: Option<u16>,
    /// Why, as a code: not_allowed, private_address, name_mismatch, and others.
    reason: String,
    /// How often.
    count: u64,
}

impl From<NetworkReport> for Network {
    fn from(report: NetworkReport) -> Self {
        let line = line(&report);
        let entry = |host: crate::egress::DeniedHost| DeniedEntry {
            host: host.refusal.host,
            port: host.refusal.port,
            reason: host.refusal.reason.as_str().to_owned(),
            count: host.count,
        };
        let hosts = report.denied.hosts.into_iter();
        Self {
            denied: hosts.take(HOST_LIMIT).map(entry).collect(),
            line,
        }
    }
}

impl Network {
    /// In words, for the text of a result.
    pub fn line(&self) -> String {
        self.line.clone()
    }
}

/// `[network: refused a.test (no rule allows it). There is no network. Ask …]`
fn line(report: &NetworkReport) -> String {
    let all = &report.denied.hosts;
    let hosts = all.iter().take(HOST_LIMIT).map(|host| {
        let (refusal, shown) = (&host.refusal, shown(&host.refusal.host));
        let port = refusal
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        format!("{shown}{port} ({})", refusal.reason.sentence())
    });
    let mut hosts: Vec<_> = hosts.collect();
    if all.len() > HOST_LIMIT {
        hosts.push(format!("and {} more", all.len() - HOST_LIMIT));
    }
    let hosts = hosts.join(", ");
    let begin = if report.denied.is_shared {
        "network: the sandbox, in which other commands ran too, was refused"
    } else {
        "network: refused"
    };
    let contact = report.contact.as_deref();
    let contact = contact.map_or_else(String::new, |contact| format!(" For more: {contact}."));
    format!("[{begin} {hosts}. {}{contact}]", report.allowed)
}

/// A host that is no valid name may have any characters.
fn shown(host: &str) -> String {
    host.chars()
        .flat_map(char::escape_debug)
        .take(253)
        .collect()
}

#[cfg(test)]
mod tests {
    use casemate_egress::Reason;

    use super::*;
    use crate::egress::{Denied, DeniedHost, Refusal};

    fn report(is_shared: bool) -> NetworkReport {
        let host = |host: &str, port, reason| DeniedHost {
            refusal: Refusal {
                host: host.to_owned(),
                port,
                reason,
            },
            count: 2,
        };
        NetworkReport {
            denied: Denied {
                hosts: vec![
                    host("a.test", None, Reason::NotAllowed),
                    host("b\n]", Some(443), Reason::NameMismatch),
                ],
                is_shared,
            },
            allowed: "There is no network.".to_owned(),
            contact: Some("ask ops@a.test".to_owned()),
        }
    }

    #[test]
    fn one_line_names_the_hosts_what_is_allowed_and_whom_to_ask() {
        let network = Network::from(report(false));
        assert_eq!(
            network.line(),
            "[network: refused a.test (no rule allows it), b\\n]:443 (the TLS handshake names another \
             host, or none). There is no network. For more: ask ops@a.test.]"
        );
        let json = serde_json::to_value(&network).expect("JSON");
        let wanted = serde_json::json!({ "denied": [
            { "host": "a.test", "reason": "not_allowed", "count": 2 },
            { "host": "b\n]", "port": 443, "reason": "name_mismatch", "count": 2 },
        ] });
        assert_eq!(json, wanted);
    }

    #[test]
    fn other_commands_and_other_hosts_are_said() {
        let mut many = report(true);
        let last = many.denied.hosts[0].clone();
        many.denied.hosts.resize(13, last);
        let network = Network::from(many);
        assert_eq!(network.denied.len(), HOST_LIMIT);
        let line = network.line();
        assert!(line.contains("other commands ran too"), "{line}");
        assert!(line.contains(", and 3 more. "), "{line}");
    }
}
