use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::entry::parse_network;
use super::{Problem, Protocol, Rule};

/// `[egress]` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSettings {
    /// The rules of every user without a separate list.
    pub allow: Vec<AllowEntry>,
    /// Lists that `@name` stands for.
    pub lists: BTreeMap<String, Vec<AllowEntry>>,
    /// Networks and addresses that no rule reaches.
    pub deny: Vec<String>,
    /// Hosts whose refusals are not reported.
    pub quiet: Vec<String>,
    /// Named in refusals.
    pub contact: Option<String>,
    /// Through which proxy connections are made.
    pub proxy: Option<ProxyTable>,
    /// A file with certificates in PEM that programs in sandboxes trust. Read by the server.
    pub ca_file: Option<PathBuf>,
}

/// `proxy` as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTable {
    /// `http://host:port`, with `user:password@` before the host where the proxy asks for it.
    pub url: String,
    /// The side that resolves names.
    #[serde(default)]
    pub resolve: ResolvedBy,
}

/// The side that resolves the name of a connection through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResolvedBy {
    /// The server. The proxy is asked for an address that was judged.
    #[default]
    Here,
    /// The proxy, which is asked for the name. What it resolves to is its operator's promise.
    Proxy,
}

/// `egress` of a user or group as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerSettings {
    /// The rules.
    pub allow: Vec<AllowEntry>,
    /// Whether it is added to what is further away from the user, instead of replacing it.
    pub extend: bool,
}

/// One entry of `allow`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AllowEntry {
    /// `host`, `*.host:port`, `host:port/tcp` or `@list`.
    Text(String),
    /// The same in parts.
    Table(AllowTable),
}

/// One entry of `allow` that is written as a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowTable {
    /// `host` or `*.host`.
    host: String,
    port: Option<u16>,
    protocol: Option<String>,
    #[serde(default)]
    allow_cidrs: Vec<String>,
}

impl AllowEntry {
    /// The entries of `CASEMATE_EGRESS_ALLOW`: `packages.example.com,git.example.net:22/tcp`.
    /// Nothing but white space is no entry.
    #[must_use]
    pub fn from_variable(text: &str) -> Vec<Self> {
        if text.trim().is_empty() {
            return Vec::new();
        }
        text.split(',')
            .map(|entry| Self::Text(entry.trim().to_owned()))
            .collect()
    }

    /// What an error about it shows.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Table(table) => table.host.clone(),
        }
    }

    pub(super) fn list(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.strip_prefix('@'),
            Self::Table(_) => None,
        }
    }

    pub(super) fn rule(&self) -> Result<Rule, Problem> {
        let table = match self {
            Self::Text(text) => return Rule::parse(text),
            Self::Table(table) => table,
        };
        let protocol = table
            .protocol
            .as_deref()
            .map_or(Ok(Protocol::Tls), Protocol::parse)?;
        let cidrs = table.allow_cidrs.iter().map(|text| parse_network(text));
        Rule::new(
            &table.host,
            table.port,
            protocol,
            cidrs.collect::<Result<_, _>>()?,
        )
    }
}

/// As a rule in text. A table's networks are left out.
impl fmt::Display for AllowEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = match self {
            Self::Text(text) => return formatter.write_str(text),
            Self::Table(table) => table,
        };
        formatter.write_str(&table.host)?;
        if let Some(port) = table.port {
            write!(formatter, ":{port}")?;
        }
        match &table.protocol {
            Some(protocol) => write!(formatter, "/{protocol}"),
            None => Ok(()),
        }
    }
}

/// By hand: an untagged enum would answer every mistake with "did not match any variant".
impl<'de> Deserialize<'de> for AllowEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = AllowEntry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a host as in \"example.com:443\", or a table with `host`")
            }

            fn visit_str<E>(self, text: &str) -> Result<AllowEntry, E> {
                Ok(AllowEntry::Text(text.to_owned()))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<AllowEntry, M::Error> {
                AllowTable::deserialize(MapAccessDeserializer::new(map)).map(AllowEntry::Table)
            }
        }

        deserializer.deserialize_any(EntryVisitor)
    }
}
