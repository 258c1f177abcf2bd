//! Names in the workspace, as they cross the layers: parsed once, at the edge.

mod media;
mod path;
mod read_path;
pub mod shown;

pub use media::{BYTES, media_type};
pub use path::{PathError, WorkspacePath};
pub use read_path::ReadPath;
