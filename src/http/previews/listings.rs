//! The files of sites, for a moment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::refusal::PreviewRefusal;
use crate::sandbox::{Sandbox, SandboxError};
use crate::shares::{self, ContentVersion, ShareId, VersionError};
use crate::workspace::WorkspacePath;

/// How long a listing is used: the files of one page are asked for together, and each listing of a
/// large directory takes some milliseconds.
const LISTING_TTL: Duration = Duration::from_secs(2);

/// Listings that are kept; then all are forgotten. Each has 10,000 paths at most.
const LISTINGS_LIMIT: usize = 32;

/// The files of a site, and their version.
pub type Listing = Arc<(ContentVersion, HashSet<Vec<u8>>)>;

/// The listings that were just made. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SiteListings(Arc<Mutex<HashMap<ShareId, (Instant, Listing)>>>);

impl SiteListings {
    /// The files of a directory, as they are now or were just before.
    pub async fn of(
        &self,
        sandbox: &Sandbox,
        share: ShareId,
        path: &WorkspacePath,
    ) -> Result<Listing, PreviewRefusal> {
        let known = self.0.lock().get(&share).cloned();
        if let Some((_, listing)) = known.filter(|(made, _)| made.elapsed() < LISTING_TTL) {
            return Ok(listing);
        }
        let made = Instant::now();
        let listed = shares::files_of(sandbox, path).await;
        let listing: Listing = Arc::new(listed.map_err(|error| match error {
            VersionError::TooManyEntries => PreviewRefusal::Changed,
            VersionError::Sandbox(error) => gone_or(error),
        })?);
        let mut listings = self.0.lock();
        if listings.len() >= LISTINGS_LIMIT {
            listings.clear();
        }
        listings.insert(share, (made, listing.clone()));
        Ok(listing)
    }
}

/// An error of the path means that the user changed it: the share is gone.
fn gone_or(error: SandboxError) -> PreviewRefusal {
    match error {
        SandboxError::Failed(_) => PreviewRefusal::Changed,
        error => error.into(),
    }
}
