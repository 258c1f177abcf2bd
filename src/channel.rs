//! The channel to PID 1 of one container: gRPC over the streams of one `casemate-init bridge`, which
//! the Engine runs in the container.
//!
//! ```text
//! Channel ─► gRPC, HTTP/2 ─► stdin/stdout of the bridge ─► Engine ─► bridge ─► PID 1
//! ```
//!
//! Invariants:
//! - A channel never reconnects: once closed, it stays closed. The owner of the sandbox opens the
//!   next one.
//! - Every message is bounded and every answer has a deadline.
//! - The stream is drained as long as the channel lives: its own task reads it.
//! - An answer of PID 1 never affects another user or the host.

mod call;
mod connection;
mod egress;
mod error;
mod port;
mod run;
mod stream;
mod transfer;
mod unary;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::sandbox_client::SandboxClient;
use casemate_protocol::{
    EventsRequest, HelloReply, HelloRequest, MAX_MESSAGE, PROTOCOL, RetireRequest, event, shield,
};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Streaming;

pub use call::CommandEvents;
pub use egress::EgressChannel;
pub use error::{CallError, ChannelError};
pub use port::PortStream;
pub use run::{CommandInput, CommandOutput};
pub use transfer::{Backup, Incoming, Outgoing, Piece};
pub use unary::UnaryRequest;

use crate::engine::ExecStream;
use connection::{Connection, Windows};

/// From the exec to the first answer. Connecting costs about 70 ms; a container
/// at its CPU limit takes seconds.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP/2 needs an origin; PID 1 ignores it.
const ORIGIN: &str = "http://casemate";

/// Requests that PID 1 answers from memory: kill, retire, an accepted command.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// An open channel. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Channel {
    client: SandboxClient<Connection>,
    connection: Connection,
    shared: Arc<Shared>,
}

/// The report of PID 1 before it ends.
#[derive(Debug)]
pub struct ExitReport {
    /// The accepted commands. No other was ever run.
    pub accepted: HashSet<String>,
    /// Its exit code.
    pub exit_code: i64,
}

#[derive(Debug)]
struct Shared {
    hello: HelloReply,
    closed: CancellationToken,
    ending: watch::Receiver<Option<Arc<ExitReport>>>,
    _open: DropGuard,
}

impl Channel {
    /// Opens a channel over the streams of a bridge.
    ///
    /// # Errors
    /// [`ChannelError::Silent`] when PID 1 does not answer in 10 s,
    /// [`ChannelError::Incompatible`] when it speaks another protocol,
    /// [`ChannelError::Unconfined`] when it does not report every rule of casemate-seccomp: it is
    /// then asked to end. [`ChannelError::Unshielded`] likewise, when its kernel does not keep the
    /// user's code from PID 1.
    pub async fn open(stream: ExecStream) -> Result<Self, ChannelError> {
        Self::open_with(stream, Windows::CALLS).await
    }

    /// As [`Self::open`], for the bytes of many connections, none of which waits for another that
    /// has no reader.
    ///
    /// # Errors
    /// As there.
    pub async fn open_for_connections(stream: ExecStream) -> Result<Self, ChannelError> {
        Self::open_with(stream, Windows::CONNECTIONS).await
    }

    async fn open_with(stream: ExecStream, windows: Windows) -> Result<Self, ChannelError> {
        timeout(OPEN_TIMEOUT, Self::greet(stream, windows))
            .await
            .map_err(|_| ChannelError::Silent {
                after: OPEN_TIMEOUT,
            })?
    }

