//! What a user shares: files and directories of their workspace, by links that end.
//!
//! ```text
//! share ─► check_path, version ─► .casemate/shares/<id>.json ─► Links::make ─► /s/<token>
//! /s/<token> ─► Links::check (HMAC, end) ─► whose ─► the file ─► version ─► the content
//! ```
//!
//! Invariants:
//! - The directory of shares is all there is: the list, the resources of MCP and the end of a share
//!   are its files, and the server keeps nothing else.
//! - Nothing is looked up, and no sandbox woken, before the signature of a link was checked.
//! - The user's own code can write each of these files. So a file gives nothing that the user could
//!   not do, and a link lasts no longer than it was signed for.

mod id;
mod keys;
mod link;
mod links;
mod previews;
mod record;
mod store;
mod version;

pub use id::ShareId;
pub use keys::LinkKeyError;
pub use link::{LinkClaims, OPEN_PATH, PATH, without_signatures};
pub use links::{Links, NoLink};
pub use previews::{
    NoPreview, PreviewClaims, PreviewName, PreviewTarget, Previews, SharerGroup, TICKET_PATH, Use,
};
pub use record::{
    NotShareable, ShareName, ShareRecord, ShareTarget, Visibility, check_path, is_of_programs, now,
    rfc3339,
};
pub use store::{SHARES_LIMIT, ShareError, SharePage, ShareStore, find_in};
pub use version::{
    ContentVersion, DIRECTORY_ENTRIES_LIMIT, VersionError, current, files_of, is_hidden,
};
