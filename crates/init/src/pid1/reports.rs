//! The socket between PID 1 and a supervisor with its child: the order goes out,
//! reports come in.

use bytes::{Buf as _, BytesMut};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::supervisor::{Fact, Report};

/// Bytes of reports that wait: all of one command together are shorter. More does not come from a
/// supervisor, and is not read.
const MAX_REPORTS: usize = 512;

/// PID 1's end.
#[derive(Debug)]
pub struct Reports {
    control: Option<UnixStream>,
    buffer: BytesMut,
}

impl Reports {
    /// Nothing was read yet.
    pub fn new(control: UnixStream) -> Self {
        Self {
            control: Some(control),
            buffer: BytesMut::new(),
        }
    }

    /// Sends; says nothing about whether it arrived.
    pub async fn send(&mut self, bytes: &[u8]) {
        if let Some(control) = &mut self.control {
            let _ = control.write_all(bytes).await;
        }
    }

    /// The next report; `None` at the end, for ever. Can be dropped and called
    /// again.
    pub async fn next(&mut self) -> Option<Fact> {
        loop {
            if let Some(fact) = self.parse() {
                return Some(fact);
            }
            match self.control.as_mut()?.read_buf(&mut self.buffer).await {
                Ok(1..) if self.buffer.len() <= MAX_REPORTS => {}
                _ => self.control = None,
            }
        }
    }

    /// Whether only a start was reported: the child still waits.
    pub fn is_waiting(&mut self) -> bool {
        while let Some(control) = &self.control {
            match control.try_read_buf(&mut self.buffer) {
                Ok(1..) if self.buffer.len() <= MAX_REPORTS => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                _ => self.control = None,
            }
        }
        let mut rest = self.buffer.clone();
        let first = Self::decode(&mut rest);
        let started = matches!(first, None | Some(Fact::Started(_)));
        self.control.is_some() && started && rest.is_empty()
    }

    fn parse(&mut self) -> Option<Fact> {
        Self::decode(&mut self.buffer)
    }

    fn decode(buffer: &mut BytesMut) -> Option<Fact> {
        let mut bytes = &buffer[..];
        let report = Report::decode_length_delimited(&mut bytes).ok()?;
        let used = buffer.len() - bytes.len();
        buffer.advance(used);
        report.fact
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::ProcessIdentity;

    const STARTED: ProcessIdentity = ProcessIdentity { pid: 7, since: 1 };

    proptest::proptest! {
        /// User code may have taken over the other end.
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let mut buffer = BytesMut::from(bytes.as_slice());
            let before = buffer.len();
            Reports::decode(&mut buffer);
            proptest::prop_assert!(buffer.len() <= before);
        }
    }

    #[tokio::test]
    async fn reports_are_read_however_they_are_torn() {
        let (ours, mut theirs) = UnixStream::pair().expect("pair");
        let mut reports = Reports::new(ours);
        let bytes: Vec<u8> = [Fact::Started(STARTED), Fact::Empty(true)]
            .into_iter()
            .flat_map(|fact| Report { fact: Some(fact) }.encode_length_delimited_to_vec())
            .collect();
        let writer = tokio::spawn(async move {
            for byte in bytes {
                theirs.write_all(&[byte]).await.expect("write");
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(reports.next().await, Some(Fact::Started(STARTED)));
        assert_eq!(reports.next().await, Some(Fact::Empty(true)));
        assert_eq!(reports.next().await, None);
        assert_eq!(reports.next().await, None);
        writer.await.expect("writer");
    }

    #[tokio::test]
    async fn a_child_that_has_ended_does_not_wait_any_more() {
        for (facts, waiting) in [
            (vec![], true),
            (vec![Fact::Started(STARTED)], true),
            (vec![Fact::Started(STARTED), Fact::Empty(true)], false),
            (vec![Fact::Failed(Default::default())], false),
        ] {
            let (ours, mut theirs) = UnixStream::pair().expect("pair");
            let mut reports = Reports::new(ours);
            for fact in facts {
                let bytes = Report { fact: Some(fact) }.encode_length_delimited_to_vec();
                theirs.write_all(&bytes).await.expect("write");
            }
            while !waiting && reports.is_waiting() {
                tokio::task::yield_now().await;
            }
            assert_eq!(reports.is_waiting(), waiting);
        }
    }
}
