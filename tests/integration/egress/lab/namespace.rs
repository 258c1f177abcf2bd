//! A network namespace, and sockets in it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Runs what it reads and answers with the output and the exit code. Its end is the end of the
/// namespace, and it ends when its input does: also when the test is killed.
const SHELL: &str = r#"
while read -r order; do
    eval "$order" </dev/null 2>&1
    echo "= $?"
done
"#;

/// The thing that is missing where a namespace cannot be made.
const NEEDS: &str = "network namespaces: the test needs Linux, root, util-linux and iproute2";

/// A network namespace with a mount namespace. Dropping it ends both.
#[derive(Debug)]
pub struct Namespace {
    shell: Child,
    conversation: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    net: File,
}

impl Namespace {
    /// Without any interface that is up.
    pub fn new() -> Self {
        let mut shell = Command::new("unshare")
            .args(["--net", "--mount", "bash", "-c", SHELL])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(NEEDS);
        let input = shell.stdin.take().expect("stdin");
        let output = BufReader::new(shell.stdout.take().expect("stdout"));
        let conversation = Mutex::new(Some((input, output)));
        // The shell's own answer: before it, the process may still be in this namespace.
        run(&conversation, "true");
        let net = File::open(format!("/proc/{}/ns/net", shell.id())).expect(NEEDS);
        Self {
            shell,
            conversation,
            net,
        }
    }

    /// Runs a line of bash inside, and returns what it prints. Panics when it fails.
    pub fn run(&self, order: &str) -> String {
        run(&self.conversation, order)
    }

    /// The process that holds it.
    pub fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// The words that start a program inside; the program takes the place of `nsenter`.
    pub fn entering(&self) -> [String; 4] {
        let target = format!("--target={}", self.pid());
        ["nsenter", &target, "--net", "--mount"].map(str::to_owned)
    }

    /// A TCP socket inside that listens at `address`.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        let listener = self.inside(move || std::net::TcpListener::bind(address));
        let listener = listener.unwrap_or_else(|error| panic!("{address}: {error}"));
        listener.set_nonblocking(true).expect("a socket");
        TcpListener::from_std(listener).expect("a runtime")
    }

    /// A UDP socket inside at `address`.
    pub fn udp(&self, address: SocketAddr) -> UdpSocket {
        let socket = self.inside(move || std::net::UdpSocket::bind(address));
        let socket = socket.unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_nonblocking(true).expect("a socket");
        UdpSocket::from_std(socket).expect("a runtime")
    }

    /// Connects from inside.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let runtime = tokio::runtime::Handle::current();
        let socket = self.inside(move || {
            let _runtime = runtime.enter();
            TcpSocket::new_v4()
        });
        socket?.connect(address).await
    }

    /// Runs `make` in a thread that has entered it. A socket stays where it was made.
    fn inside<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let net = &self.net;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect(NEEDS);
                make()
            });
            thread.join().expect("a thread in the namespace")
        })
    }
}

fn run(conversation: &Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>, order: &str) -> String {
    let mut conversation = conversation.lock().expect("lock");
    let (input, output) = conversation.as_mut().expect("it runs");
    writeln!(input, "{order}").expect(NEEDS);
    let mut printed = String::new();
    loop {
        let before = printed.len();
        output.read_line(&mut printed).expect("UTF-8");
        let line = printed[before..].to_owned();
        assert!(!line.is_empty(), "{NEEDS}");
        if let Some(code) = line.strip_prefix("= ") {
            printed.truncate(before);
            assert_eq!(code.trim_end(), "0", "{order}: {printed}");
            return printed.trim_end().to_owned();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The end of its input is the end of the shell.
        drop(self.conversation.get_mut().map(Option::take));
        let _ = self.shell.wait();
    }
}
