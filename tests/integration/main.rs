//! Casemate as its users meet it: the real protocol, the real server, a real
//! Docker Engine. Every test has an instance of its own and removes what it
//! made, also when it fails.

mod harness;

mod chaos;
mod commands;
mod engine_trouble;
mod files;
mod floods;
mod heartbeat;
mod identity;
mod images;
mod isolation;
mod lifecycle;
mod long;
mod neighbours;
mod serve;
