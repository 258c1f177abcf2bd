//! Names in the workspace, as they cross the layers: parsed once, at the edge.

mod path;
pub mod shown;

pub use path::{PathError, WorkspacePath};
