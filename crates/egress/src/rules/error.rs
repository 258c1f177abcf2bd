use std::fmt;

use crate::NameError;

/// Characters of `contact`: it is repeated in results.
pub const CONTACT_LIMIT: usize = 200;

/// Rules of one `allow`, its lists spelled out: they are gone through at every question.
pub const RULE_LIMIT: usize = 1024;

/// A setting of `[egress]` that is not valid, with its key and value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// Where it stands: `egress.allow[3]`, counted from 0.
    pub key: String,
    /// The text that is not valid.
    pub value: String,
    /// The problem with it.
    #[source]
    pub problem: Problem,
}

/// The problem is the source, and is not repeated here.
impl fmt::Display for RuleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:?} is not valid", self.key, self.value)
    }
}

/// A problem with a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The host is no host name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// `*` elsewhere than before the first dot.
    #[error("`*` stands only for everything before a name, as in `*.example.com`")]
    Wildcard,
    /// `*.com`, `*.co.uk`, `*.github.io`.
    #[error("anybody can register a name below this public suffix: name the hosts")]
    PublicSuffix,
    /// casemate-init answers such names without asking the server.
    #[error(
        "names of one part, names that begin with wpad., and names under .localhost, .local, .internal \
         and .arpa are never looked up"
    )]
    Local,
    /// Not 1 to 65535.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// `host/tcp`.
    #[error("/tcp needs a port, as in `example.com:22/tcp`")]
    PortMissing,
    /// Neither `tls` nor `tcp`.
    #[error("the protocol is `tls` or `tcp`")]
    Protocol,
    /// A network of every address in `allow_cidrs`.
    #[error("allow_cidrs names networks, not every address")]
    EveryAddress,
    /// No network in CIDR notation.
    #[error("a network is written as in `10.1.2.0/24`")]
    Network,
    /// `@name` of a list that is not in `[egress.lists]`.
    #[error("no such list in [egress.lists]")]
    UnknownList,
    /// `@name` in a list.
    #[error("a list holds no other lists")]
    NestedList,
    /// Two rules about the same host and port that differ.
    #[error("another rule is about the same host and port and says something else")]
    Conflict,
    /// More than [`RULE_LIMIT`] rules.
    #[error("more than {limit} rules", limit = RULE_LIMIT)]
    TooMany,
    /// No single line of at most [`CONTACT_LIMIT`] characters.
    #[error("one line of at most {limit} characters", limit = CONTACT_LIMIT)]
    Contact,
    /// Not `http://[user:password@]host:port`.
    #[error("a proxy is written as in `http://proxy.example.com:3128`")]
    Proxy,
    /// It cannot be read, or has no certificate.
    #[error("{0}")]
    CaFile(String),
}
