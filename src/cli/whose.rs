//! The user that a verb is about.

use crate::identity::{Issuer, Subject, User};

/// Which user's sandbox.
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    /// The user, exactly as `casemate ps` shows it.
    name: Subject,
    /// Who vouches for the user.
    #[arg(long, default_value = "local")]
    issuer: Issuer,
}

impl From<UserArgs> for User {
    fn from(args: UserArgs) -> Self {
        Self {
            issuer: args.issuer,
            subject: args.name,
        }
    }
}
