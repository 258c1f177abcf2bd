//! Who may call over HTTP, and from where. Only what the texts themselves say is judged here:
//! files and URLs are read when the server begins to serve.

use std::path::PathBuf;
use std::str::FromStr;

use super::bind::PATH_BYTES;
use super::choices::AuthScheme;
use super::error::{ConfigError, ValueError};
use super::origin::Origin;
use super::raw::Layer;
use super::setting::Setting;
use super::web::{AllowedHost, HttpUrl, WebOrigin};
use crate::identity::{ID_BYTES, Issuer};

/// The settings of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// How callers show who they are.
    pub auth: Auth,
    /// Names that requests may call the server by; `None`: the loopback names and the listening
    /// address.
    pub allowed_hosts: Option<Vec<AllowedHost>>,
    /// Origins whose pages may call; `None`: those of the loopback names at the listening port.
    pub allowed_origins: Option<Vec<WebOrigin>>,
}

/// How callers show who they are, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// By the tokens of this file.
    Tokens(PathBuf),
    /// By the access tokens of an authorization server.
    Jwt(JwtSettings),
}

/// Which access tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSettings {
    /// What `iss` is, byte for byte: a URL, so that no name of a token or `local` can be one.
    pub issuer: Issuer,
    /// What `aud` is or contains, byte for byte.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
}

/// Where the keys are that access tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// Fetched, again and again.
    Url(HttpUrl),
    /// Read, and again when it changes.
    File(PathBuf),
}
impl HttpSettings {
    /// # Errors
    ///
    /// A value that its setting does not take, a way to authenticate without what it needs, or
    /// something that only another way takes.
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        Ok(Self {
            auth: Auth::from_layer(given)?,
            allowed_hosts: list(given, Setting::AllowedHosts)?,
            allowed_origins: list(given, Setting::AllowedOrigins)?,
        })
    }
}

impl Auth {
    fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        use Setting as S;
        let auth = given.optional(S::Auth)?;
        let scheme = auth
            .as_ref()
            .map_or(AuthScheme::None, |(scheme, _)| *scheme);
        for (setting, takes, name) in [
            (S::TokensFile, AuthScheme::Tokens, "tokens"),
            (S::JwtIssuer, AuthScheme::Jwt, "jwt"),
            (S::JwtAudience, AuthScheme::Jwt, "jwt"),
            (S::JwtJwks, AuthScheme::Jwt, "jwt"),
        ] {
            if let Some(unused) = given.get(setting).filter(|_| takes != scheme) {
                let origin = unused.origin.clone();
                return Err(ConfigError::AuthUnused {
                    origin,
                    scheme: name,
                });
            }
        }
        let origin = || {
            auth.as_ref()
                .map_or(Origin::Default, |(_, origin)| (*origin).clone())
        };
        Ok(match scheme {
            AuthScheme::None => Self::None,
            AuthScheme::Tokens => {
                Self::Tokens(needed(given, S::TokensFile, "tokens", origin, path)?)
            }
            AuthScheme::Jwt => Self::Jwt(JwtSettings {
                issuer: needed(given, S::JwtIssuer, "jwt", origin, issuer)?,
                audience: needed(given, S::JwtAudience, "jwt", origin, audience)?,
                jwks: needed(given, S::JwtJwks, "jwt", origin, str::parse)?,
            }),
        })
    }
}

fn needed<T>(
    given: &Layer,
    setting: Setting,
    scheme: &'static str,
    auth: impl Fn() -> Origin,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<T, ConfigError> {
    match given.get(setting) {
        Some(given) => given.parse(parse),
        None => Err(ConfigError::AuthWithout {
            auth: auth(),
            scheme,
            missing: setting,
        }),
    }
}

/// An empty list is one: nothing is allowed then.
fn list<T: FromStr<Err = ValueError>>(
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

fn path(text: &str) -> Result<PathBuf, ValueError> {
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_control());
    let short = text.len() <= PATH_BYTES;
    (plain && short)
        .then(|| text.into())
        .ok_or(ValueError::File)
}

fn issuer(text: &str) -> Result<Issuer, ValueError> {
    text.parse::<HttpUrl>()?;
    Ok(text.parse()?)
}

fn audience(text: &str) -> Result<String, ValueError> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let good = (1..=ID_BYTES).contains(&text.len()) && !text.contains(odd);
    good.then(|| text.to_owned()).ok_or(ValueError::Audience)
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
