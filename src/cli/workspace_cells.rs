//! The cells of a workspace in the tables of `workspaces` and `users`.

use std::time::{Duration, SystemTime};

use crate::ops::workspace_list::ListedWorkspace;

/// The state of the container; `stopped` without one.
pub(super) fn state(workspace: &ListedWorkspace) -> String {
    workspace.state.unwrap_or("stopped").to_owned()
}

pub(super) fn size(workspace: &ListedWorkspace) -> String {
    let shown = |bytes| indicatif::HumanBytes(bytes).to_string();
    workspace.size_bytes.map_or_else(unknown, shown)
}

pub(super) fn held(workspace: &ListedWorkspace) -> String {
    if workspace.held { "yes" } else { "no" }.to_owned()
}

pub(super) fn unknown() -> String {
    "-".to_owned()
}

/// `-` where the time is not known.
pub(super) fn ago(time: Option<&str>) -> String {
    time.map_or_else(unknown, |time| format!("{} ago", age(time)))
}

/// Only the two largest units.
pub(super) fn age(time: &str) -> String {
    let since = humantime::parse_rfc3339(time).ok();
    let age = since.and_then(|since| SystemTime::now().duration_since(since).ok());
    let seconds = age.unwrap_or_default().as_secs();
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let short: Vec<_> = text.split(' ').take(2).collect();
    short.join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of which nothing else is known.
    pub(in super::super) fn workspace_of(user: &str) -> ListedWorkspace {
        ListedWorkspace {
            user: user.to_owned(),
            issuer: "local".to_owned(),
            name: None,
            state: None,
            size_bytes: None,
            last_used: None,
            created: None,
            volume: None,
            held: false,
            newest_backup: None,
        }
    }

    /// So many seconds ago, as a listing has it.
    pub(in super::super) fn time_ago(seconds: u64) -> String {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        humantime::format_rfc3339_seconds(time).to_string()
    }

    #[test]
    fn an_age_has_two_units_and_a_time_in_the_future_none() {
        assert!(age(&time_ago(90_061)).starts_with("1day 1h"));
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        let ahead = humantime::format_rfc3339_seconds(ahead).to_string();
        assert_eq!(
            (age(&ahead), age("no time")),
            ("0s".to_owned(), "0s".to_owned())
        );
        assert_eq!(ago(None), "-");
    }
}
