//! Previews: an application or a site of a sandbox, each at its own host name.
//!
//! ```text
//! link    https://<name>.<domain>/.casemate/open#<signed for Use::Link>
//! ticket  the same page, signed for Use::Ticket: a minute, for a user who is signed in
//! cookie  signed for Use::UserCookie or Use::LinkCookie, until the end of the share
//! ```
//!
//! They differ in what they are signed for, so none stands for another, and none for a link to
//! a file. The name of the host is signed too: what opens one preview opens no other. The name is no
//! secret. It is a keyed hash of whose preview it is, so it does not reveal the user.

mod claims;

use aws_lc_rs::hmac;

use super::link::{LinkKey, OPEN_PATH};
use super::links::{Links, NoLink};
use crate::config::{AllowedHost, Config, is_localhost};
use crate::identity::WorkspaceHash;
use crate::workspace::WorkspacePath;

pub use claims::{PreviewClaims, PreviewTarget, SharerGroup};

/// Where a user who is signed in gets a ticket, on the server's own host.
pub const TICKET_PATH: &str = "/p/";

/// Characters of a name: 80 bits, in letters and digits that a host name may have.
const NAME_CHARS: usize = 16;

/// RFC 4648, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Bytes of what is signed: hashes, two times, a port and the id of a container, a group, with room.
const SIGNED_BYTES_LIMIT: usize = 320;

/// The name of a preview's host, before the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PreviewName(String);

/// What something is signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// As the user gets it: it opens by itself only where links open without sign-in.
    Link,
    /// For a browser whose user was seen to be the one.
    Ticket,
    /// For a browser whose user had a ticket.
    UserCookie,
    /// For a browser that only had the link.
    LinkCookie,
}

/// Why there are no previews.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPreview {
    #[error(transparent)]
    Link(NoLink),
    #[error(
        "a server over stdio has no previews; the operator can serve over HTTP (casemate serve \
         --http), and set CASEMATE_PREVIEW_DOMAIN where browsers are on other machines"
    )]
    Stdio,
    #[error(
        "this server has no host names for previews; the operator can set CASEMATE_PREVIEW_DOMAIN"
    )]
    Domain,
}

/// The previews of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Previews {
    links: Links,
    domain: Option<AllowedHost>,
}

impl From<NoLink> for NoPreview {
    fn from(none: NoLink) -> Self {
        match none {
            NoLink::Stdio => Self::Stdio,
            none => Self::Link(none),
        }
    }
}

impl Use {
    fn context(self) -> &'static str {
        match self {
            Self::Link => "casemate preview link 1",
            Self::Ticket => "casemate preview ticket 1",
            // The first kind did not say which of the two it was.
            Self::UserCookie => "casemate preview cookie 2",
            Self::LinkCookie => "casemate preview link cookie 1",
        }
    }
}

impl PreviewName {
    /// The name, if the text is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = text.len() == NAME_CHARS && text.bytes().all(|byte| BASE32.contains(&byte));
        is_name.then(|| Self(text.to_owned()))
    }

    /// As in a host name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 80 bits of a hash.
    fn of_hash(hash: &[u8]) -> Self {
        let bits = hash
            .iter()
            .take(10)
            .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let char = |at: usize| {
            let index = (bits >> (5 * (NAME_CHARS - 1 - at))) & 31;
            char::from(BASE32[usize::try_from(index).unwrap_or_default()])
        };
        Self((0..NAME_CHARS).map(char).collect())
    }
}

impl Previews {
    /// Those of a server with these links.
    pub fn new(links: Links, config: &Config) -> Self {
        let domain = config.http.previews.domain.clone();
        let domain = domain.or_else(|| links.loopback_domain());
        Self { links, domain }
    }

    /// None, for a server without HTTP.
    pub fn over_stdio(links: Links) -> Self {
        Self {
            links,
            domain: None,
        }
    }

    /// Whether there are any.
    ///
    /// # Errors
    /// [`NoPreview`].
    pub fn check_there_are_some(&self) -> Result<&AllowedHost, NoPreview> {
        self.links.check_there_are_some()?;
        self.domain.as_ref().ok_or(NoPreview::Domain)
    }

