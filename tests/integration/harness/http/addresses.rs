//! Where a server listens, as its log says.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStderr;

/// The admin address, if it has one, and the address for requests.
type Addresses = (Option<SocketAddr>, SocketAddr);

/// Reads its addresses from its log, and passes the other lines on.
pub async fn of_stderr(errors: ChildStderr) -> Addresses {
    let mut errors = BufReader::new(errors);
    let mut said = tokio::io::stderr();
    let mut admin = None;
    loop {
        let mut line = String::new();
        let read = errors.read_line(&mut line).await.expect("stderr");
        assert!(read > 0, "it ended before it listened");
        if let Some(address) = line.strip_prefix("listening on ") {
            let address = address.trim_end().parse().expect("an address");
            tokio::spawn(async move { tokio::io::copy_buf(&mut errors, &mut said).await });
            return (admin, address);
        }
        if let Some(address) = line.strip_prefix("metrics on ") {
            admin = Some(address.trim_end().parse().expect("an address"));
        }
        said.write_all(line.as_bytes()).await.expect("stderr");
    }
}

/// Reads its addresses from its log in a file.
pub async fn of_file(log: &Path) -> Addresses {
    loop {
        let text = std::fs::read_to_string(log).expect("the log");
        // The last line may not be whole.
        let (lines, _) = text.rsplit_once('\n').unwrap_or_default();
        let address = |name: &str| {
            let mut named = lines.lines().filter_map(|line| line.strip_prefix(name));
            Some(named.next()?.parse().expect("an address"))
        };
        if let Some(listening) = address("listening on ") {
            return (address("metrics on "), listening);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
