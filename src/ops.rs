//! Operations on the sandboxes of all users: backups, clean-up, checks.

pub mod backup;
pub mod doctor;
pub mod gc;
mod limited_reader;
pub mod removal;
pub mod shared;
pub mod throwaway;
pub mod users;
pub mod workspace_removal;

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
