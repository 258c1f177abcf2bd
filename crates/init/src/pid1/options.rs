//! The arguments of `casemate-init pid1`: part of the container's specification.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::command::UNWATCHED_GRACE;
use super::environment::EnvironmentChanges;
use super::rlimits::ResourceLimit;
use crate::bridge_key::KeyHash;
use crate::shield::Account;

/// Arguments that may stand more than once.
const REPEATED: [&str; 6] = [
    "--cluster-address",
    "--env-unless-set",
    "--env-without",
    "--rlimit",
    "--shared",
    "--unreachable",
];

/// What the server decided when it made the container.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// PID 1 ends itself after this long without anything to do.
    pub idle_timeout: Duration,
    /// What a command left in the background is ended this long after the last call.
    pub background_ttl: Duration,
    /// How long a command runs on whose watcher's connection broke: servers come back.
    pub lost_channel_ttl: Duration,
    /// PID 1 ends itself, even with running commands, if no server was connected for this long.
    /// `None`: never, as other servers may connect.
    pub orphan_ttl: Option<Duration>,
    /// Bytes that writes leave free on the disk of the workspace; 0: none.
    pub disk_floor: u64,
    /// Where shared data is; it is read-only.
    pub shared: Vec<PathBuf>,
    /// The volume is no user's workspace: PID 1 makes no files there.
    pub bare: bool,
    /// Where the Engine cannot run the bridge as a user of its own: what a bridge shows instead.
    pub bridge_key: Option<KeyHash>,
    /// Limits that the Engine does not set.
    pub rlimits: Vec<ResourceLimit>,
    /// What the network must not reach.
    pub unreachable: Vec<SocketAddr>,
    /// What is changed in the container's environment.
    pub environment: EnvironmentChanges,
    /// Whom the commands run as, where PID 1 is to be of another real user: see [`crate::shield`].
    pub account: Option<Account>,
    /// Processes and threads that this user may have, where there is one.
    pub processes: u64,
    /// Hash of the specification, told back in Hello.
    pub spec: String,
}

impl Options {
    /// Parses `--name=value` arguments. Only the two times and `--spec` are required. None takes the place
    /// of an earlier one: somebody may have added it.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut idle_timeout, mut background_ttl, mut spec) = (None, None, None);
        let (mut orphan_ttl, mut disk_floor) = (None, 0);
        let mut lost_channel_ttl = UNWATCHED_GRACE;
        let (mut shared, mut bare, mut bridge_key) = (Vec::new(), false, None);
        let (mut rlimits, mut unreachable) = (Vec::new(), Vec::new());
        let mut environment = EnvironmentChanges::default();
        let (mut account, mut processes) = (None, 0);
        let mut seen = HashSet::new();
        for arg in args {
            let (name, value) = arg.split_once('=').ok_or(format!("{arg}: no value"))?;
            if !seen.insert(name.to_owned()) && !REPEATED.contains(&name) {
                return Err(format!("{name}: given twice"));
            }
            match name {
                "--idle-timeout-ms" => idle_timeout = Some(millis(name, value)?),
                "--background-ttl-ms" => background_ttl = Some(millis(name, value)?),
                "--orphan-ttl-ms" => orphan_ttl = Some(millis(name, value)?),
                "--lost-channel-ttl-ms" => lost_channel_ttl = millis(name, value)?,
                "--disk-floor-bytes" => disk_floor = number(name, value)?,
                "--shared" => shared.push(PathBuf::from(value)),
                "--bare" => bare = value == "yes",
                "--bridge-key-sha256" => bridge_key = Some(key_hash(name, value)?),
                "--rlimit" => rlimits.push(rlimit(name, value)?),
                // Servers know the first by different addresses, the others by the same settings.
                "--cluster-address" | "--unreachable" => unreachable.push(address(name, value)?),
                "--env-without" => environment.without.push(value.to_owned()),
                "--env-unless-set" => environment.unless_set.push(variable(name, value)?),
                "--path-first" => environment.path_first = Some(value.to_owned()),
                "--user" => account = Some(self::account(name, value)?),
                "--processes" => processes = number(name, value)?,
                "--spec" => spec = Some(value.to_owned()),
                _ => return Err(format!("{name}: unknown argument")),
            }
        }
        if account.is_some() && processes == 0 {
            return Err("--user needs --processes".to_owned());
        }
        Ok(Self {
            idle_timeout: idle_timeout.ok_or("--idle-timeout-ms is missing")?,
            background_ttl: background_ttl.ok_or("--background-ttl-ms is missing")?,
            lost_channel_ttl,
            orphan_ttl,
            disk_floor,
            shared,
            bare,
            bridge_key,
            rlimits,
            unreachable,
            environment,
            account,
            processes,
            spec: spec.ok_or("--spec is missing")?,
        })
    }
}

fn key_hash(name: &str, value: &str) -> Result<KeyHash, String> {
    KeyHash::parse(value).ok_or_else(|| format!("{name}: {value}: not 64 hexadecimal digits"))
}

fn rlimit(name: &str, value: &str) -> Result<ResourceLimit, String> {
    ResourceLimit::parse(value).ok_or_else(|| format!("{name}: {value}: not a limit of a resource"))
}

fn address(name: &str, value: &str) -> Result<SocketAddr, String> {
    let address = value.parse();
    address.map_err(|_| format!("{name}: {value}: not an address and a port"))
}

