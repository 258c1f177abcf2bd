use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
const FAST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

struct Served {
    address: std::net::SocketAddr,
    /// A slow request is being served.
    begun: Arc<Notify>,
    /// Lets it end.
    go_on: Arc<Notify>,
}

async fn serve(places: usize) -> Served {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let slow = async move || {
        begins.notify_one();
        goes_on.notified().await;
    };
    let router = Router::new()
        .route("/", get(async || "fast"))
        .route("/slow", get(slow));
    let connections = Connections::at_most(places, router, CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { connections.accept(listener).await });
    Served {
        address,
        begun,
        go_on,
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("a connection")
    }

    /// The status of a fast request on a new connection.
    async fn ask(&self) -> String {
        let mut stream = self.connect().await;
        stream.write_all(FAST).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn the_connection_that_waits_longest_makes_room() {
    let served = serve(2).await;
    let (mut older, mut younger) = (served.connect().await, served.connect().await);
    younger.write_all(b"GET /").await.expect("sent");
    assert_eq!(served.ask().await, "HTTP/1.1 200 OK");
    assert_eq!(older.read(&mut [0]).await.ok(), Some(0), "it was closed");
    younger.write_all(&FAST[5..]).await.expect("sent");
    let mut answer = [0; 15];
    younger.read_exact(&mut answer).await.expect("it was not");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_connection_that_serves_a_request_is_never_closed_for_another() {
    let served = serve(1).await;
    let mut busy = served.connect().await;
    busy.write_all(SLOW).await.expect("sent");
    served.begun.notified().await;
    let mut asked = Box::pin(served.ask());
    let waits = timeout(ACCEPT_RETRY_INTERVAL, &mut asked).await;
    assert!(waits.is_err(), "there is no room: {waits:?}");
    served.go_on.notify_one();
    let mut answer = [0; 15];
    busy.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(busy);
    assert_eq!(asked.await, "HTTP/1.1 200 OK");
}
