//! Sign-in on the page: this server as a client of the issuer.

use std::path::PathBuf;

use super::error::ConfigError;
use super::layer::Layer;
use super::limits;
use super::setting::Setting;
use super::text::{name, path};
use super::value_error::ValueError;
use super::web::HttpUrl;
use crate::identity::ID_BYTES;

/// This server as a client of the issuer (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// Its id at the issuer.
    pub client_id: String,
    /// The file with its secret; `None`: a public client, with PKCE only.
    pub client_secret_file: Option<PathBuf>,
    /// The scopes that a sign-in asks for, including `openid`: the `scope` of the request (RFC 6749,
    /// section 3.3).
    pub scopes: String,
    /// The page's URL in browsers. The issuer redirects to a path below it.
    pub public_url: HttpUrl,
}

impl SignInSettings {
    /// # Errors
    ///
    /// A value that is not allowed, or a setting without another one that it needs.
    pub(super) fn from_layer(given: &Layer) -> Result<Option<Self>, ConfigError> {
        use Setting as S;
        let Some(client_id) = given.get(S::OidcClientId) else {
            let unused = [S::OidcClientSecretFile, S::OidcScopes];
            return match unused.into_iter().find_map(|setting| given.get(setting)) {
                Some(unused) => {
                    let problem = "it has no effect without oidc_client_id".to_owned();
                    Err(ConfigError::setting(&unused.origin, problem))
                }
                None => Ok(None),
            };
        };
        let Some(public_url) = public_url(given)? else {
            let problem = format!("it needs {} too", S::PublicUrl.key());
            return Err(ConfigError::setting(&client_id.origin, problem));
        };
        let secret = given.get(S::OidcClientSecretFile);
        Ok(Some(Self {
            client_id: client_id.parse(name)?,
            client_secret_file: secret.map(|given| given.parse(path)).transpose()?,
            scopes: given.value(S::OidcScopes, limits::OIDC_SCOPES.to_owned(), scopes)?,
            public_url,
        }))
    }
}

const PUBLIC_URL: ValueError =
    ValueError::Form("the page's URL has no path: https://casemate.example.com");
const SCOPES: ValueError = ValueError::Form(
    "scopes are words of ASCII characters without quotes and backslashes, separated by single \
     spaces, of 1024 bytes at most",
);

/// The scope without which a sign-in gives no ID token (OpenID Connect Core, section 3.1.2.1).
const OPENID: &str = "openid";

/// Where browsers find this server, if that is given.
///
/// # Errors
///
/// No URL without a path.
pub(super) fn public_url(given: &Layer) -> Result<Option<HttpUrl>, ConfigError> {
    let url = given.get(Setting::PublicUrl);
    url.map(|url| url.parse(root_url)).transpose()
}

/// The page loads its parts from absolute paths, so its URL has no path. Browsers leave a default
/// port out, so it has none.
fn root_url(text: &str) -> Result<HttpUrl, ValueError> {
    let url: HttpUrl = text.parse()?;
    let is_root = url.as_uri().path() == "/";
    let url = url.without_default_port();
    is_root.then_some(url).ok_or(PUBLIC_URL)
}

/// Adds `openid` where it is missing.
fn scopes(text: &str) -> Result<String, ValueError> {
    let is_good = text.len() <= ID_BYTES && text.split(' ').all(is_scope);
    if !is_good {
        return Err(SCOPES);
    }
    Ok(match text.split(' ').any(|scope| scope == OPENID) {
        true => text.to_owned(),
        false => format!("{OPENID} {text}"),
    })
}

/// A `scope-token` (RFC 6749, section 3.3).
fn is_scope(word: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    !word.is_empty() && word.bytes().all(is_allowed)
}
