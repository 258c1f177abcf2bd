//! Callers over HTTP: authentication, hosts and origins. Only the texts are checked here: files and URLs are read
//! when the server starts.

use std::path::PathBuf;
use std::str::FromStr;

use super::choices::AuthScheme;
use super::error::ConfigError;
use super::layer::Layer;
use super::previews::PreviewSettings;
use super::setting::Setting;
use super::sign_in::{SignInSettings, public_url};
use super::text::{name, path};
use super::value_error::ValueError;
use super::web::{AllowedHost, HttpUrl, WebOrigin};
use super::workspace_header::WorkspaceHeader;
use crate::identity::Issuer;

/// The settings of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// How callers authenticate.
    pub auth: Auth,
    /// Names that requests may call the server by; `None`: the loopback names and the listening
    /// address.
    pub allowed_hosts: Option<Vec<AllowedHost>>,
    /// Origins whose pages may call; `None`: those of the loopback names at the listening port.
    pub allowed_origins: Option<Vec<WebOrigin>>,
    /// The header in which a request names a workspace.
    pub workspace_header: WorkspaceHeader,
    /// The key of the page's sessions; `None`: a random one.
    pub session_key_file: Option<PathBuf>,
    /// Sign-in on the page at the issuer.
    pub sign_in: Option<SignInSettings>,
    /// Where browsers find this server; `None`: at its own address.
    pub public_url: Option<HttpUrl>,
    /// The keys of links; `None`: one that is made.
    pub link_key_file: Option<PathBuf>,
    /// Previews of what runs in a sandbox.
    pub previews: PreviewSettings,
}

impl HttpSettings {
    /// The host of the page, as browsers find it.
    pub fn public_host(&self) -> Option<&str> {
        self.public_url.as_ref()?.as_uri().host()
    }
}

/// How callers authenticate, with all that is needed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// By the tokens of this file.
    Tokens(PathBuf),
    /// By the access tokens of an authorization server.
    Jwt(JwtSettings),
}

/// Which access tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSettings {
    /// The value of `iss`, byte for byte: a URL, so that it cannot be `local` or the name of a
    /// token.
    pub issuer: Issuer,
    /// A value of `aud`, byte for byte.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
}

/// The source of the keys that access tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// Fetched regularly.
    Url(HttpUrl),
    /// Read, and read again when it changes.
    File(PathBuf),
}

impl HttpSettings {
    /// # Errors
    ///
    /// A value that is not allowed, an authentication scheme without a setting that it needs, or a
    /// setting that only another scheme uses.
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let auth = Auth::from_layer(given)?;
        let sign_in = SignInSettings::from_layer(given)?;
        Ok(Self {
            session_key_file: session_key_file(given, &auth, sign_in.as_ref())?,
            auth,
            allowed_hosts: list(given, Setting::AllowedHosts)?,
            allowed_origins: list(given, Setting::AllowedOrigins)?,
            workspace_header: given.value(
                Setting::WorkspaceHeader,
                WorkspaceHeader::default(),
                str::parse,
            )?,
            sign_in,
            public_url: public_url(given)?,
            link_key_file: given.value(Setting::LinkKeyFile, None, |text| path(text).map(Some))?,
            previews: PreviewSettings::from_layer(given)?,
        })
    }
}

fn session_key_file(
    given: &Layer,
    auth: &Auth,
    sign_in: Option<&SignInSettings>,
) -> Result<Option<PathBuf>, ConfigError> {
    let Some(file) = given.get(Setting::SessionKeyFile) else {
        return Ok(None);
    };
    if !matches!(auth, Auth::Tokens(_)) && sign_in.is_none() {
        let problem = "it has no effect unless auth is tokens, or oidc_client_id is given";
        return Err(ConfigError::setting(&file.origin, problem.to_owned()));
    }
    file.parse(path).map(Some)
}

impl Auth {
    fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        use Setting as S;
        let scheme = given.value(S::Auth, AuthScheme::None, str::parse)?;
        // A setting without effect is an error: its operator believes that callers authenticate.
        for (setting, user) in [
            (S::TokensFile, AuthScheme::Tokens),
            (S::JwtIssuer, AuthScheme::Jwt),
            (S::JwtAudience, AuthScheme::Jwt),
            (S::JwtJwks, AuthScheme::Jwt),
            (S::OidcClientId, AuthScheme::Jwt),
        ] {
            if let Some(unused) = given.get(setting).filter(|_| user != scheme) {
                let problem = format!("it has no effect unless auth is {}", user.as_str());
                return Err(ConfigError::setting(&unused.origin, problem));
            }
        }
        Ok(match scheme {
            AuthScheme::None => Self::None,
            AuthScheme::Tokens => Self::Tokens(needed(given, scheme, S::TokensFile, path)?),
            AuthScheme::Jwt => Self::Jwt(JwtSettings {
                issuer: needed(given, scheme, S::JwtIssuer, issuer)?,
                audience: needed(given, scheme, S::JwtAudience, name)?,
                jwks: needed(given, scheme, S::JwtJwks, str::parse)?,
            }),
        })
    }
}

fn needed<T>(
    given: &Layer,
    scheme: AuthScheme,
    setting: Setting,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<T, ConfigError> {
    match given.get(setting) {
        Some(given) => given.parse(parse),
        None => {
            let problem = format!("{} needs {} too", scheme.as_str(), setting.key());
            Err(ConfigError::setting(&given.origin(Setting::Auth), problem))
        }
    }
}

/// An empty list is a list: it allows nothing.
pub(super) fn list<T: FromStr<Err = ValueError>>(
    given: &Layer,
    setting: Setting,
) -> Result<Option<Vec<T>>, ConfigError> {
    let items = |text: &str| {
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::parse)
            .collect()
    };
    given
        .get(setting)
        .map(|given| given.parse(items))
        .transpose()
}

fn issuer(text: &str) -> Result<Issuer, ValueError> {
    text.parse::<HttpUrl>()?;
    Ok(text.parse()?)
}

impl FromStr for JwksSource {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.contains("://") {
            text.parse().map(Self::Url)
        } else {
            path(text).map(Self::File)
        }
    }
}
