//! The failure of an archive that cannot be unpacked.

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};

use crate::files::archive::shown;

pub(super) fn bad(detail: impl Into<String>) -> Failure {
    Failure::new(Code::BadArchive, detail.into())
}

/// Names the entry before an error between two entries.
pub(super) fn after(last: Option<&[u8]>, failure: Failure) -> Failure {
    let place = match last {
        Some(last) => format!("after {}", shown(last)),
        None => "before the first entry".to_owned(),
    };
    Failure {
        detail: format!("{place}: {}", failure.detail),
        ..failure
    }
}
