//! Which shell runs a command, and what it is given.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use casemate_protocol::{
    CA_PATH, EnvVar, Failure, FailureExt as _, StartRequest, WORKSPACE, failure::Code,
};
use rustix::fs::{Access, access};

use super::account;
use super::environment::{Environment, EnvironmentChanges};
use crate::supervisor::{RunRequest, SCRIPT_FD};

/// Longest script passed as an argument: the kernel takes 128 KiB
/// (`MAX_ARG_STRLEN`), and the margin is free.
const MAX_ARGUMENT: usize = 96 * 1024;

/// The shell of this container and the environment its commands start from.
#[derive(Debug)]
pub struct Shell {
    program: Option<PathBuf>,
    env: Environment,
    /// Those of [`RETRIES`] that the image does not set.
    retries: Vec<&'static str>,
}

impl Shell {
    /// Looks for `bash`, then `sh`, along PATH and in the usual places. What
    /// user code could have put there (the workspace, `/tmp`) does not count.
    pub fn find(changes: &EnvironmentChanges) -> Self {
        let env = with_user(changes.apply(own_environment()), account::name());
        let path = env.iter().find(|(name, _)| name == b"PATH");
        let path = path.map_or(OsStr::new(""), |(_, path)| OsStr::from_bytes(path));
        let places: Vec<PathBuf> = std::env::split_paths(path)
            .chain(["/bin".into(), "/usr/bin".into()])
            .filter(|place| place.is_absolute())
            .filter(|place| !place.starts_with(WORKSPACE) && !place.starts_with("/tmp"))
            .collect();
        let program = ["bash", "sh"].iter().find_map(|name| {
            let candidates = places.iter().map(|place| place.join(name));
            candidates.into_iter().find(|path| is_program(path))
        });
        let is_set = |name: &str| env.iter().any(|(set, _)| set == name.as_bytes());
        let retries = RETRIES.into_iter().filter(|name| !is_set(name)).collect();
        Self {
            retries,
            env: with_defaults(env, program.as_deref()),
            program,
        }
    }

    /// What the supervisor is to run for this request.
    ///
    /// # Errors
    /// `NO_SHELL` where the image has none.
    pub fn order(&self, request: &StartRequest) -> Result<RunRequest, Failure> {
        let program = self
            .program
            .as_ref()
            .ok_or_else(|| Failure::new(Code::NoShell, "no bash and no sh along PATH"))?;
        let name = program.file_name().unwrap_or_default().as_bytes();
        let script = with_line_feeds(&request.script);
        let (argument, script) = if script.len() > MAX_ARGUMENT {
            // Not `.`, in which `return` at the top level means something.
            let read = if name == b"bash" { "<" } else { "cat " };
            let eval = format!("eval \"$({read}/proc/self/fd/{SCRIPT_FD})\"");
            (eval.into(), script)
        } else {
            (script, Bytes::new())
        };
        Ok(RunRequest {
            program: Bytes::copy_from_slice(program.as_os_str().as_bytes()),
            args: vec![
                Bytes::copy_from_slice(name),
                Bytes::from_static(b"-c"),
                // A command that begins with - or + is no option.
                Bytes::from_static(b"--"),
                argument,
            ],
            env: self.environment(&request.env, request.has_network),
            cwd: Bytes::copy_from_slice(request.cwd.as_bytes()),
            stdin: request.stdin.clone(),
            script,
        })
    }

    fn environment(&self, added: &[EnvVar], has_network: bool) -> Vec<Bytes> {
        let retries = if has_network { b"1" } else { b"0" };
        let is_added = |name: &[u8]| added.iter().any(|var| var.name.as_bytes() == name);
        let kept = self.env.iter().filter(|(name, _)| !is_added(name));
        let retried = self.retries.iter().map(|name| name.as_bytes());
        let retried = retried.filter(|name| !is_added(name));
        let retried = retried.map(|name| [name, b"=", retries.as_slice()].concat().into());
        kept.map(|(name, value)| [name, b"=".as_slice(), value].concat().into())
            .chain(retried)
            .chain(
                added
                    .iter()
                    .map(|var| [var.name.as_bytes(), b"=", &var.value].concat().into()),
            )
            .collect()
    }
}

