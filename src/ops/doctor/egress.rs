//! Checks what sandboxes may reach.

use super::Finding;
use crate::config::EgressConfig;

/// Ports on which development servers listen by default, often on all addresses: Vite, Next, Flask,
/// Django, Jupyter and the like.
const SERVER_PORTS: [u16; 6] = [3000, 5000, 5173, 8000, 8080, 8888];

/// Rules that the finding names.
const SHOWN_RULES: usize = 5;

/// What the error means for a server that runs with the file.
pub fn with_broken_file() -> Finding {
    let said =
        "a server that runs does not use the settings file: it keeps the egress rules that it had";
    Finding::warning("egress", said).fix("fix the file: the server reads it again within a second")
}

/// A server of the user's on the port of a rule makes the rule's host unreachable.
pub fn taken_ports(egress: &EgressConfig) -> Option<Finding> {
    let rules = egress.all_rules().into_iter();
    let rules = rules.filter(|rule| SERVER_PORTS.contains(&rule.port));
    let mut shown: Vec<_> = rules.map(ToString::to_string).collect();
    let more = shown.len().saturating_sub(SHOWN_RULES);
    shown.truncate(SHOWN_RULES);
    if shown.is_empty() {
        return None;
    }
    let mut said = format!(
        "rules on ports that development servers take: {}",
        shown.join(", ")
    );
    if more > 0 {
        said += &format!(" and {more} more");
    }
    Some(Finding::warning("egress", said).fix(
        "while a server of the user listens on such a port on all addresses, the host does not \
         resolve: offer the host on another port, or have servers bind to 127.0.0.1",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, MapEnvironment, SettingsArgs};

    fn found(allow: &str) -> Option<String> {
        let mut environment = MapEnvironment {
            os_user: "ada".to_owned(),
            ..MapEnvironment::default()
        };
        let variable = ("CASEMATE_EGRESS_ALLOW".into(), allow.into());
        environment.variables.extend([variable]);
        let config = Config::load(SettingsArgs::default(), &environment).unwrap();
        taken_ports(&config.egress).map(|finding| finding.found)
    }

    #[test]
    fn rules_on_ports_of_development_servers_are_named_and_others_are_not() {
        assert_eq!(found("a.example.com,b.example.com:8443"), None);
        assert_eq!(
            found("a.example.com:8080,b.example.com,*.c.example.com:3000/tcp").as_deref(),
            Some(
                "rules on ports that development servers take: a.example.com:8080, \
                 *.c.example.com:3000/tcp"
            )
        );
        let many: Vec<_> = (0..9).map(|n| format!("a{n}.example.com:5173")).collect();
        let said = found(&many.join(",")).unwrap();
        assert!(said.ends_with("a4.example.com:5173 and 4 more"), "{said}");
    }
}
