use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use casemate_egress::address::{AddressPolicy, OwnAddresses};
use casemate_egress::rules::EgressSettings;
use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::egress_server::{Egress, EgressServer};
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{
    Begin, NotListening, Opened, SandboxPiece, ServerPiece, Superseded, sandbox_piece, server_piece,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};

use super::*;
use crate::egress::record::ConnectionRecord;
use crate::egress::relay::RelayEnd;

const PATIENCE: Duration = Duration::from_secs(20);

/// Everything is on loopback.
struct Loopback;

impl Resolve for Loopback {
    async fn resolve(&self, _: &HostName) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

#[derive(Default)]
struct Recorded {
    names: Mutex<Vec<(String, Option<u16>, Reason)>>,
    connections: Mutex<Vec<ConnectionRecord>>,
}

impl Record for Arc<Recorded> {
    type Open = ();

    fn asked(&self) {}

    async fn admit(&self) -> Result<(), Reason> {
        Ok(())
    }

    async fn name_refused(&self, refusal: &Refusal, _is_quiet: bool) {
        let mut names = self.names.lock().expect("whole");
        names.push((refusal.host.clone(), refusal.port, refusal.reason));
    }

    async fn connection_ended(&self, connection: &ConnectionRecord) {
        let mut connections = self.connections.lock().expect("whole");
        connections.push(connection.clone());
    }
}

type Call<From, To> = (Streaming<From>, mpsc::Sender<Result<To, Status>>);

/// casemate-init as the server sees it: hands its calls to the test.
struct TestInit {
    carry: mpsc::Sender<Call<CarrierMessage, SandboxMessage>>,
    connect: mpsc::Sender<Call<ServerPiece, SandboxPiece>>,
}

#[tonic::async_trait]
impl Egress for TestInit {
    type CarryStream = ReceiverStream<Result<SandboxMessage, Status>>;
    type ConnectStream = ReceiverStream<Result<SandboxPiece, Status>>;

    async fn carry(
        &self,
        request: Request<Streaming<CarrierMessage>>,
    ) -> Result<Response<Self::CarryStream>, Status> {
        let (sender, answer) = mpsc::channel(1);
        let call = (request.into_inner(), sender);
        self.carry.send(call).await.expect("the test is there");
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn connect(
        &self,
        request: Request<Streaming<ServerPiece>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (sender, answer) = mpsc::channel(1);
        let call = (request.into_inner(), sender);
        self.connect.send(call).await.expect("the test is there");
        Ok(Response::new(ReceiverStream::new(answer)))
    }
}

struct Carried {
    user: Arc<UserEgress<Loopback>>,
    recorded: Arc<Recorded>,
    from_server: Streaming<CarrierMessage>,
    to_server: mpsc::Sender<Result<SandboxMessage, Status>>,
    connects: mpsc::Receiver<Call<ServerPiece, SandboxPiece>>,
    end: tokio::task::JoinHandle<Result<CarryEnd, Status>>,
}

fn names(allow: &str) -> Names<Loopback> {
    let settings: EgressSettings = toml::from_str(allow).expect("parses");
    let policy = settings.compile("egress.allow").expect("valid");
    let addresses = AddressPolicy::new(Vec::new(), OwnAddresses::default());
    Names::new(
        Arc::new(policy.rules(&[])),
        Arc::new(addresses),
        Arc::new(Loopback),
    )
}

fn rule(port: u16) -> String {
    format!(
        r#"allow = [{{ host = "a.example.com", port = {port}, protocol = "tcp", allow_cidrs = ["127.0.0.0/8"] }}]"#
    )
}

impl Carried {
    async fn new(allow: &str) -> Self {
        let recorded = Arc::new(Recorded::default());
        let user = Arc::new(UserEgress::new(names(allow), Arc::default()));
        let (carry, mut carries) = mpsc::channel(1);
        let (connect, connects) = mpsc::channel(1);
        let client = EgressClient::new(EgressServer::new(TestInit { carry, connect }));
        let (carrying, record) = (user.clone(), recorded.clone());
        let carrier = CarrierIdentity {
            version: "1.2.3".to_owned(),
            since_ms: 7,
        };
        let end = tokio::spawn(async move {
            let carriage = carrying.begin(client, record, carrier).await?;
            carriage.run(&CancellationToken::new()).await
        });
        let (from_server, to_server) = carries.recv().await.expect("it carries");
        let mut carried = Self {
            user,
            recorded,
            from_server,
            to_server,
            connects,
            end,
        };
        let Some(carrier_message::Message::Carrier(carrier)) = carried.next().await else {
            panic!("it does not say who carries");
        };
        assert_eq!((&*carrier.version, carrier.since_ms), ("1.2.3", 7));
        assert_eq!(carrier.rules_hash, hash(&carried.user.names.borrow()));
        carried
    }

    async fn next(&mut self) -> Option<carrier_message::Message> {
        let message = timeout(PATIENCE, self.from_server.message()).await;
        message.expect("in time").expect("no error")?.message
    }

    async fn say(&self, message: sandbox_message::Message) {
        let message = Some(message);
        let message = SandboxMessage { message };
        self.to_server.send(Ok(message)).await.expect("sent");
    }

    async fn verdict(&mut self, name: &str) -> verdict::Verdict {
        let name = name.to_owned();
        self.say(sandbox_message::Message::Question(Question {
            name: name.clone(),
        }))
        .await;
        match self.next().await {
            Some(carrier_message::Message::Verdict(verdict)) if verdict.name == name => {
                verdict.verdict.expect("a known one")
            }
            other => panic!("{other:?}"),
        }
    }