/// The script as it was meant by a client whose lines end with CR LF: a shell takes the CR for
/// a part of the last word. Where some lines end otherwise, the CRs are the user's.
fn with_line_feeds(script: &Bytes) -> Bytes {
    let script = match script.strip_suffix(b"\r") {
        Some(stripped) => script.slice_ref(stripped),
        None => script.clone(),
    };
    let mut before = None;
    let ends_with_cr = |byte: &u8| {
        let feed = *byte == b'\n';
        before.replace(*byte) == Some(b'\r') || !feed
    };
    if !script.contains(&b'\r') || !script.iter().all(ends_with_cr) {
        return script;
    }
    let mut bytes = script.iter().copied().peekable();
    let mut kept = Vec::with_capacity(script.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            kept.push(byte);
        }
    }
    kept.into()
}

/// The container's environment.
#[expect(
    clippy::disallowed_methods,
    reason = "it is what commands start from, no setting"
)]
fn own_environment() -> Environment {
    let variables = std::env::vars_os();
    variables
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect()
}

/// Variables that are set unless the image sets them. Python writes each line when it is printed,
/// so that the output of a command that is killed is there. Sanitizers do
/// not check for leaks: the filters refuse the process that would do it, and the program would end
/// with an error.
const UNLESS_SET: [(&str, &str); 5] = [
    ("PYTHONUNBUFFERED", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    // npm otherwise waits 10 s before it tries again.
    ("npm_config_fetch_retry_mintimeout", "1000"),
    ("npm_config_update_notifier", "false"),
    ("LSAN_OPTIONS", "detect_leaks=0"),
];

/// How often pip, cargo and npm try again. Without a network they fail at once (pip otherwise takes
/// 8 s, npm 71 s); with one, a connection may fail by chance.
const RETRIES: [&str; 3] = ["PIP_RETRIES", "CARGO_NET_RETRY", "npm_config_fetch_retries"];

/// What programs read to find the certificates that they trust: OpenSSL, curl, git, pip, Python's
/// requests, Node.js, cargo. Set, unless the image sets them, where the operator adds some.
const TRUST: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
];

/// So is SHELL: bash looks its user up in /etc/passwd without it, which costs a tenth of a
/// short command.
fn with_defaults(mut env: Environment, shell: Option<&Path>) -> Environment {
    let shell = shell.map(|shell| ("SHELL", shell.as_os_str().as_bytes()));
    let fixed = UNLESS_SET.map(|(name, value)| (name, value.as_bytes()));
    let has_roots = Path::new(CA_PATH).exists();
    let trust = TRUST.into_iter().filter(|_| has_roots);
    let trust = trust.map(|name| (name, CA_PATH.as_bytes()));
    for (name, value) in fixed.into_iter().chain(trust).chain(shell) {
        if !env.iter().any(|(set, _)| set == name.as_bytes()) {
            env.push((name.as_bytes().to_vec(), value.to_vec()));
        }
    }
    env
}

