//! Checks what sandboxes may reach.

use std::net::IpAddr;

use casemate_egress::address::AddressPolicy;
use casemate_egress::rules::ResolvedBy;

use super::Finding;
use crate::config::{Config, EgressConfig};
use crate::engine::{Engine, labels};
use crate::provision::{identity, survey};
use crate::sandbox::{LiveSandbox, own_addresses};

/// Ports on which development servers listen by default, often on all addresses: Vite, Next, Flask,
/// Django, Jupyter and the like.
const SERVER_PORTS: [u16; 6] = [3000, 5000, 5173, 8000, 8080, 8888];

/// Rules that the finding names.
const SHOWN_RULES: usize = 5;

/// Sandboxes that a finding names.
const SHOWN_SANDBOXES: usize = 5;

/// The checks that ask the machine and the sandboxes.
pub async fn look(engine: &Engine, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !config.egress.is_empty() {
        let public = config.http.public_host();
        let own = own_addresses::look(Vec::new(), engine, public).await;
        findings.push(machine(&own.machine));
    }
    // Where the Engine does not answer, another check says so.
    let sandboxes = survey(engine, &config.instance).await.unwrap_or_default();
    findings.extend(in_force(config, &sandboxes));
    findings
}

/// What rules do not reach, because it is this machine.
fn machine(own: &[IpAddr]) -> Finding {
    let shown: Vec<_> = own.iter().map(ToString::to_string).collect();
    let said = format!(
        "no rule reaches this machine: {} and every listener of the server",
        shown.join(", ")
    );
    let finding = Finding::note("egress", said);
    let everything = AddressPolicy::default();
    let is_public = |address: &IpAddr| everything.judge([*address], 443, &[]).is_ok();
    match own.iter().any(is_public) {
        true => finding,
        false => finding.fix(
            "if this machine is reached at a public address too, which another machine translates \
             for it, add that address to `deny` of [egress]: it cannot be seen from here",
        ),
    }
}

/// A sandbox whose rules are others than these settings'.
fn in_force(config: &Config, sandboxes: &[LiveSandbox]) -> Option<Finding> {
    let has_other_rules = |sandbox: &&LiveSandbox| {
        let stats = sandbox
            .stats
            .as_ref()
            .and_then(|stats| stats.egress.as_ref());
        // Nobody carries now.
        let Some(stats) = stats.filter(|stats| !stats.rules_hash.is_empty()) else {
            return false;
        };
        let rules = identity(&sandbox.row.labels).map(|identity| config.egress.rules(&identity));
        rules.is_some_and(|rules| rules.hash().as_bytes()[..] != stats.rules_hash)
    };
    let names = sandboxes.iter().filter(has_other_rules);
    let name = |sandbox: &LiveSandbox| sandbox.row.labels.get(labels::USER).cloned();
    let mut names: Vec<_> = names.filter_map(name).collect();
    let more = names.len().saturating_sub(SHOWN_SANDBOXES);
    names.truncate(SHOWN_SANDBOXES);
    if names.is_empty() {
        return None;
    }
    let mut said = format!(
        "other egress rules than these settings are in force for {}",
        names.join(", ")
    );
    if more > 0 {
        said += &format!(" and {more} more");
    }
    Some(Finding::error("egress", said).fix(
        "the newest server of the instance decides: give all servers, and this command, the same \
         settings; `casemate ps` and `casemate egress show` print the hash of the rules",
    ))
}

/// Whose promise it is that no private address is reached.
pub fn resolving_proxy(egress: &EgressConfig) -> Option<Finding> {
    let proxy = egress.proxy()?;
    if proxy.resolved_by == ResolvedBy::Here {
        return None;
    }
    let said = format!(
        "{proxy} resolves the names of egress rules: which addresses are reached is decided there, \
         and no connection is bound to an address that was judged here"
    );
    Some(Finding::warning("egress", said).fix(
        "let the proxy refuse private addresses and the metadata services of clouds, or write \
         resolve = \"here\"",
    ))
}

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
