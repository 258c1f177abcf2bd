//! Operations on the sandboxes of all users: backups, clean-up, checks.

pub mod backup;
pub mod command_stop;
pub mod doctor;
pub mod gc;
mod limited_reader;
pub mod removal;
pub mod sandbox_entry;
pub mod shared;
pub mod throwaway;
pub mod users;
pub mod workspace_list;
pub mod workspace_removal;

use crate::audit::chain;
