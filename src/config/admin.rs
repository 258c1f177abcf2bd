//! The admin address: metrics and health, and with tokens the operator's console.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::ConfigError;
use super::layer::Layer;
use super::setting::Setting;
use super::text::path;
use super::web::listen_address;

/// Where it listens, if it does.
pub(super) fn address(given: &Layer) -> Result<Option<SocketAddr>, ConfigError> {
    given.value(Setting::Admin, None, |text| listen_address(text).map(Some))
}

/// The tokens that open the console. Only a loopback address has one: no web page can send requests
/// there, because Host and Origin are checked.
pub(super) fn tokens_file(given: &Layer) -> Result<Option<PathBuf>, ConfigError> {
    let Some(file) = given.get(Setting::AdminTokensFile) else {
        return Ok(None);
    };
    let is_loopback = address(given)?.map(|address| address.ip().to_canonical().is_loopback());
    let problem = match is_loopback {
        Some(true) => return file.parse(path).map(Some),
        Some(false) => "the console is only at a loopback address, and admin is another one",
        None => "it has no effect without admin, the address of the console",
    };
    Err(ConfigError::setting(&file.origin, problem.to_owned()))
}
