//! Casemate as its users meet it: the real protocol, the real server, a real
//! Docker Engine. Every test has an instance of its own and removes what it
//! made, also when it fails.

mod gc;
mod harness;

mod admission;
mod audit;
mod bind;
mod changed;
mod chaos;
mod clients;
mod commands;
mod conformance;
mod disk;
mod edits;
mod ending;
mod engine_trouble;
mod ephemeral;
mod files;
mod floods;
mod full;
mod heartbeat;
mod http_auth;
mod http_files;
mod http_limits;
mod http_mcp;
mod http_page;
mod http_sse;
mod http_users;
mod identity;
mod idle_ends;
mod images;
mod isolation;
mod leaks;
mod lifecycle;
mod links;
mod listings;
mod long;
mod matrix;
mod metrics;
mod monitoring;
mod neighbours;
mod operator;
mod patterns;
mod reads;
mod refused;
mod removed;
mod room;
mod serve;
mod settings;
mod stuck;
mod sweep;
mod transfers;
mod writes;
