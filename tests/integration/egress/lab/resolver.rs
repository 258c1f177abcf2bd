//! A DNS server that records each question and answers by a table which a test changes (RFC 1035).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::AbortHandle;

/// Bytes of a message's header.
const HEADER: usize = 12;

/// The longest answer over UDP without EDNS; a longer one is cut, and the client asks over TCP.
const UDP_LIMIT: usize = 512;

/// By which a server in a container looks for its host, whose addresses no sandbox reaches.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// How a name is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With these addresses, each where its type was asked for.
    Addresses(Vec<IpAddr>),
    /// Not at all.
    Silence,
    /// SERVFAIL.
    Failure,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of the questions; the last one stays.
    answers: HashMap<String, VecDeque<Answer>>,
    questions: Vec<(String, u16)>,
}

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Resolver {
    table: Arc<Mutex<Table>>,
    tasks: [AbortHandle; 2],
}

impl Resolver {
    /// Answers at both sockets. Names that are not set do not exist.
    pub fn start(udp: UdpSocket, tcp: TcpListener) -> Self {
        let table: Arc<Mutex<Table>> = Arc::default();
        let tasks = [
            tokio::spawn(over_udp(udp, table.clone())).abort_handle(),
            tokio::spawn(over_tcp(tcp, table.clone())).abort_handle(),
        ];
        Self { table, tasks }
    }

    /// From now on the name has these addresses.
    pub fn set<'a>(&self, name: &str, addresses: impl IntoIterator<Item = &'a str>) {
        self.answer(name, [addresses_of(addresses)]);
    }

    /// From now on the name is answered with one after the other; the last one stays. A lookup
    /// asks for A and AAAA, and each of these questions is one.
    pub fn answer(&self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.table().answers.insert(name.to_owned(), answers);
    }

    /// The names of all questions, in the order in which they came; without those by which a
    /// server in a container looks for the addresses of its host.
    pub fn questions(&self) -> Vec<String> {
        let table = self.table();
        let is_sandboxes =
            |(name, _): &&(String, u16)| !HOST_NAMES.iter().any(|host| name.starts_with(host));
        table
            .questions
            .iter()
            .filter(is_sandboxes)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// How often this name was looked up: its questions for IPv4.
    pub fn lookups(&self, name: &str) -> usize {
        let is_lookup = |question: &&(String, u16)| *question == &(name.to_owned(), TYPE_A);
        self.table().questions.iter().filter(is_lookup).count()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("lock")
    }
}

/// The answer with these.
pub fn addresses_of<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Answer {
    let addresses = addresses.into_iter();
    Answer::Addresses(
        addresses
            .map(|address| address.parse().expect("an address"))
            .collect(),
    )
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn over_udp(socket: UdpSocket, table: Arc<Mutex<Table>>) {
    let mut buffer = [0; UDP_LIMIT];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(mut reply) = reply(&buffer[..length], &table) else {
            continue;
        };
        if reply.len() > UDP_LIMIT {
            // "Truncated", without records.
            reply[2] |= 0x02;
            reply[6..8].fill(0);
            reply.truncate(length);
        }
        let _ = socket.send_to(&reply, from).await;
    }
}

async fn over_tcp(listener: TcpListener, table: Arc<Mutex<Table>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, table.clone()));
    }
}

/// Messages over TCP have their length before them.
async fn converse(mut stream: TcpStream, table: Arc<Mutex<Table>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; length.into()];
        if stream.read_exact(&mut query).await.is_err() {
            return;
        }
        let Some(reply) = reply(&query, &table) else {
            continue;
        };
        let length = u16::try_from(reply.len()).expect("a short answer");
        let message = [&length.to_be_bytes(), reply.as_slice()].concat();
        if stream.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// The answer to a query with one question and no EDNS, as glibc sends it.
fn reply(query: &[u8], table: &Mutex<Table>) -> Option<Vec<u8>> {
    let (name, kind) = question(query.get(HEADER..)?)?;
    let answer = {
        let mut table = table.lock().expect("lock");
        table.questions.push((name.clone(), kind));
        let answers = table.answers.get_mut(&name);
        answers.and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        })
    };
    let (code, addresses) = match answer {
        None => (3, Vec::new()),
        Some(Answer::Failure) => (2, Vec::new()),
        Some(Answer::Silence) => return None,
        Some(Answer::Addresses(addresses)) => (0, addresses),
    };
    let records: Vec<_> = addresses
        .into_iter()
        .filter_map(|address| record(address, kind))
        .collect();
    let mut reply = query.to_vec();
    // An answer; recursion is available.
    reply[2] |= 0x80;
    reply[3] = 0x80 | code;
    let count = u16::try_from(records.len()).expect("few addresses");
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply.extend(records.concat());
    Some(reply)
}

/// The name of a question, its parts joined by dots, and its type.
fn question(mut wire: &[u8]) -> Option<(String, u16)> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = wire.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        wire = rest;
        match label {
            [] => break,
            _ => labels.push(String::from_utf8_lossy(label).into_owned()),
        }
    }
    let kind = u16::from_be_bytes(*wire.first_chunk()?);
    Some((labels.join("."), kind))
}

/// The record of an address that is of the type which was asked for. It may be kept for no time.
fn record(address: IpAddr, kind: u16) -> Option<Vec<u8>> {
    let data = match (address, kind) {
        (IpAddr::V4(four), TYPE_A) => four.octets().to_vec(),
        (IpAddr::V6(six), TYPE_AAAA) => six.octets().to_vec(),
        _ => return None,
    };
    // Points at the question's name; class IN; TTL 0.
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 0]);
    record.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    record.extend(data);
    Some(record)
}
