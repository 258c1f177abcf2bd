//! The container that a handle was used with last, for the audit.

use std::sync::Arc;

use parking_lot::Mutex;

/// Shared by the clones of one handle.
#[derive(Debug, Clone, Default)]
pub struct LastContainer(Arc<Mutex<Option<Arc<str>>>>);

impl LastContainer {
    /// The container's id; `None` where no call came to one.
    pub fn container(&self) -> Option<String> {
        let used = self.0.lock();
        used.as_deref().map(str::to_owned)
    }

    pub(super) fn set(&self, container: &Arc<str>) {
        let mut used = self.0.lock();
        *used = Some(container.clone());
    }
}