/// The image's own user is not the one that commands run as.
fn with_user(mut env: Environment, name: Vec<u8>) -> Environment {
    let names = ["USER", "LOGNAME"].map(|variable| variable.as_bytes().to_vec());
    env.retain(|(variable, _)| !names.contains(variable));
    env.extend(names.map(|variable| (variable, name.clone())));
    env
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(script: &[u8]) -> StartRequest {
        StartRequest {
            script: Bytes::copy_from_slice(script),
            env: vec![EnvVar {
                name: "PATH".into(),
                value: Bytes::from_static(b"/mine"),
            }],
            ..StartRequest::default()
        }
    }

    #[test]
    fn a_long_script_goes_by_descriptor() {
        let shell = Shell::find(&EnvironmentChanges::default());
        let short = shell.order(&request(b"true")).expect("order");
        assert!(short.script.is_empty());
        assert_eq!(short.args[1..], ["-c", "--", "true"]);
        let long = vec![b'#'; MAX_ARGUMENT + 1];
        let order = shell.order(&request(&long)).expect("order");
        assert!(order.args[3].starts_with(b"eval "), "{:?}", order.args);
        assert_eq!(order.script, long);
    }

    #[test]
    fn a_given_variable_replaces_the_containers() {
        let order = Shell::find(&EnvironmentChanges::default())
            .order(&request(b""))
            .expect("order");
        let paths: Vec<_> = order
            .env
            .iter()
            .filter(|v| v.starts_with(b"PATH="))
            .collect();
        assert_eq!(paths, ["PATH=/mine"]);
    }

    #[test]
    fn lines_that_all_end_with_cr_lf_are_lines_and_other_crs_stay() {
        for (given, wanted) in [
            ("a\r\nb\r\n", "a\nb\n"),
            ("a\r", "a"),
            ("a\r\nb\r", "a\nb"),
            ("printf 'a\r\nb\r\n'\necho", "printf 'a\r\nb\r\n'\necho"),
            ("a\rb", "a\rb"),
            ("a\nb\n", "a\nb\n"),
        ] {
            assert_eq!(
                with_line_feeds(&Bytes::from_static(given.as_bytes())),
                wanted
            );
        }
    }

    #[test]
    fn what_an_image_sets_goes_before_what_is_set_for_it() {
        let set = vec![(b"PYTHONUNBUFFERED".to_vec(), b"".to_vec())];
        let env = with_defaults(set, Some(Path::new("/bin/sh")));
        let value = |name: &[u8]| {
            env.iter()
                .find(|(is, _)| is == name)
                .map(|(_, value)| &value[..])
        };
        assert_eq!(value(b"PYTHONUNBUFFERED"), Some(&b""[..]));
        assert_eq!(value(b"LSAN_OPTIONS"), Some(&b"detect_leaks=0"[..]));
        assert_eq!(value(b"SHELL"), Some(&b"/bin/sh"[..]));
    }

    #[test]
    fn package_managers_try_again_once_where_there_is_a_network() {
        let shell = Shell {
            retries: vec!["PIP_RETRIES", "CARGO_NET_RETRY"],
            ..Shell::find(&EnvironmentChanges::default())
        };
        for (has_network, wanted) in [(false, "0"), (true, "1")] {
            let mut request = request(b"");
            request.has_network = has_network;
            request.env.push(EnvVar {
                name: "CARGO_NET_RETRY".into(),
                value: Bytes::from_static(b"7"),
            });
            let order = shell.order(&request).expect("order");
            let set = |name: &'static str| {
                let all = order.env.iter();
                all.filter(move |variable| variable.starts_with(name.as_bytes()))
            };
            let pip: Vec<_> = set("PIP_RETRIES=").collect();
            assert_eq!(pip, [&format!("PIP_RETRIES={wanted}")]);
            let cargo: Vec<_> = set("CARGO_NET_RETRY=").collect();
            assert_eq!(cargo, ["CARGO_NET_RETRY=7"], "the call's own");
        }
    }

    #[test]
    fn the_user_is_who_runs_the_command_and_not_the_one_of_the_image() {
        let image = [("USER", "node"), ("A", "b")];
        let image = image.map(|(name, value)| (name.into(), value.into()));
        let env = with_user(image.into(), b"casemate-7".to_vec());
        let own = [
            ("A", "b"),
            ("USER", "casemate-7"),
            ("LOGNAME", "casemate-7"),
        ];
        assert_eq!(env, own.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn without_a_shell_the_failure_says_so() {
        let shell = Shell {
            program: None,
            env: Vec::new(),
            retries: Vec::new(),
        };
        let failure = shell.order(&request(b"true")).expect_err("no shell");
        assert_eq!(failure.code(), Code::NoShell);
    }
}
