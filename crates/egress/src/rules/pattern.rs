use std::fmt;

use super::Problem;
use crate::HostName;
use crate::dns::is_local;

/// Which names a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// This name.
    Exact(HostName),
    /// `*.NAME`: the strict subdomains of a name at any depth, and not the name itself.
    Under(HostName),
}

impl Pattern {
    /// `host` or `*.host`.
    ///
    /// # Errors
    ///
    /// If the host is not a name, can never be reached from a sandbox, or is a public suffix after
    /// `*.`: anyone can register a name below one, and would be allowed.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (base, is_wildcard) = match text.strip_prefix("*.") {
            Some(base) => (base, true),
            None => (text, false),
        };
        if base.contains('*') {
            return Err(Problem::Wildcard);
        }
        let name = HostName::parse(base)?;
        if is_wildcard && is_public_suffix(&name) {
            return Err(Problem::PublicSuffix);
        }
        if name.is_single_label() || is_local(name.as_str()) {
            return Err(Problem::Local);
        }
        Ok(if is_wildcard {
            Self::Under(name)
        } else {
            Self::Exact(name)
        })
    }

    /// Whether the pattern is about `name`.
    #[must_use]
    pub fn matches(&self, name: &HostName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Under(base) => name.is_under(base),
        }
    }

    /// Of two patterns that match a name, the one with the higher value counts. No two have the
    /// same: a name has one suffix of each length.
    pub(super) fn precedence(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Under(base) => base.as_str().len(),
        }
    }
}

/// Whether anybody can register a name directly below `name`, at a registry or at a company that
/// gives out subdomains: <https://publicsuffix.org>. An unknown top-level domain is one too. So is
/// a name below which every name is a public suffix (`*.ck`).
fn is_public_suffix(name: &HostName) -> bool {
    let is_suffix = |name: &str| psl::suffix_str(name) == Some(name);
    // The list may have a name in letters only.
    let (unicode, _) = idna::domain_to_unicode(name.as_str());
    let names = [name.as_str(), &unicode];
    names
        .iter()
        .any(|name| is_suffix(name) || is_suffix(&format!("a.{name}")))
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(formatter, "{name}"),
            Self::Under(base) => write!(formatter, "*.{base}"),
        }
    }
}
