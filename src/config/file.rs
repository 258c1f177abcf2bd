//! The settings file: TOML with the settings' keys at the top level. Unknown keys are errors, with
//! the nearest known one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::{Table, Value};

use super::error::{ConfigError, Excerpt};
use super::limits::CONFIG_FILE_BYTES;
use super::raw::Given;
use super::setting::{self, Origin, Setting};

/// The settings of the file at `path`.
///
/// # Errors
///
/// As [`super::RawConfig::gather`].
pub fn read(path: &Path) -> Result<Vec<(Setting, Given)>, ConfigError> {
    let text = read_bounded(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let table: Table = toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
    table
        .into_iter()
        .map(|(key, value)| entry(path, &key, value))
        .collect()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(CONFIG_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_FILE_BYTES {
        let message = format!("it has more than {CONFIG_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..start).unwrap_or_default();
    ConfigError::Syntax {
        path: path.to_owned(),
        line: before.split(|&b| b == b'\n').count(),
        message: error.message().to_owned(),
    }
}

fn entry(path: &Path, key: &str, value: Value) -> Result<(Setting, Given), ConfigError> {
    let Some(setting) = Setting::from_key(key) else {
        return Err(ConfigError::UnknownKey {
            key: Excerpt::of(key),
            path: path.to_owned(),
            nearest: setting::nearest_key(key),
        });
    };
    let origin = Origin::File(setting, path.to_owned());
    // A number is as good as its text: a float prints the shortest decimals that mean it.
    let value = match value {
        Value::String(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(switch) => switch.to_string(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            let found = value.type_str();
            return Err(ConfigError::WrongType { origin, found });
        }
    };
    Ok((setting, Given { value, origin }))
}
