//! An image that sandboxes run from, as plain data.

/// An image with casemate-init in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// Its id: `sha256:…`.
    pub id: String,
    /// Its name: `casemate-prepared:<12 hex>`.
    pub tag: String,
    /// The image that it was made from, as the operator names it.
    pub from: String,
    /// The id of that image.
    pub base_id: String,
    /// SHA-256, in hex, over the files that were put into it: the init binary and `netif.cjs`.
    pub files_digest: String,
    /// The environment of the base image.
    pub env: Vec<String>,
    /// The VOLUMEs of the base image that a tmpfs must cover, as clean absolute paths.
    pub volumes: Vec<String>,
}

/// How far an image is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// The Engine does not have it: the first call pulls it.
    Absent,
    /// No sandbox can be made from it.
    Unusable {
        /// The property that prevents it.
        reason: String,
    },
    /// The Engine has it; the first call prepares it.
    Unprepared,
    /// The prepared image exists.
    Prepared {
        /// Its name: `casemate-prepared:<12 hex>`.
        tag: String,
    },
}