fn variable(name: &str, value: &str) -> Result<(String, String), String> {
    let (variable, value) = value.split_once('=').ok_or(format!("{name}: no value"))?;
    Ok((variable.to_owned(), value.to_owned()))
}

fn account(name: &str, value: &str) -> Result<Account, String> {
    Account::parse(value).ok_or_else(|| format!("{name}: {value}: not UID:GID of a user"))
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{name}: {value}: not a number"))
}

fn millis(name: &str, value: &str) -> Result<Duration, String> {
    let millis = value.parse();
    millis
        .map(Duration::from_millis)
        .map_err(|_| format!("{name}: {value}: not a number of milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn a_container_may_be_told_when_it_is_an_orphan_and_what_room_to_leave() {
        let all = "--idle-timeout-ms=1 --background-ttl-ms=2 --spec=ab --orphan-ttl-ms=30000 \
            --disk-floor-bytes=4096 --lost-channel-ttl-ms=900000";
        let options = parse(&all.split(' ').collect::<Vec<_>>()).expect("parses");
        assert_eq!(options.disk_floor, 4096);
        assert_eq!(options.lost_channel_ttl, Duration::from_secs(900));
        assert_eq!(options.orphan_ttl, Some(Duration::from_secs(30)));
    }

    #[test]
    fn shared_data_may_be_at_several_paths_and_a_volume_may_be_bare() {
        let all = "--idle-timeout-ms=1 --background-ttl-ms=2 --spec=ab --shared=/a --shared=/b=c \
            --bare=yes";
        let options = parse(&all.split_whitespace().collect::<Vec<_>>()).expect("parses");
        assert_eq!(options.shared, [PathBuf::from("/a"), PathBuf::from("/b=c")]);
        assert!(options.bare);
    }

    #[test]
    fn a_bridge_may_have_to_show_a_key() {
        let hash = "ab".repeat(32);
        let all = ["--idle-timeout-ms=1", "--background-ttl-ms=2", "--spec=ab"];
        let with = |hash: &str| {
            let argument = format!("--bridge-key-sha256={hash}");
            parse(&[&all[..], &[&argument]].concat())
        };
        assert!(with(&hash).expect("parses").bridge_key.is_some());
        assert!(parse(&all).expect("parses").bridge_key.is_none());
        for wrong in ["", "ab", &hash[1..], &"+f".repeat(32), &"é".repeat(32)] {
            assert!(
                with(wrong).is_err_and(|error| error.contains("64 hex")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_server_may_ask_for_what_its_engine_does_not_do() {
        let all = [
            "--idle-timeout-ms=1",
            "--background-ttl-ms=2",
            "--spec=ab",
            "--rlimit=core:0",
            "--cluster-address=10.0.0.1:443",
            "--unreachable=[fd00::1]:443",
            "--env-without=KUBERNETES_",
            "--env-unless-set=NODE_OPTIONS=--require=/a",
            "--path-first=/workspace/.home/.local/bin",
        ];
        let options = parse(&all).expect("parses");
        assert_eq!((options.rlimits.len(), options.unreachable.len()), (1, 2));
        let node = ("NODE_OPTIONS".to_owned(), "--require=/a".to_owned());
        assert_eq!(options.environment.unless_set, [node]);
        for wrong in [
            "--rlimit=core",
            "--unreachable=host:1",
            "--env-unless-set=A",
        ] {
            assert!(parse(&[&all[..], &[wrong]].concat()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_may_run_as_another_user_who_is_not_root() {
        let all = ["--idle-timeout-ms=1", "--background-ttl-ms=2", "--spec=ab"];
        let with = |argument: &str| parse(&[&all[..], &[argument, "--processes=7"]].concat());
        let options = with("--user=65536:65537").expect("parses");
        let account = options.account.expect("one");
        assert_eq!((account.uid, account.gid), (65_536, 65_537));
        assert_eq!(options.processes, 7);
        for root in ["--user=0:0", "--user=0:5", "--user=5:0", "--user=root"] {
            assert!(with(root).is_err_and(|error| error.contains("UID:GID")));
        }
        assert_eq!(parse(&all).expect("parses").account, None);
        let unlimited = parse(&[&all[..], &["--user=5:6"]].concat());
        assert_eq!(unlimited, Err("--user needs --processes".to_owned()));
    }

    #[test]
    fn all_arguments_are_required_and_no_other_is_taken() {
        let good = [
            "--idle-timeout-ms=900000",
            "--background-ttl-ms=5",
            "--spec=ab",
        ];
        let options = parse(&good).expect("parses");
        assert_eq!(options.idle_timeout, Duration::from_secs(900));
        assert_eq!((options.orphan_ttl, options.disk_floor), (None, 0));
        assert_eq!(options.lost_channel_ttl, UNWATCHED_GRACE);
        assert!(options.shared.is_empty() && !options.bare);
        assert!(parse(&good[1..]).is_err_and(|error| error.contains("idle-timeout")));
        assert!(parse(&["--spec=a", "--else=1"]).is_err_and(|error| error.contains("--else")));
        assert!(parse(&["--idle-timeout-ms=soon"]).is_err_and(|error| error.contains("soon")));
        for again in ["--spec=ab", "--idle-timeout-ms=1", "--spec="] {
            let twice = parse(&[&good[..], &[again]].concat());
            assert!(twice.is_err_and(|error| error.contains("given twice")));
        }
    }
}
