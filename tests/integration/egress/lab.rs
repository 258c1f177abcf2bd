//! A network for one test, in which every address of the Internet is the test's own.
//!
//! ```text
//!  namespace of the server            namespace of the targets
//!  casemate serve  10.99.0.1 ──veth── 10.99.0.2  resolver
//!                                     anything   targets: all other addresses are here
//! ```
//!
//! Neither namespace has another link, so nothing leaves the machine. The server reaches the
//! Engine by its Unix socket, which network namespaces do not separate.

mod authority;
mod namespace;
mod proxy;
mod resolver;
mod talk;
mod targets;
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::process::Command;

pub use authority::Authority;
pub use namespace::Namespace;
pub use proxy::TestProxy;
pub use resolver::{Answer, Resolver, addresses_of};
pub use talk::Talk;
use targets::Reply;
pub use targets::{Target, served};

use super::CLIENT;
use crate::harness::{Directory, Instance, TestServer};

/// The address of the server's interface: one of "this host's".
pub const SERVER: &str = "10.99.0.1";

/// A name with an address of the server's own that is not a private one.
pub const SERVER_PUBLIC: &str = "93.185.0.1";

/// Where the resolver listens.
const RESOLVER: &str = "10.99.0.2:53";

/// Addresses below it swallow what is sent to them: no answer, no error.
pub const DEAD: &str = "93.186.0.0/16";

/// The two namespaces, the resolver and the authority of the certificates.
#[derive(Debug)]
pub struct Lab {
    /// Of the server.
    pub here: Arc<Namespace>,
    /// Of the targets.
    pub there: Arc<Namespace>,
    /// What the server asks.
    pub resolver: Resolver,
    authority: Authority,
    directory: Directory,
}

impl Lab {
    /// A lab with no target, whose resolver knows no name.
    pub fn new() -> Self {
        let directory = Directory::new(0);
        let (here, there) = (Arc::new(Namespace::new()), Arc::new(Namespace::new()));
        here.run(&format!(
            "ip link add here type veth peer name there netns {}",
            there.pid()
        ));
        for order in [
            "ip link set lo up && ip link set here up",
            &format!("ip addr add {SERVER}/24 dev here && ip addr add {SERVER_PUBLIC}/32 dev lo"),
            "ip addr add 2600:9000::1/64 dev here nodad",
            "ip route add default via 10.99.0.2 && ip -6 route add default via 2600:9000::2",
        ] {
            here.run(order);
        }
        for order in [
            "ip link set lo up && ip link set there up && ip addr add 10.99.0.2/24 dev there",
            "ip addr add 2600:9000::2/64 dev there nodad",
            // All that has no better route is this machine's own.
            "ip route add local default dev lo table main",
            "ip -6 route add local default dev lo table main",
            &format!("ip route add blackhole {DEAD}"),
            "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind",
            "echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind",
        ] {
            there.run(order);
        }
        let address = RESOLVER.parse().expect("an address");
        let resolver = Resolver::start(there.udp(address), there.listen(address));
        let lab = Self {
            here,
            there,
            resolver,
            authority: Authority::new(),
            directory,
        };
        lab.set_resolver();
        lab
    }

    /// The server's `/etc` says that the test's resolver is the only one. The search domain shows
    /// whether names are looked up as absolute ones.
    fn set_resolver(&self) {
        let host = RESOLVER.trim_end_matches(":53");
        let resolv = format!("nameserver {host}\nsearch search.test\n");
        for (name, content) in [
            ("resolv.conf", resolv.as_str()),
            ("nsswitch.conf", "hosts: files dns\n"),
        ] {
            std::fs::write(self.path(name), content).expect("a file");
            let (from, to) = (self.path(name), format!("/etc/{name}"));
            self.here.run(&format!(
                "touch {to} && mount --bind {} {to}",
                from.display()
            ));
        }
        // A cache of names would answer in place of the resolver.
        self.here
            .run("[ ! -d /run/nscd ] || mount -t tmpfs tmpfs /run/nscd");
    }

    /// A file or directory of the lab's own.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.directory.text()).join(name)
    }

    /// A server in its namespace, not yet started, with these lines in its settings file.
    pub fn server(&self, settings: &str) -> TestServer {
        self.server_on(&Instance::new(), "casemate.toml", settings)
    }

    /// As [`Self::server`], on an instance that others use too, with a file of this name.
    pub fn server_on(&self, instance: &Instance, file: &str, settings: &str) -> TestServer {
        self.set(file, settings);
        let entering = self.here.entering();
        let path = self.path(file);
        TestServer::on(instance)
            .through(&entering.each_ref().map(String::as_str))
            .flag("--config", path.to_str().expect("UTF-8"))
    }

    /// Replaces a settings file as a whole, as editors do.
    pub fn set(&self, file: &str, settings: &str) {
        let new = self.path("new");
        std::fs::write(&new, settings).expect("a file");
        std::fs::rename(&new, self.path(file)).expect("a file");
    }

    /// Runs a script in the server's namespace without a sandbox, beside the certificate.
    pub async fn run(&self, script: &str) -> Value {
        std::fs::write(self.path("ca.pem"), self.certificate()).expect("a file");
        let file = self.path("script.py");
        std::fs::write(file, format!("{CLIENT}\n{script}")).expect("a file");
        let entering = self.here.entering();
        let output = Command::new(&entering[0])
            .args(&entering[1..])
            .arg(format!("--wd={}", self.path("").display()))
            .args(["python3", "script.py"])
            .stderr(Stdio::inherit())
            .output()
            .await
            .expect("python3");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The certificate that clients trust, in PEM.
    pub fn certificate(&self) -> &str {
        self.authority.certificate()
    }

    /// The name has this address alone, where a TLS server for it echoes.
    pub fn host(&self, name: &str, address: &str) -> Target {
        self.resolver.set(name, [address.trim_matches(['[', ']'])]);
        self.tls(&format!("{address}:443"), &[name], Talk::Echo)
    }

    /// A TLS server among the targets, with a certificate for `names`.
    pub fn tls(&self, address: &str, names: &[&str], talk: Talk) -> Target {
        let listener = self.there.listen(parse(address));
        Target::start(listener, Some(self.authority.acceptor(names)), talk)
    }

    /// As [`Self::tls`], and each client is asked for a second ClientHello.
    pub fn retrying(&self, address: &str, names: &[&str], talk: Talk) -> Target {
        let listener = self.there.listen(parse(address));
        Target::start(listener, Some(self.authority.retrying(names)), talk)
    }

    /// A TCP server among the targets.
    pub fn tcp(&self, address: &str, talk: Talk) -> Target {
        Target::start(self.there.listen(parse(address)), None, talk)
    }

    /// A proxy among the targets, which wants credentials; it knows one name.
    pub fn proxy(&self, address: &str, (name, leads_to): (&'static str, &str)) -> TestProxy {
        let listener = self.there.listen(parse(address));
        TestProxy::start(&self.there, listener, (name, parse(leads_to)))
    }

    /// A web server over TLS among the targets; `reply` answers each path.
    pub fn https(
        &self,
        address: &str,
        names: &[&str],
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Target {
        let listener = self.there.listen(parse(address));
        Target::web(listener, self.authority.acceptor(names), reply)
    }
}

fn parse(address: &str) -> SocketAddr {
    let parsed = address.parse();
    parsed.unwrap_or_else(|error| panic!("{address}: {error}"))
}