    /// The name before the domain, if this is a host of a preview.
    pub fn name_of(&self, host: &AllowedHost) -> Option<PreviewName> {
        let domain = self.domain.as_ref()?;
        let name = host.host.strip_suffix(&domain.host)?.strip_suffix('.')?;
        let is_port = domain.port.is_none() || domain.port == host.port;
        PreviewName::parse(name).filter(|_| is_port)
    }

    /// The origin of a host, as browsers write it; `None`: there are no previews.
    pub fn origin(&self, name: &PreviewName) -> Option<String> {
        let domain = self.domain.as_ref()?;
        let scheme = match is_localhost(&domain.host) {
            true => "http",
            false => "https",
        };
        let (name, host) = (name.as_str(), &domain.host);
        // The settings have no default port.
        Some(match domain.port {
            Some(port) => format!("{scheme}://{name}.{host}:{port}"),
            None => format!("{scheme}://{name}.{host}"),
        })
    }

    /// Where a user who is signed in gets a ticket.
    pub fn ticket_url(&self, name: &PreviewName, link: &str) -> Option<String> {
        let base = self.links.base().ok()?;
        Some(format!("{base}{TICKET_PATH}{}.{link}", name.as_str()))
    }

    /// The link that opens the preview of this.
    ///
    /// # Errors
    /// [`NoPreview`].
    pub fn make(
        &self,
        claims: &PreviewClaims,
        site: Option<&WorkspacePath>,
    ) -> Result<String, NoPreview> {
        self.check_there_are_some()?;
        let key = self.links.signing_key()?;
        let name = self.name(&key, claims, site);
        let origin = self.origin(&name).ok_or(NoPreview::Domain)?;
        let token = self.signed(&key, Use::Link, &name, claims, claims.share.expires);
        Ok(format!("{origin}{OPEN_PATH}#{token}"))
    }

    /// Always the same for one port of a workspace, and for one path of it.
    fn name(
        &self,
        key: &LinkKey,
        claims: &PreviewClaims,
        site: Option<&WorkspacePath>,
    ) -> PreviewName {
        let workspace: &WorkspaceHash = &claims.share.workspace;
        let what = match (&claims.target, site) {
            (PreviewTarget::Port { port, .. }, _) => format!("port {port}").into_bytes(),
            (PreviewTarget::Site, path) => {
                let path = path.map_or(&b""[..], WorkspacePath::as_bytes);
                [b"site ", path].concat()
            }
        };
        let instance = self.links.instance();
        let said = format!("casemate preview name 1\0{instance}\0{workspace}\0");
        let hash = hmac::sign(key.as_hmac(), &[said.as_bytes(), &what].concat());
        PreviewName::of_hash(hash.as_ref())
    }

    /// Signs claims for a use on this host, good until `until`, in seconds since 1970.
    ///
    /// # Errors
    /// There is no key.
    pub fn sign(
        &self,
        used_for: Use,
        name: &PreviewName,
        claims: &PreviewClaims,
        until: u64,
    ) -> Result<String, NoLink> {
        let key = self.links.signing_key()?;
        Ok(self.signed(&key, used_for, name, claims, until))
    }

    fn signed(
        &self,
        key: &LinkKey,
        used_for: Use,
        name: &PreviewName,
        claims: &PreviewClaims,
        until: u64,
    ) -> String {
        let said = claims.to_text(until);
        key.sign(&self.context(used_for, name), &said)
    }

    fn context(&self, used_for: Use, name: &PreviewName) -> String {
        let (context, instance) = (used_for.context(), self.links.instance());
        format!("{context}\0{instance}\0{}", name.as_str())
    }

    /// The claims that this deployment signed for this use on this host, if they have not expired.
    pub fn check(&self, used_for: Use, name: &PreviewName, token: &str) -> Option<PreviewClaims> {
        if token.len() > SIGNED_BYTES_LIMIT {
            return None;
        }
        let context = self.context(used_for, name);
        let keys = self.links.checking_keys();
        let said = keys.iter().find_map(|key| key.open(&context, token))?;
        let (claims, until) = PreviewClaims::from_text(said)?;
        let is_over = super::now() >= until.min(claims.share.expires);
        (!is_over).then_some(claims)
    }
}

#[cfg(test)]
mod tests;
