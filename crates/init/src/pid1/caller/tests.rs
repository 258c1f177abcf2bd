use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use casemate_protocol::{StartRequest, StdinEnd};
use hyper::body::{Body, Frame};
use prost::Message as _;
use tonic::codec::{DecodeBuf, Decoder};

use super::super::command::{Command, Interruption};
use super::*;

/// The body of a request, and then nothing until the test is over.
struct Messages(Option<Bytes>);

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}

struct RunInputDecoder;

impl Decoder for RunInputDecoder {
    type Item = RunInput;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<RunInput>, Status> {
        let decoded = RunInput::decode(message);
        decoded
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// A caller that sends these.
fn caller(inputs: Vec<Input>) -> Caller {
    let mut body = Vec::new();
    for input in inputs {
        let message = RunInput { input: Some(input) }.encode_to_vec();
        body.push(0);
        body.extend(
            u32::try_from(message.len())
                .expect("a length")
                .to_be_bytes(),
        );
        body.extend(message);
    }
    let body = Messages(Some(body.into()));
    let input = Streaming::new_request(RunInputDecoder, body, None, None);
    Caller::new(input, mpsc::channel(1).0)
}

fn chunk(size: usize) -> Input {
    Input::Stdin(vec![b'x'; size].into())
}

#[tokio::test]
async fn a_chunk_that_is_too_large_or_a_second_start_ends_the_command() {
    for invalid in [chunk(MAX_CHUNK + 1), Input::Start(StartRequest::default())] {
        let caller = caller(vec![chunk(5), invalid]);
        let command = Command::new("a".into(), 0).with_caller(caller);
        let (stdin, read) = pipe::pipe().expect("a pipe");
        let mut stdin = Some(stdin);
        let interruption = tokio::select! {
            never = command.feed(&mut stdin) => match never {},
            interruption = command.interrupted(std::time::Duration::from_secs(60)) => interruption,
        };
        assert_eq!(interruption, Interruption::Cancelled);
        // The valid chunk has arrived, and the input has not ended.
        let mut bytes = [0; 10];
        read.readable().await.expect("a chunk");
        assert_eq!(read.try_read(&mut bytes).expect("read"), 5);
        let more = read.try_read(&mut bytes).map_err(|error| error.kind());
        assert_eq!(more, Err(std::io::ErrorKind::WouldBlock));
    }
}

#[tokio::test]
async fn an_end_of_input_closes_the_standard_input() {
    let caller = caller(vec![
        chunk(MAX_CHUNK.min(4096)),
        Input::StdinEnd(StdinEnd {}),
    ]);
    let (stdin, _read) = pipe::pipe().expect("a pipe");
    let mut stdin = Some(stdin);
    assert_eq!(caller.feed(&mut stdin).await, Ok(()));
    assert!(stdin.is_none());
}
