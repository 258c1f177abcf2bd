//! What is done with all users' sandboxes at once, and not by one of them.

pub mod backup;
pub mod doctor;
pub mod gc;
pub mod removal;
