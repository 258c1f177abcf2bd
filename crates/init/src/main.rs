//! casemate-init.
mod files;
fn main(){}
