//! What is done with all users' sandboxes at once, and not by one of them.

pub mod gc;
