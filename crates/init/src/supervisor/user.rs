//! The user of a command.

use crate::shield::Account;

/// Whom the command runs as, where that is not the supervisor's own real user.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub account: Account,
    /// Processes and threads that it may have.
    pub processes: u64,
}

impl User {
    /// By the supervisor's arguments.
    pub fn of(account: &str, processes: Option<String>) -> Result<Self, ()> {
        let processes = processes.and_then(|number| number.parse().ok());
        let account = Account::parse(account);
        let user = account.zip(processes);
        let (account, processes) = user.ok_or(())?;
        Ok(Self { account, processes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_an_account_with_a_limit() {
        let user = User::of("5:6", Some("7".to_owned())).expect("one");
        assert_eq!(
            (user.account.uid, user.account.gid, user.processes),
            (5, 6, 7)
        );
        for (account, processes) in [("0:0", Some("7")), ("5:6", None), ("5:6", Some("x"))] {
            assert!(User::of(account, processes.map(str::to_owned)).is_err());
        }
    }
}
