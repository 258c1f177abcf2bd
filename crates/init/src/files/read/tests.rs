use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::super::testing::{Sandbox, code, with_and_without_openat2, without_privilege};
use super::*;

fn make_fifo(sandbox: &Sandbox, path: &str) {
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, sandbox.at(path), FileType::Fifo, mode, 0).expect("FIFO");
}

#[test]
fn bytes_are_those_of_the_range_and_fewer_at_the_end() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "0123456789");
        let read = |offset, length| {
            let reply = sandbox.read_bytes("file", offset, length).expect("read");
            assert_eq!(reply.size, 10);
            reply.data
        };
        assert_eq!(read(0, 10), "0123456789");
        assert_eq!(read(3, 4), "3456");
        assert_eq!(read(8, 100), "89");
        assert_eq!(read(0, 0), "");
        assert_eq!(read(10, 1), "");
        assert_eq!(read(u64::MAX, 1), "");
    });
}

#[test]
fn as_many_bytes_as_a_message_holds_and_no_more() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", vec![7; MAX_READ + 1]);
    let most = u32::try_from(MAX_READ).expect("bound");
    let reply = sandbox.read_bytes("file", 0, most).expect("read");
    assert_eq!(reply.data, vec![7; MAX_READ]);
    assert_eq!(sandbox.read_bytes("file", 0, most + 1), Err(Code::Invalid));
}

#[test]
fn times_before_the_epoch_are_negative() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "text");
    let file = fs::File::options().write(true).open(sandbox.at("file"));
    let before = std::time::UNIX_EPOCH - Duration::from_millis(1500);
    file.and_then(|file| file.set_modified(before))
        .expect("time");
    let reply = sandbox.read_bytes("file", 0, 0).expect("read");
    assert_eq!(reply.modified_ms, -1500);
    assert_eq!(
        sandbox.read_lines("file", 1).expect("read").modified_ms,
        -1500
    );
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    with_and_without_openat2(|sandbox| {
        make_fifo(sandbox, "fifo");
        let _listener = UnixListener::bind(sandbox.at("socket")).expect("socket");
        sandbox.link("to-fifo", "fifo");
        sandbox.dir("directory");
        let mut cases = vec![
            ("fifo", Code::NotRegular),
            ("socket", Code::NotRegular),
            ("to-fifo", Code::NotRegular),
            ("directory", Code::IsDirectory),
        ];
        let null = rustix::fs::makedev(1, 3);
        let mode = Mode::from_raw_mode(0o666);
        let device = mknodat(
            CWD,
            sandbox.at("null"),
            FileType::CharacterDevice,
            mode,
            null,
        );
        // Only root may make one.
        if device.is_ok() {
            cases.push(("null", Code::NotRegular));
        }
        for (path, code) in cases {
            assert_eq!(sandbox.read(path), Err(code), "{path}");
            assert_eq!(sandbox.read_lines(path, 1), Err(code), "{path}");
        }
    });
}

#[test]
fn a_file_that_may_not_be_read_is_permission_denied() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "");
    fs::set_permissions(sandbox.at("file"), fs::Permissions::from_mode(0o0)).expect("chmod");
    without_privilege(|| assert_eq!(sandbox.read("file"), Err(Code::PermissionDenied)));
}

#[test]
fn lines_are_shown_with_what_is_known_of_the_file() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "one\ntwo\r\nthrée");
        let all = sandbox.read_lines("file", 1).expect("read");
        assert_eq!(all.text, "one\ntwo\r\nthrée");
        assert_eq!((all.lines, all.lines_seen, all.complete), (3, 3, true));
        assert_eq!((all.lines_cut, all.size), (0, 15));
        assert_eq!(sandbox.read_lines("file", 3).expect("read").text, "thrée");
        let beyond = sandbox.read_lines("file", 4).expect("read");
        assert_eq!(beyond.text, "");
        assert_eq!(
            (beyond.lines, beyond.lines_seen, beyond.complete),
            (0, 3, true)
        );

        sandbox.file("empty", "");
        let empty = sandbox.read_lines("empty", 1).expect("read");
        assert_eq!((empty.text.as_str(), empty.lines), ("", 0));
        assert_eq!((empty.lines_seen, empty.complete), (0, true));
    });
}

#[test]
fn bounds_of_a_page_of_lines_are_checked() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "text");
    let good = ReadLinesRequest {
        path: "file".into(),
        start_line: 1,
        max_lines: 1,
        max_chars: u32::try_from(MAX_CHARS).expect("bound"),
        max_line_chars: u32::MAX,
    };
    let read = |request: &ReadLinesRequest| {
        let reply = sandbox.workspace.read_lines(request, &Cancel::default());
        reply.map(|reply| reply.text).map_err(code)
    };
    assert_eq!(read(&good), Ok("text".into()));
    let break_it: [fn(&mut ReadLinesRequest); 5] = [
        |bad| bad.start_line = 0,
        |bad| bad.max_lines = 0,
        |bad| bad.max_chars = 0,
        |bad| bad.max_chars += 1,
        |bad| bad.max_line_chars = 0,
    ];
    for break_it in break_it {
        let mut bad = good.clone();
        break_it(&mut bad);
        assert_eq!(read(&bad), Err(Code::Invalid), "{bad:?}");
    }
}