    /// A program connects: the pieces from the server, after the first one.
    async fn open(&mut self, host: &str, port: u16) -> Call<ServerPiece, SandboxPiece> {
        let opened = Opened {
            connection: 5,
            host: host.to_owned(),
            port: port.into(),
        };
        self.say(sandbox_message::Message::Opened(opened)).await;
        let call = timeout(PATIENCE, self.connects.recv()).await;
        let (mut pieces, out) = call.expect("in time").expect("it connects");
        let begin = server_piece::Piece::Begin(Begin { connection: 5 });
        assert_eq!(next(&mut pieces).await, Some(begin));
        (pieces, out)
    }

    /// The record of the only connection.
    async fn record(&self) -> ConnectionRecord {
        loop {
            if let [record] = &self.recorded.connections.lock().expect("whole")[..] {
                return record.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn next(pieces: &mut Streaming<ServerPiece>) -> Option<server_piece::Piece> {
    let piece = timeout(PATIENCE, pieces.message()).await;
    piece.expect("in time").expect("no error")?.piece
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[tokio::test]
async fn questions_are_answered_by_the_rules_and_refusals_are_recorded() {
    let mut carried = Carried::new(&rule(8081)).await;
    let allowed = Allowed {
        host: "a.example.com".to_owned(),
        ports: vec![8081],
    };
    let verdict = carried.verdict("A.example.com").await;
    assert_eq!(verdict, verdict::Verdict::Allowed(allowed));
    let verdict = carried.verdict("evil.test").await;
    let reason = "not_allowed".to_owned();
    assert_eq!(verdict, verdict::Verdict::Refused(Refused { reason }));
    let told = NotListening {
        host: "a.example.com".to_owned(),
        port: 8081,
        cause: Cause::PortInUse.into(),
    };
    carried
        .say(sandbox_message::Message::NotListening(told))
        .await;
    carried
        .say(sandbox_message::Message::Superseded(Superseded {
            rules_hash: vec![9; 32].into(),
        }))
        .await;
    let end = timeout(PATIENCE, carried.end).await.expect("in time");
    assert_eq!(
        end.expect("no panic").expect("no error"),
        CarryEnd::Superseded {
            has_other_rules: true
        }
    );
    let expected = [
        ("evil.test".to_owned(), None, Reason::NotAllowed),
        ("a.example.com".to_owned(), Some(8081), Reason::PortInUse),
    ];
    assert_eq!(*carried.recorded.names.lock().expect("whole"), expected);
}

#[tokio::test]
async fn a_connection_is_judged_again_whatever_casemate_init_says() {
    let (listener, port) = listener().await;
    let mut carried = Carried::new(&rule(port ^ 1)).await;
    let (mut pieces, _out) = carried.open("a.example.com", port).await;
    let Some(server_piece::Piece::Outcome(outcome)) = next(&mut pieces).await else {
        panic!("not refused");
    };
    assert_eq!(
        (outcome.kind(), &*outcome.reason),
        (Kind::Refused, "not_allowed")
    );
    let record = carried.record().await;
    assert_eq!(record.report.end, RelayEnd::Refused(Reason::NotAllowed));
    assert_eq!((record.rule, record.port), (None, port));
    let dialled = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(dialled.is_err());
}

#[tokio::test]
async fn other_rules_end_what_they_do_not_allow_and_nothing_else() {
    let (listener, port) = listener().await;
    let mut carried = Carried::new(&rule(port)).await;
    let (mut pieces, out) = carried.open("a.example.com", port).await;
    let (mut target, _) = timeout(PATIENCE, listener.accept())
        .await
        .expect("in time")
        .expect("accepted");
    let also = rule(port).replace("allow = [", r#"allow = ["b.example.com", "#);
    carried.user.change_rules(names(&also));
    let changed = carried.next().await;
    assert!(matches!(
        changed,
        Some(carrier_message::Message::RulesChanged(_))
    ));
    let data = sandbox_piece::Piece::Data("hello".into());
    let piece = SandboxPiece { piece: Some(data) };
    out.send(Ok(piece)).await.expect("sent");
    let mut read = [0; 5];
    target.read_exact(&mut read).await.expect("it goes on");
    target.write_all(b"x").await.expect("written");
    let data = server_piece::Piece::Data("x".into());
    assert_eq!(next(&mut pieces).await, Some(data));

    carried.user.change_rules(names(""));
    let begin = Instant::now();
    let Some(server_piece::Piece::Outcome(outcome)) = next(&mut pieces).await else {
        panic!("it goes on");
    };
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(outcome.reason, Reason::RulesChanged.as_str());
    let report = carried.record().await.report;
    assert_eq!(report.end, RelayEnd::Refused(Reason::RulesChanged));
    assert_eq!((report.sent, report.received), (5, 1));
}

#[tokio::test]
async fn the_connections_end_with_the_call_and_are_recorded() {
    let (listener, port) = listener().await;
    let mut carried = Carried::new(&rule(port)).await;
    let (mut pieces, _out) = carried.open("a.example.com", port).await;
    let (mut target, _) = timeout(PATIENCE, listener.accept())
        .await
        .expect("in time")
        .expect("accepted");
    target.write_all(b"x").await.expect("written");
    let data = server_piece::Piece::Data("x".into());
    assert_eq!(next(&mut pieces).await, Some(data));
    drop(carried.to_server);
    let end = timeout(PATIENCE, carried.end).await.expect("in time");
    assert_eq!(end.expect("no panic").expect("no error"), CarryEnd::Ended);
    let read = timeout(PATIENCE, target.read(&mut [0]))
        .await
        .expect("in time");
    assert_eq!(
        read.expect_err("reset").kind(),
        io::ErrorKind::ConnectionReset
    );
    let connections = carried.recorded.connections.lock().expect("whole");
    assert_eq!(connections[0].report.end, RelayEnd::Reset);
}
