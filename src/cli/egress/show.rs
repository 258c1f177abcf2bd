use std::io::Write as _;

use casemate_egress::rules::{Protocol, Proxy, ResolvedBy, Rule};
use serde::Serialize;

use crate::cli::identity_args::IdentityArgs;
use crate::cli::json;
use crate::cli::table;
use crate::config::{Config, RuleLayer, SettingsArgs};
use crate::identity::Identity;

/// Flags of `egress show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Print JSON: an object with the user, the rules and their hash.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Serialize)]
struct EgressReport {
    user: String,
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    rules: Vec<Row>,
    /// Networks that no rule reaches.
    deny: Vec<String>,
    contact: Option<String>,
    /// Where connections are made through a proxy. Without the password.
    proxy: Option<String>,
    /// What a model is told of the network.
    summary: String,
    hash: String,
}

#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    host: String,
    port: u16,
    protocol: &'static str,
    allow_cidrs: Vec<String>,
    layer: RuleLayer,
    from: String,
}

/// Lists the rules.
///
/// # Errors
/// A wrong setting, or a name at several issuers.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = super::load(args.settings)?;
    let identity = args.identity.resolve(&config)?;
    let egress = EgressReport::new(&config, &identity);
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &egress)?;
    } else {
        write!(out, "{}", egress.text())?;
    }
    Ok(())
}

impl EgressReport {
    fn new(config: &Config, identity: &Identity) -> Self {
        let rules = config.egress.rules(identity);
        let deny = config.egress.deny().iter();
        Self {
            user: identity.user.subject.as_str().to_owned(),
            issuer: identity.user.issuer.as_str().to_owned(),
            group: identity.group_str().map(str::to_owned),
            rules: rules
                .iter()
                .map(|rule| Row::new(config, identity, rule))
                .collect(),
            deny: deny.map(ToString::to_string).collect(),
            contact: rules.contact().map(str::to_owned),
            proxy: config.egress.proxy().map(|proxy| proxy_text(proxy)),
            summary: rules.summary(),
            hash: rules.hash().to_string(),
        }
    }

    fn text(&self) -> String {
        let mut text = match self.rules.is_empty() {
            true => "No rule: nothing can be reached.\n".to_owned(),
            false => {
                let cells = self.rules.iter().map(Row::cells);
                table::align(["RULE", "CONTENT", "ALSO AT", "FROM"], cells)
            }
        };
        text.push('\n');
        if !self.deny.is_empty() {
            text += &format!("never    {}\n", self.deny.join(", "));
        }
        if let Some(group) = &self.group {
            text += &format!("group    {group}\n");
        }
        if let Some(contact) = &self.contact {
            text += &format!("contact  {contact}\n");
        }
        if let Some(proxy) = &self.proxy {
            text += &format!("through  {proxy}\n");
        }
        text + &format!("hash     {}\n", self.hash)
    }
}

fn proxy_text(proxy: &Proxy) -> String {
    match proxy.resolved_by {
        ResolvedBy::Here => format!("{proxy}, names are resolved here"),
        ResolvedBy::Proxy => format!("{proxy}, which resolves names"),
    }
}

impl Row {
    fn new(config: &Config, identity: &Identity, rule: &Rule) -> Self {
        let layer = config.egress.layer_of(identity, rule);
        Self {
            rule: rule.to_string(),
            host: rule.pattern.to_string(),
            port: rule.port,
            protocol: match rule.protocol {
                Protocol::Tls => "tls",
                Protocol::Tcp => "tcp",
            },
            allow_cidrs: rule.allow_cidrs.iter().map(ToString::to_string).collect(),
            layer,
            from: config.egress_origin(identity, layer).to_string(),
        }
    }

    fn cells(&self) -> [String; 4] {
        let content = match self.protocol {
            "tls" => "TLS",
            _ => "any bytes",
        };
        let networks = match self.allow_cidrs.is_empty() {
            true => "-".to_owned(),
            false => self.allow_cidrs.join(", "),
        };
        [
            self.rule.clone(),
            content.to_owned(),
            networks,
            self.from.clone(),
        ]
    }
}
