//! Pages of random files against what sed prints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::{facts, lines, write_bytes};
use crate::harness::TestServer;

/// Files, and ranges of each, that are compared.
const FILES: usize = 24;

const RANGES: usize = 20;

/// The encodings of the files, by number: a label, and the command that converts to UTF-8.
const WRITTEN: [&str; 4] = [
    "cat",
    "tail -c +4",
    "iconv -f UTF-16 -t UTF-8",
    "iconv -f LATIN1 -t UTF-8",
];

fn pick(rng: &mut TestRng, below: usize) -> usize {
    rng.next_u32() as usize % below
}

fn random_text(rng: &mut TestRng, latin: bool) -> String {
    let letters: Vec<char> = if latin {
        "ab é\r\t"
    } else {
        "ab é€😀\r\t"
    }
    .chars()
    .collect();
    let mut text = String::new();
    for _ in 0..pick(rng, 60) {
        for _ in 0..pick(rng, 20) {
            text.push(letters[pick(rng, letters.len())]);
        }
        text.push('\n');
    }
    // Latin-1 is recognized by bytes that are not UTF-8.
    text.push_str(["", "end", "é"][if latin { 2 } else { pick(rng, 3) }]);
    text
}

fn encode(written: usize, text: &str) -> Vec<u8> {
    let marked = || ["\u{feff}", text].concat();
    match written {
        0 => text.as_bytes().to_vec(),
        1 => marked().into_bytes(),
        2 => marked().encode_utf16().flat_map(u16::to_be_bytes).collect(),
        _ => text
            .chars()
            .map(|char| u8::try_from(char).expect("Latin-1"))
            .collect(),
    }
}

#[tokio::test]
async fn a_page_is_what_sed_prints() {
    let seed = u64::from_le_bytes(
        uuid::Uuid::new_v4().into_bytes()[..8]
            .try_into()
            .expect("8"),
    );
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let server = TestServer::new().start().await;
    for number in 0..FILES {
        let written = number % WRITTEN.len();
        let text = random_text(&mut rng, written == 3);
        write_bytes(&server, "file", &encode(written, &text)).await;
        let ranges: Vec<(usize, usize)> = (0..RANGES)
            .map(|_| (1 + pick(&mut rng, 62), pick(&mut rng, 20)))
            .map(|(first, more)| (first, first + more))
            .collect();
        let print: String = ranges
            .iter()
            .map(|(first, last)| format!("sed -n {first},{last}p plain | base64 -w0; echo; "))
            .collect();
        let plain = WRITTEN[written];
        let printed = server
            .shell(&format!("{plain} < file > plain; {print}"))
            .await;
        assert_eq!(printed.exit_code(), 0, "{}", printed.0);
        for ((first, last), expected) in ranges.iter().zip(printed.stdout().lines()) {
            let expected = STANDARD.decode(expected).expect("base64");
            let expected = String::from_utf8(expected).expect("UTF-8");
            let most = last - first + 1;
            let read = lines(&server, "file", *first as u64, most as u64).await;
            let all = text.split_inclusive('\n').count();
            let what = format!(
                "seed {seed}, file {number}, lines {first}-{last} of {all}: {}",
                read.0
            );
            let closing = closing(read.text(), &expected);
            let closing = closing.unwrap_or_else(|| panic!("{what}\nexpected {expected:?}"));
            assert_eq!(closing.contains("next: start_line"), *last < all, "{what}");
            assert_eq!(
                facts(&read)["lines"],
                expected.split_inclusive('\n').count(),
                "{what}"
            );
            assert_eq!(facts(&read)["total_lines"], all, "{what}");
        }
    }
}

/// What follows `text` on a page: nothing, or one closing line.
fn closing<'a>(page: &'a str, text: &str) -> Option<&'a str> {
    let rest = page.strip_prefix(text)?;
    let open = !text.is_empty() && !text.ends_with('\n');
    let line = if open { rest.strip_prefix('\n') } else { None }.unwrap_or(rest);
    let is_closing = line.starts_with('[') && line.ends_with(']') && !line.contains('\n');
    (line.is_empty() || is_closing).then_some(line)
}