#[test]
fn a_text_says_what_it_is_written_in() {
    with_and_without_openat2(|sandbox| {
        let text = "zw\u{f6}lf \u{1f600}\nb\n";
        let utf_16 = || {
            ["\u{feff}", text]
                .concat()
                .encode_utf16()
                .collect::<Vec<_>>()
        };
        sandbox.file("utf-8", text);
        sandbox.file("marked", ["\u{feff}", text].concat());
        let little: Vec<u8> = utf_16().into_iter().flat_map(u16::to_le_bytes).collect();
        sandbox.file("little", little);
        let big: Vec<u8> = utf_16().into_iter().flat_map(u16::to_be_bytes).collect();
        sandbox.file("big", big);
        for (path, encoding) in [
            ("utf-8", Encoding::Utf8),
            ("marked", Encoding::Utf8Bom),
            ("little", Encoding::Utf16Le),
            ("big", Encoding::Utf16Be),
        ] {
            let reply = sandbox.read_lines(path, 1).expect("text");
            assert_eq!((reply.text.as_str(), reply.encoding()), (text, encoding));
            assert_eq!((reply.lines, reply.lines_seen), (2, 2), "{path}");
            assert_eq!(sandbox.read_lines(path, 2).expect("text").text, "b\n");
        }
        sandbox.file("latin", b"zw\xf6lf\n");
        let reply = sandbox.read_lines("latin", 1).expect("text");
        let expected = ("zw\u{f6}lf\n", Encoding::Latin1);
        assert_eq!((reply.text.as_str(), reply.encoding()), expected);
    });
}

#[test]
fn a_page_that_is_not_utf_8_says_so_whatever_is_before_and_behind_it() {
    let sandbox = Sandbox::new(true);
    let mut content = "\u{e9}\n".repeat(10_000).into_bytes();
    let damaged = 3 * 5000;
    content[damaged] = 0xff;
    sandbox.file("file", &content);
    let page = |start| {
        let reply = sandbox.read_lines("file", start).expect("text");
        (
            reply.text.lines().next().map(str::to_owned),
            reply.encoding(),
        )
    };
    assert_eq!(page(2000), (Some("\u{e9}".into()), Encoding::Utf8));
    let damage = Some("\u{fffd}\u{fffd}".into());
    assert_eq!(page(5001), (damage, Encoding::Utf8Damaged));
    assert_eq!(page(5002), (Some("\u{e9}".into()), Encoding::Utf8));

    // Unless it is no text at all.
    content[damaged..damaged + 600].copy_from_slice(&[0xff, 1, b'\n'].repeat(200));
    sandbox.file("file", &content);
    assert_eq!(sandbox.read_lines("file", 5001), Err(Code::NotText));
    assert_eq!(page(7000), (Some("\u{e9}".into()), Encoding::Utf8));
}

#[test]
fn a_file_with_nul_near_its_beginning_is_no_text() {
    let sandbox = Sandbox::new(true);
    let mut content = "line\n".repeat(3000).into_bytes();
    content[8 * 1024 - 1] = 0;
    sandbox.file("near", &content);
    // Wherever the page begins.
    assert_eq!(sandbox.read_lines("near", 2900), Err(Code::NotText));
    content[8 * 1024 - 1] = b'x';
    content[8 * 1024] = 0;
    sandbox.file("far", &content);
    assert!(sandbox.read_lines("far", 2900).is_ok());
    assert_eq!(sandbox.read_lines("far", 1600), Err(Code::NotText));
}

#[test]
fn a_huge_sparse_file_is_refused_or_bounded_at_once() {
    let sandbox = Sandbox::new(true);
    sandbox.file("sparse", "");
    let file = fs::File::options().write(true).open(sandbox.at("sparse"));
    let file = file.expect("file");
    file.set_len(2 << 30).expect("sparse");
    let began = Instant::now();
    assert_eq!(sandbox.read_lines("sparse", 1), Err(Code::NotText));
    // As large as the file system of a workspace of the host can make it.
    file.set_len(1 << 40).expect("sparse");
    // Text at first, then one line of NULs.
    std::os::unix::fs::FileExt::write_at(&file, "line\n".repeat(2000).as_bytes(), 0)
        .expect("write");
    let request = ReadLinesRequest {
        path: "sparse".into(),
        start_line: 1,
        max_lines: 10,
        max_chars: 50_000,
        max_line_chars: 2000,
    };
    let page = sandbox.workspace.read_lines(&request, &Cancel::default());
    let page = page.expect("bounded");
    assert_eq!(
        (page.lines, page.lines_seen, page.complete),
        (10, 2000, false)
    );
    let beyond = sandbox.read_lines("sparse", u64::MAX).expect("nothing");
    assert_eq!((beyond.lines_seen, beyond.complete), (2001, true));
    assert!(
        sandbox
            .read_bytes("sparse", (1 << 40) - 5, 10)
            .is_ok_and(|reply| reply.data.len() == 5)
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "it read all of it"
    );
}

#[test]
fn a_cancelled_read_ends() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "text");
    let cancel = Cancel::default();
    cancel.cancel();
    let request = ReadBytesRequest {
        path: "file".into(),
        offset: 0,
        length: 1,
    };
    let reply = sandbox.workspace.read_bytes(&request, &cancel);
    assert_eq!(reply.map_err(code), Err(Code::Cancelled));
}
