//! What stores a volume: the Engine's own driver.

use std::collections::BTreeMap;

/// A driver of the Engine, and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeDriver {
    /// The driver's name.
    pub(super) name: String,
    /// What it is told, in its own words.
    pub(super) options: BTreeMap<String, String>,
}

impl VolumeDriver {
    /// The Engine's own driver, with a size in bytes where the volume has one.
    pub(super) fn local(size: Option<u64>) -> Self {
        let size = size.map(|size| ("size".to_owned(), size.to_string()));
        Self {
            name: "local".to_owned(),
            options: size.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_a_size_where_one_is_given() {
        let size = |size| VolumeDriver::local(size).options.get("size").cloned();
        assert_eq!(size(Some(5)).as_deref(), Some("5"));
        assert_eq!(size(None), None);
    }
}
