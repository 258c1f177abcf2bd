//! Links of this server: whether it has any, where they lead, and who may open them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{LinkKeyError, LinkKeys};
use super::link::{self, LinkClaims, LinkKey, PATH};
use super::record::Visibility;
use crate::config::{AllowedHost, Auth, Config, FileError, HttpUrl, SandboxSettings};
use crate::identity::{Instance, Issuer, User};

/// The links of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    instance: Instance,
    /// Before [`PATH`], or why there is nothing.
    base: Result<String, NoLink>,
    /// Where previews are by themselves: browsers are on this machine.
    loopback_domain: Option<AllowedHost>,
    keys: Option<LinkKeys>,
    page_users: PageUsers,
}

/// The users who can sign in to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageUsers {
    /// Every caller is the one user, without sign-in.
    Caller,
    All,
    /// Users with their own token, and not those of an application.
    Local,
    None,
}

/// Why there is no link: which setting is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLink {
    #[error(
        "a server over stdio has no links; the operator can serve over HTTP (casemate serve --http)"
    )]
    Stdio,
    #[error("the operator must set CASEMATE_PUBLIC_URL, the address of this server in browsers")]
    PublicUrl,
    #[error(
        "this server has no state directory for the key of its links; the operator can set \
         CASEMATE_LINK_KEY_FILE"
    )]
    StateDirectory,
    #[error("the key of the links cannot be used; the operator finds more in the log")]
    Key,
}

impl Links {
    /// None, for a server without HTTP.
    pub fn over_stdio(config: &Config) -> Self {
        Self(Arc::new(Inner {
            instance: config.instance.clone(),
            base: Err(NoLink::Stdio),
            loopback_domain: None,
            keys: None,
            page_users: PageUsers::None,
        }))
    }

    /// Those of a server that listens on `address`. Blocks on the operator's key file.
    ///
    /// # Errors
    /// That file cannot be used.
    pub fn new(config: &Config, address: SocketAddr) -> Result<Self, FileError> {
        let http = &config.http;
        let keys = match (&http.link_key_file, &config.state_directory) {
            (Some(file), _) => Some(LinkKeys::of_file(file)?),
            (None, Some(directory)) => Some(LinkKeys::made_in(directory)),
            (None, None) => None,
        };
        let base = match &http.public_url {
            Some(url) => Ok(url.as_uri().to_string().trim_end_matches('/').to_owned()),
            None if address.ip().to_canonical().is_loopback() => Ok(format!("http://{address}")),
            None => Err(NoLink::PublicUrl),
        };
        Ok(Self(Arc::new(Inner {
            instance: config.instance.clone(),
            base,
            loopback_domain: loopback_domain(http.public_url.as_ref(), address),
            keys,
            page_users: match (&http.auth, &http.sign_in) {
                (Auth::None, _) => PageUsers::Caller,
                (Auth::Jwt(_), Some(_)) => PageUsers::All,
                (Auth::Tokens(_), _) => PageUsers::Local,
                (Auth::Jwt(_), None) => PageUsers::None,
            },
        })))
    }

    /// Whether the user can sign in to the page, which opens private links in a browser.
    pub fn can_sign_in(&self, user: &User) -> bool {
        match self.0.page_users {
            PageUsers::Caller | PageUsers::All => true,
            PageUsers::Local => user.issuer == Issuer::local(),
            PageUsers::None => false,
        }
    }

    /// The visibility of a new link of a user with these settings.
    pub fn visibility(&self, settings: &SandboxSettings) -> Visibility {
        match settings.share_links || self.has_no_sign_in() {
            true => Visibility::Link,
            false => Visibility::Private,
        }
    }

    /// How long a new link may last at most, besides the bounds of every share.
    pub fn lifetime_limit(&self, settings: &SandboxSettings) -> Option<Duration> {
        let is_for_strangers = settings.share_links && !self.has_no_sign_in();
        is_for_strangers.then_some(settings.share_link_max)
    }

    /// Whether a link may be opened without sign-in now, by the settings of its user. A share that
    /// says so is not enough: the user's code can have written that.
    pub fn allow_strangers(&self, settings: &SandboxSettings, claims: &LinkClaims) -> bool {
        let left = claims.expires.saturating_sub(super::now());
        settings.share_links && left <= settings.share_link_max.as_secs()
    }

    /// Whether this server can make links.
    ///
    /// # Errors
    /// [`NoLink`].
    pub fn check_there_are_some(&self) -> Result<(), NoLink> {
        self.0.base.as_ref().map_err(|none| *none)?;
        self.0.keys.as_ref().ok_or(NoLink::StateDirectory)?;
        Ok(())
    }

    /// The link with these claims.
    ///
    /// # Errors
    /// [`NoLink`]; the log says what is wrong with a key.
    pub fn make(&self, claims: &LinkClaims) -> Result<String, NoLink> {
        let base = self.base()?;
        let key = self.signing_key()?;
        Ok(format!(
            "{base}{PATH}{}",
            key.token(&self.0.instance, claims)
        ))
    }

    /// The address of this server in browsers, without a slash at its end.
    pub(super) fn base(&self) -> Result<&str, NoLink> {
        let base = self.0.base.as_deref();
        base.map_err(|none| *none)
    }

    pub(super) fn loopback_domain(&self) -> Option<AllowedHost> {
        self.0.loopback_domain.clone()
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.0.instance
    }

    pub(super) fn signing_key(&self) -> Result<LinkKey, NoLink> {
        let keys = self.0.keys.as_ref().ok_or(NoLink::StateDirectory)?;
        keys.signing().map_err(|error: LinkKeyError| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no link can be signed"
            );
            NoLink::Key
        })
    }

    pub(super) fn checking_keys(&self) -> Arc<Vec<LinkKey>> {
        let keys = self.0.keys.as_ref().map(LinkKeys::checking);
        keys.unwrap_or_default()
    }

    /// What a token says that this deployment has signed, and that is not over.
    pub fn check(&self, token: &str) -> Option<LinkClaims> {
        link::check(&self.checking_keys(), &self.0.instance, token)
    }

    /// Whether every caller is the one user, who need not sign in.
    pub fn has_no_sign_in(&self) -> bool {
        self.0.page_users == PageUsers::Caller
    }
}

/// `localhost` with the port that browsers use, where they are on this machine. They name no default
/// port.
fn loopback_domain(public: Option<&HttpUrl>, address: SocketAddr) -> Option<AllowedHost> {
    let port = match public.map(HttpUrl::as_uri) {
        None if address.ip().to_canonical().is_loopback() => Some(address.port()),
        Some(url) if url.scheme_str() == Some("http") => url.port_u16(),
        _ => return None,
    };
    Some(AllowedHost {
        host: "localhost".to_owned(),
        port: port.filter(|port| *port != 80),
    })
}