    async fn greet(stream: ExecStream, windows: Windows) -> Result<Self, ChannelError> {
        let open = CancellationToken::new();
        let closed = CancellationToken::new();
        let guard = open.clone().drop_guard();
        let stream = stream::join(stream);
        let connection = Connection::start(stream, windows, open.clone(), closed.clone()).await?;
        let origin = http::Uri::from_static(ORIGIN);
        let mut client = SandboxClient::with_origin(connection.clone(), origin)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let hello = client
            .hello(HelloRequest { protocol: PROTOCOL })
            .await?
            .into_inner();
        if hello.protocol != PROTOCOL {
            return Err(ChannelError::Incompatible {
                theirs: hello.protocol,
            });
        }
        if let Some(missing) = unreported(&hello) {
            let retired = retire(&mut client).await;
            return Err(ChannelError::Unconfined { missing, retired });
        }
        let missing: Vec<_> = shield::missing(hello.separate, &hello.shielded).collect();
        if !missing.is_empty() {
            return Err(ChannelError::Unshielded {
                missing: missing.join(", "),
                separate: hello.separate,
                retired: retire(&mut client).await,
            });
        }
        let events = client.events(EventsRequest {}).await?.into_inner();
        let (sender, ending) = watch::channel(None);
        // hyper keeps the stream open during a call, and this call would never end.
        tokio::spawn(async move {
            tokio::select! {
                () = listen(events, sender) => {}
                () = open.cancelled() => {}
            }
        });
        let shared = Shared {
            hello,
            closed,
            ending,
            _open: guard,
        };
        Ok(Self {
            client,
            connection,
            shared: Arc::new(shared),
        })
    }

    /// PID 1's own description.
    pub fn hello(&self) -> &HelloReply {
        &self.shared.hello
    }

    /// Whether calls can still be answered.
    pub fn is_open(&self) -> bool {
        !self.shared.closed.is_cancelled() && self.shared.ending.borrow().is_none()
    }

    /// Waits until the stream is gone.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.closed.clone().cancelled_owned()
    }

    /// As [`Self::exit_report`], from the messages read until now.
    pub fn last_words_now(&self) -> Option<Arc<ExitReport>> {
        self.shared.ending.borrow().clone()
    }

    /// The report of PID 1 about its end; `None` if it ended without one. Waits until the channel's
    /// last message was read.
    pub async fn exit_report(&self) -> Option<Arc<ExitReport>> {
        let mut ending = self.shared.ending.clone();
        // An error: the channel is gone and nothing more will come.
        let _ = timeout(REPLY_TIMEOUT, ending.wait_for(Option::is_some)).await;
        self.last_words_now()
    }
}

/// Asks a PID 1 that must not be used to end, so that another container can replace it: whether it will.
async fn retire(client: &mut SandboxClient<Connection>) -> bool {
    let retire = client.retire(RetireRequest::default());
    matches!(timeout(REPLY_TIMEOUT, retire).await, Ok(Ok(reply)) if !reply.get_ref().busy)
}

/// Waits for the only event. The stream ends with the connection.
async fn listen(
    mut events: Streaming<casemate_protocol::Event>,
    ending: watch::Sender<Option<Arc<ExitReport>>>,
) {
    while let Ok(Some(event)) = events.message().await {
        if let Some(event::Event::Ending(end)) = event.event {
            ending.send_replace(Some(Arc::new(ExitReport {
                accepted: end.accepted.into_iter().collect(),
                exit_code: end.exit_code.into(),
            })));
        }
    }
}

/// Rules that an error names: an older casemate-init lacks all of them.
const NAMED_RULES_LIMIT: usize = 3;

/// The rules that PID 1 should report as tested but does not. `None`: the container may be used.
fn unreported(hello: &HelloReply) -> Option<String> {
    let missing: Vec<_> = casemate_seccomp::missing(&hello.denied).collect();
    match missing.len() {
        0 => None,
        all @ ..=NAMED_RULES_LIMIT => Some(missing[..all].join(", ")),
        all => Some(format!(
            "{} and {} more",
            missing[..NAMED_RULES_LIMIT].join(", "),
            all - NAMED_RULES_LIMIT
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(denied: impl Iterator<Item = &'static str>) -> HelloReply {
        HelloReply {
            denied: denied.map(str::to_owned).collect(),
            ..HelloReply::default()
        }
    }

    #[test]
    fn pid_1_is_used_only_when_it_reports_every_rule() {
        let all = || casemate_seccomp::required();
        assert_eq!(unreported(&hello(all())), None);
        assert_eq!(
            unreported(&hello(all().chain(["of a newer version"]))),
            None
        );
        for left_out in all() {
            let others = all().filter(|name| *name != left_out);
            assert_eq!(unreported(&hello(others)).as_deref(), Some(left_out));
        }
        let none = unreported(&hello(std::iter::empty()));
        let more = format!(" and {} more", all().count() - NAMED_RULES_LIMIT);
        assert!(none.is_some_and(|missing| {
            missing.starts_with("netlink sockets, ") && missing.ends_with(&more)
        }));
    }
}
