//! The values that a setting may have, for its row in the table of settings.

use std::time::Duration;

use super::limits::Bounds;
use super::units::{Bytes, NanoCpus, Quantity};

/// The values of a setting: unit, bounds and default.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Text with its placeholder in the help and its default, if there is one.
    Text(&'static str, Option<&'static str>),
    /// One of a few words; the first is the default.
    Words(&'static [&'static str]),
    /// A whole number.
    Number(Bounds<u32>),
    /// A size in bytes.
    Size(Bounds<Bytes>),
    /// A decimal number of CPUs.
    Cpus(Bounds<NanoCpus>),
    /// A duration.
    Time(Bounds<Duration>),
}

impl ValueKind {
    /// A value in the help.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Text(name, _) => name,
            Self::Words(_) => "WORD",
            Self::Number(_) | Self::Cpus(_) => "NUMBER",
            Self::Size(_) => "SIZE",
            Self::Time(_) => "DURATION",
        }
    }

    /// The allowed values, if a few words can say it.
    pub fn range(self) -> Option<String> {
        match self {
            Self::Text(..) => None,
            Self::Words(words) => Some(words.join(", ")),
            Self::Number(bounds) => Some(range(bounds)),
            Self::Size(bounds) => Some(range(bounds)),
            Self::Cpus(bounds) => Some(range(bounds)),
            Self::Time(bounds) => Some(range(bounds)),
        }
    }

    /// The value when none is given; `None`: the setting has no default.
    pub fn default(self) -> Option<String> {
        match self {
            Self::Text(_, default) => default.map(str::to_owned),
            Self::Words(words) => words.first().map(|&word| word.to_owned()),
            Self::Number(bounds) => Some(bounds.default.show()),
            Self::Size(bounds) => Some(bounds.default.show()),
            Self::Cpus(bounds) => Some(bounds.default.show()),
            Self::Time(bounds) => Some(bounds.default.show()),
        }
    }
}

fn range<T: Quantity>(bounds: Bounds<T>) -> String {
    format!("{} to {}", bounds.least.show(), bounds.most.show())
}
