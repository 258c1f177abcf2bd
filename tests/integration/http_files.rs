//! The workspace's files over plain HTTP: every route and status, through the real
//! server, for the user `tester` on the loopback address.

mod archives;
pub mod client;
mod downloads;
mod forms;
mod large;
mod leases;
mod listing;
mod refusals;
mod uploads;
