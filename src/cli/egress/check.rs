use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use casemate_egress::rules::{DEFAULT_PORT, Decision, Protocol, Rule, Rules};
use casemate_egress::{HostName, Reason};

use crate::cli::identity_args::IdentityArgs;
use crate::config::SettingsArgs;

/// Flags of `egress check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// A host and its port; without a port, 443.
    #[arg(value_name = "HOST:PORT")]
    target: Target,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The host may be any text: one that is no name is refused, as it is in a sandbox.
#[derive(Debug, Clone)]
struct Target {
    host: String,
    port: u16,
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            // More than one colon: an IPv6 address.
            Some((host, port)) if !host.contains(':') => {
                let port = port.parse().ok().filter(|&port| port != 0);
                (host, port.ok_or("a port is a number from 1 to 65535")?)
            }
            _ => (text, DEFAULT_PORT),
        };
        let host = host.to_owned();
        Ok(Self { host, port })
    }
}

/// Prints the rule or the reason.
///
/// # Errors
/// A wrong setting, or a name at several issuers.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = super::load(args.settings)?;
    let identity = args.identity.resolve(&config)?;
    let rules = config.egress.rules(&identity);
    let mut out = std::io::stdout().lock();
    let Target { host, port } = args.target;
    let name = match HostName::parse(&host) {
        Ok(name) => name,
        Err(error) => {
            let code = Reason::InvalidName;
            writeln!(out, "refused: {host:?}: {error} ({code})")?;
            return Ok(ExitCode::FAILURE);
        }
    };
    match rules.check(&name, port) {
        Decision::Allowed { rule } => {
            let origin = config.egress_origin(&identity, config.egress.layer_of(&identity, rule));
            writeln!(out, "allowed: {name}:{port}: {}", allowed(rule))?;
            writeln!(out, "         by {rule}, {origin}")?;
            Ok(ExitCode::SUCCESS)
        }
        Decision::Refused { reason } => {
            let said = refused(&rules, &name, reason);
            writeln!(out, "refused: {name}:{port}: {said}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn allowed(rule: &Rule) -> String {
    let content = match rule.protocol {
        Protocol::Tls => "TLS with this server name",
        Protocol::Tcp => "any bytes",
    };
    let networks: Vec<_> = rule.allow_cidrs.iter().map(ToString::to_string).collect();
    match networks.is_empty() {
        true => format!("{content}, at public addresses"),
        false => format!(
            "{content}, at public addresses and in {}",
            networks.join(", ")
        ),
    }
}

fn refused(rules: &Rules, name: &HostName, reason: Reason) -> String {
    let mut said = format!("{} ({reason})", reason.sentence());
    let ports: Vec<_> = rules.ports(name).keys().map(ToString::to_string).collect();
    if !ports.is_empty() {
        said += &format!("; allowed ports: {}", ports.join(", "));
    }
    if let Some(contact) = rules.contact() {
        said += &format!("; {contact}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_with_a_port_or_without() {
        for (text, host, port) in [
            ("a.example.com:22", "a.example.com", 22),
            ("a.example.com", "a.example.com", 443),
            ("::1", "::1", 443),
            ("[::1]:22", "[::1]:22", 443),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
        }
        for text in ["a:", "a:0", "a:65536", "a:http", "a:-1"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
