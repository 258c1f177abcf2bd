use std::io::Write as _;

use casemate_egress::rules::{Protocol, Proxy, ResolvedBy, Rule};
use serde::Serialize;

use crate::cli::table;
use crate::cli::user_args::UserArgs;
use crate::config::{Config, RuleLayer, SettingsArgs};
use crate::identity::User;

/// Flags of `egress show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
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
    let user = super::user(&args.user, &config.egress)?;
    let egress = EgressReport::new(&config, &user);
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &egress)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", egress.text())?;
    }
    Ok(())
}

impl EgressReport {
    fn new(config: &Config, user: &User) -> Self {
        let rules = config.egress.rules(user);
        let deny = config.egress.deny().iter();
        Self {
            user: user.subject.as_str().to_owned(),
            issuer: user.issuer.as_str().to_owned(),
            rules: rules
                .iter()
                .map(|rule| Row::new(config, user, rule))
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
    fn new(config: &Config, user: &User, rule: &Rule) -> Self {
        let layer = config.egress.layer_of(user, rule);
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
            from: config.egress_origin(user, layer).to_string(),
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
