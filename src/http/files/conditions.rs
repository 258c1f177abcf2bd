//! The conditions of a request on the state of a file (RFC 9110 sections 13 and 14).
//!
//! All functions are pure: they depend on the request's headers and on [`Stat`].

use std::time::SystemTime;

use axum::http::{HeaderMap, header};
use headers::{
    ETag, Header, HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfRange,
    IfUnmodifiedSince,
};

use super::error::FileRejection;
use crate::api::instant;
use crate::sandbox::Stat;

/// The conditional headers of one request.
#[derive(Debug, Default)]
pub struct Conditions {
    matches: Option<IfMatch>,
    unmodified_since: Option<IfUnmodifiedSince>,
    none_matches: Option<IfNoneMatch>,
    modified_since: Option<IfModifiedSince>,
    range: Option<Range>,
    range_of: Option<IfRange>,
}

/// The part of a file that a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The whole file.
    Whole,
    /// These bytes, at least one.
    Part {
        /// The first.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// The client already has it.
    NotModified,
    /// It is not the expected version.
    Failed,
    /// The file has no such bytes.
    Unsatisfiable,
}

/// The tag of a file's content. Strong: any change of the content changes it.
pub fn etag(stat: &Stat) -> Option<ETag> {
    format!("\"{:016x}\"", stat.version).parse().ok()
}

/// When the content last changed.
pub fn modified(stat: &Stat) -> SystemTime {
    instant(stat.modified_ms)
}

impl Conditions {
    /// The conditions of a request.
    ///
    /// # Errors
    /// A condition that cannot be read: without it, the request could do what the caller wanted to
    /// prevent.
    pub fn of(headers: &HeaderMap) -> Result<Self, FileRejection> {
        let range = headers.get(header::RANGE);
        Ok(Self {
            matches: condition(headers)?,
            unmodified_since: condition(headers)?,
            none_matches: condition(headers)?,
            modified_since: condition(headers)?,
            // An unreadable range must be ignored (section 14.2).
            range: range.and_then(|value| Range::parse(value.to_str().ok()?)),
            range_of: condition(headers)?,
        })
    }

    /// The conditions without the range, which only GET has.
    #[must_use]
    pub fn without_range(self) -> Self {
        Self {
            range: None,
            ..self
        }
    }

    /// Whether the request has no conditions.
    pub fn is_empty(&self) -> bool {
        self.matches.is_none()
            && self.unmodified_since.is_none()
            && self.none_matches.is_none()
            && self.modified_since.is_none()
            && self.range.is_none()
    }

    /// Whether the file must not exist yet: `If-None-Match: *`.
    pub fn wants_new(&self) -> bool {
        self.none_matches == Some(IfNoneMatch::any())
    }

    /// Whether the current file may be changed.
    pub fn allow_change(&self, current: Option<&Stat>) -> bool {
        match current {
            // A missing file matches nothing, and was not modified.
            None => self.matches.is_none(),
            Some(stat) => self.hold(stat) && !self.has_it(stat),
        }
    }

    /// The part that a GET or HEAD gets, in the order of section 13.2.2.
    pub fn select(&self, stat: &Stat) -> Selection {
        if !self.hold(stat) {
            return Selection::Failed;
        }
        let unmodified = match (&self.none_matches, &self.modified_since) {
            (None, Some(since)) => !since.is_modified(modified(stat)),
            _ => self.has_it(stat),
        };
        if unmodified {
            return Selection::NotModified;
        }
        match &self.range {
            Some(range) if self.range_holds(stat) => range.within(stat.size),
            _ => Selection::Whole,
        }
    }

    fn hold(&self, stat: &Stat) -> bool {
        match (&self.matches, &self.unmodified_since) {
            (Some(wanted), _) => etag(stat).is_some_and(|tag| wanted.precondition_passes(&tag)),
            (None, Some(since)) => since.precondition_passes(modified(stat)),
            (None, None) => true,
        }
    }

    fn has_it(&self, stat: &Stat) -> bool {
        let known = self.none_matches.as_ref();
        known.is_some_and(|known| etag(stat).is_none_or(|tag| !known.precondition_passes(&tag)))
    }

    /// A date never holds: within its second the file may have changed (section
    /// 13.1.5), and the parts would not fit together.
    fn range_holds(&self, stat: &Stat) -> bool {
        let wanted = self.range_of.as_ref();
        wanted.is_none_or(|wanted| !wanted.is_modified(etag(stat).as_ref(), None))
    }
}

fn condition<H: Header>(headers: &HeaderMap) -> Result<Option<H>, FileRejection> {
    headers
        .typed_try_get()
        .map_err(|_| FileRejection::bad(format!("the header `{}` cannot be read.", H::name())))
}

/// One range of bytes. Several at once are answered with the whole file, as section
/// 14.2 allows. (headers 0.4 and http-range-header 0.4 both refuse a suffix that is
/// longer than the file, and the second finds a byte in an empty one.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    From { first: u64, last: u64 },
    Last(u64),
}

impl Range {
    fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From {
                first: number(first)?,
                last: u64::MAX,
            }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    fn within(self, size: u64) -> Selection {
        let (offset, end) = match self {
            Self::From { first, last } => (first, last.saturating_add(1).min(size)),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        if offset < end {
            let length = end - offset;
            Selection::Part { offset, length }
        } else {
            Selection::Unsatisfiable
        }
    }
}

/// Digits alone; a number above any file's length counts as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
