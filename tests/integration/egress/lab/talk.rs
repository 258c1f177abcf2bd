//! What servers say.

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::targets::Record;

/// Bytes of a connection that are kept; all are hashed.
const KEPT: usize = 64 << 10;

/// A ServerHello whose random says that it is a HelloRetryRequest: for TLS 1.3, with a key of
/// secp384r1 (RFC 8446, sections 4.1.3 and 4.1.4).
const RETRY_REQUEST: &[u8] = b"\x16\x03\x03\x00\x38\x02\x00\x00\x34\x03\x03\
    \xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\
    \xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\
    \x00\x13\x01\x00\x00\x0c\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x02\x00\x18";

/// What a server says.
#[derive(Debug, Clone, Copy)]
pub enum Talk {
    /// Sends back what comes, and ends its direction after the client has.
    Echo,
    /// Reads to the end of the client's direction, and answers then: with the SHA-256 in hex.
    Digest,
    /// Reads a number to the end of the client's direction, and answers then: with so many zeros.
    Zeros,
    /// Says `bye`, ends its direction, and reads on.
    Bye,
    /// Answers the first bytes with a HelloRetryRequest, and reads on.
    Retry,
    /// Sends zeros as long as somebody reads them.
    Pour,
    /// Breaks the connection off after the first bytes.
    Drop,
    /// Neither reads nor says anything.
    Deaf,
}

/// Holds a conversation to its end, and records it.
pub async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, talk: Talk, record: &Record) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut first = Vec::new();
    let result = match talk {
        Talk::Echo => read(&mut reader, Some(&mut writer), record).await,
        Talk::Digest => {
            async {
                read::<_, tokio::io::Empty>(&mut reader, None, record).await?;
                let mut digest = None;
                record.change(|seen| digest.clone_from(&seen.digest));
                writer
                    .write_all(digest.unwrap_or_default().as_bytes())
                    .await
            }
            .await
        }
        Talk::Zeros => {
            async {
                read::<_, tokio::io::Empty>(&mut reader, None, record).await?;
                record.change(|seen| first.clone_from(&seen.head));
                let number = str::from_utf8(&first).ok().and_then(|it| it.parse().ok());
                writer.write_all(&vec![0; number.unwrap_or(0)]).await
            }
            .await
        }
        Talk::Bye => {
            async {
                writer.write_all(b"bye").await?;
                writer.shutdown().await?;
                read::<_, tokio::io::Empty>(&mut reader, None, record).await
            }
            .await
        }
        Talk::Retry => {
            async {
                reader.read_buf(&mut first).await?;
                writer.write_all(RETRY_REQUEST).await?;
                let reader = &mut first.as_slice().chain(&mut reader);
                read::<_, tokio::io::Empty>(reader, None, record).await
            }
            .await
        }
        Talk::Pour => pour(&mut writer, record).await,
        // Unread bytes at the close of a socket make the kernel reset the connection.
        Talk::Drop => return drop(reader.read_u8().await),
        Talk::Deaf => std::future::pending().await,
    };
    let ended = writer.shutdown().await;
    record.change(|seen| seen.broken = result.is_err() || ended.is_err());
}

/// Reads to the end, and sends each piece back where `writer` is there.
async fn read<R, W>(
    reader: &mut R,
    mut writer: Option<&mut W>,
    record: &Record,
) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut sha = Sha256::new();
    let mut buffer = vec![0; KEPT];
    loop {
        let length = reader.read(&mut buffer).await?;
        let piece = &buffer[..length];
        if piece.is_empty() {
            break;
        }
        sha.update(piece);
        record.change(|seen| {
            let room = KEPT - seen.head.len();
            seen.head.extend(&piece[..length.min(room)]);
            seen.received += length as u64;
        });
        if let Some(writer) = &mut writer {
            writer.write_all(piece).await?;
            writer.flush().await?;
            record.change(|seen| seen.sent += length as u64);
        }
    }
    let digest = sha.finalize();
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    record.change(|seen| seen.digest = Some(digest));
    Ok(())
}

async fn pour(writer: &mut (impl AsyncWrite + Unpin), record: &Record) -> std::io::Result<()> {
    let zeros = vec![0; KEPT];
    loop {
        writer.write_all(&zeros).await?;
        record.change(|seen| seen.sent += KEPT as u64);
    }
}
