use std::fs::File;
use std::io::Write as _;

use casemate_protocol::StatReply;
use tokio::sync::mpsc;

use super::super::testing::{CANARY, Sandbox, code, with_and_without_openat2};
use super::*;

/// The parts that were sent, and how it ended. `during` runs when the first part
/// came.
fn download_while(
    sandbox: &Sandbox,
    request: &DownloadRequest,
    during: impl FnOnce(),
) -> (Option<StatReply>, Vec<u8>, Result<(), Code>) {
    let (sender, mut parts) = mpsc::channel(1);
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            let parts = PartSender(sender);
            sandbox
                .workspace
                .download(request, &parts, &Cancel::default())
        });
        let (mut stat, mut data, mut during) = (None, Vec::new(), Some(during));
        while let Some(part) = parts.blocking_recv() {
            match part.expect("a part").part.expect("a part") {
                Part::Stat(told) => stat = Some(told),
                Part::Data(chunk) => {
                    assert!(chunk.len() <= MAX_CHUNK);
                    data.extend_from_slice(&chunk);
                }
                Part::End(end) => panic!("{end:?}, which only a backup has"),
            }
            if let Some(during) = during.take() {
                during();
            }
        }
        let done = work.join().expect("it does not panic").map_err(code);
        (stat, data, done)
    })
}

fn request(path: &str, offset: u64, length: Option<u64>) -> DownloadRequest {
    DownloadRequest {
        path: path.to_owned().into(),
        offset,
        length,
        without_hidden: false,
    }
}

fn range(sandbox: &Sandbox, path: &str, offset: u64, length: Option<u64>) -> Vec<u8> {
    let (stat, data, done) = download_while(sandbox, &request(path, offset, length), || {});
    assert_eq!(done, Ok(()));
    assert_eq!(stat.expect("first").size, 700_000);
    data
}

#[test]
fn any_range_of_a_file_comes_and_no_more_than_there_is() {
    let sandbox = Sandbox::new(true);
    let content: Vec<u8> = (0..700_000_u32)
        .flat_map(|n| n.to_le_bytes()[..1].to_vec())
        .collect();
    sandbox.file("file", &content);
    assert!(range(&sandbox, "file", 0, None) == content);
    assert!(range(&sandbox, "file", 300_000, Some(300_000)) == content[300_000..600_000]);
    assert!(range(&sandbox, "file", 699_999, Some(u64::MAX)) == content[699_999..]);
    for (offset, length) in [(700_000, None), (u64::MAX, None), (5, Some(0))] {
        assert!(range(&sandbox, "file", offset, length).is_empty());
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_and_one_that_grows_is_as_long_as_was_said() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", vec![7; 4 * MAX_CHUNK]);
    let open = || {
        File::options()
            .append(true)
            .open(sandbox.at("file"))
            .expect("opened")
    };
    let grow = || open().write_all(&[8; MAX_CHUNK]).expect("written");
    let (_, data, done) = download_while(&sandbox, &request("file", 0, None), grow);
    assert_eq!(done, Ok(()));
    assert!(data == vec![7; 4 * MAX_CHUNK]);
    let shrink = || open().set_len(10).expect("cut");
    let (stat, data, done) = download_while(&sandbox, &request("file", 0, None), shrink);
    assert_eq!(stat.expect("first").size, 5 * MAX_CHUNK as u64);
    assert_eq!(done, Err(Code::Changed));
    assert!(data.len() <= 3 * MAX_CHUNK, "{} of it came", data.len());
}

#[test]
fn what_is_no_file_or_outside_is_refused_before_anything_is_sent() {
    with_and_without_openat2(|sandbox| {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            sandbox.at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("made");
        sandbox.link("out", sandbox.outside("secret"));
        sandbox.link("dir", sandbox.outside(""));
        for (path, expected) in [
            ("fifo", Code::NotRegular),
            ("out", Code::OutsideWorkspace),
            ("dir", Code::OutsideWorkspace),
            ("none", Code::NotFound),
            ("../outside/secret", Code::OutsideWorkspace),
        ] {
            let (stat, data, done) = download_while(sandbox, &request(path, 0, None), || {});
            assert_eq!(done, Err(expected), "{path}");
            assert!(stat.is_none() && !String::from_utf8_lossy(&data).contains(CANARY));
        }
    });
}

#[test]
fn who_goes_away_ends_it() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", vec![7; 8 * MAX_CHUNK]);
    let (sender, parts) = mpsc::channel(1);
    drop(parts);
    let done = sandbox.workspace.download(
        &request("file", 0, None),
        &PartSender(sender),
        &Cancel::default(),
    );
    assert_eq!(done.map_err(code), Err(Code::Cancelled));
}
