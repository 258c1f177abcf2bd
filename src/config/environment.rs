//! The environment of the process as a trait, so that tests pass a map. No other module of the
//! server reads a variable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The list of users, passwd(5).
const PASSWD: &str = "/etc/passwd";

/// Source of settings besides flags and file.
pub trait Environment {
    /// All variables, sorted, so that the first error is always the same.
    fn variables(&self) -> BTreeMap<OsString, OsString>;

    /// The name of the user this process runs as; `uid-<number>` if the host has no name for it.
    fn os_user(&self) -> String;

    /// Where this program keeps what outlives it: what systemd gives it (systemd.exec(5)), else the
    /// place for that in the user's home (XDG base directories). `None`: there is no home either.
    fn state_directory(&self) -> Option<PathBuf> {
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let given = self.variable("STATE_DIRECTORY").and_then(|given| {
            // Several are separated by colons.
            let first = given.as_bytes().split(|byte| *byte == b':').next()?;
            absolute(OsStr::from_bytes(first).into())
        });
        let of_user = || {
            let state = self.variable("XDG_STATE_HOME").map(PathBuf::from);
            let home = || Some(PathBuf::from(self.variable("HOME")?).join(".local/state"));
            let state = state.and_then(absolute).or_else(home).and_then(absolute);
            Some(state?.join("casemate"))
        };
        given.or_else(of_user)
    }

    /// One variable. An empty one counts as not set, as with a shell's `VAR= command`.
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = self.variables().remove(&OsString::from(name))?;
        (!value.is_empty()).then_some(value)
    }
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn variables(&self) -> BTreeMap<OsString, OsString> {
        std::env::vars_os().collect()
    }

    /// From the list of users, not from `USER`, which any parent process may have set.
    fn os_user(&self) -> String {
        let uid = rustix::process::getuid().as_raw();
        let passwd = std::fs::read(PASSWD).unwrap_or_default();
        user_name(&passwd, uid).unwrap_or_else(|| format!("uid-{uid}"))
    }
}

/// For tests: these variables, and nothing of the machine.
#[derive(Debug, Clone, Default)]
pub struct MapEnvironment {
    /// Names and values.
    pub variables: BTreeMap<OsString, OsString>,
    /// The result of [`Environment::os_user`].
    pub os_user: String,
}

impl Environment for MapEnvironment {
    fn variables(&self) -> BTreeMap<OsString, OsString> {
        self.variables.clone()
    }

    fn os_user(&self) -> String {
        self.os_user.clone()
    }
}

/// The first name with this uid, as getpwuid(3) answers. Invalid lines, and those that are not
/// UTF-8, are skipped.
fn user_name(passwd: &[u8], uid: u32) -> Option<String> {
    passwd
        .split(|&b| b == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name, id.parse::<u32>().ok()?))
        })
        .find(|&(name, id)| id == uid && !name.is_empty())
        .map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\n:x:7:7::/:\nshort:x\nbad:x:seven:7::/:\n+::::::\n\
        latin\xe9:x:1001:1001::/:\n\
        alice:x:1000:1000:Alice,,,:/home/alice:/bin/zsh\n\
        alice2:x:1000:1000::/home/alice:/bin/zsh\n\
        last:x:1002:1002::/:/bin/sh";

    #[test]
    fn a_user_is_found_by_uid_and_the_first_line_wins() {
        for (uid, name) in [(0, "root"), (1000, "alice"), (1002, "last")] {
            assert_eq!(user_name(PASSWD, uid).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_uid_without_a_readable_name_is_not_found() {
        for uid in [7, 1001, 4_294_967_294] {
            assert_eq!(user_name(PASSWD, uid), None);
        }
        assert_eq!(user_name(b"", 0), None);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let mut environment = MapEnvironment::default();
        environment.variables.insert("A".into(), "".into());
        environment.variables.insert("B".into(), "b".into());
        assert_eq!(environment.variable("A"), None);
        assert_eq!(environment.variable("B"), Some("b".into()));
        assert_eq!(environment.variable("C"), None);
    }

    #[test]
    fn state_is_kept_where_systemd_says_or_in_the_home() {
        let state = |variables: &[(&str, &str)]| {
            let pairs = variables.iter();
            let variables = pairs.map(|(name, value)| (name.into(), value.into()));
            let environment = MapEnvironment {
                variables: variables.collect(),
                os_user: String::new(),
            };
            let found = environment.state_directory();
            found.map(|path| path.to_str().expect("UTF-8").to_owned())
        };
        let home = ("HOME", "/home/ada");
        assert_eq!(
            state(&[home]).as_deref(),
            Some("/home/ada/.local/state/casemate")
        );
        let xdg = ("XDG_STATE_HOME", "/srv/state");
        assert_eq!(state(&[home, xdg]).as_deref(), Some("/srv/state/casemate"));
        let systemd = ("STATE_DIRECTORY", "/var/lib/casemate:/var/lib/other");
        assert_eq!(
            state(&[home, xdg, systemd]).as_deref(),
            Some("/var/lib/casemate")
        );
        for none in [&[][..], &[("HOME", "relative")], &[("XDG_STATE_HOME", "a")]] {
            assert_eq!(state(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_process_has_a_user() {
        assert!(!ProcessEnvironment.os_user().is_empty());
    }
}
