use proptest::prelude::*;

use super::*;

const UTF_8: Charset = Charset::Utf8 { marked: false };
const LITTLE: Charset = Charset::Utf16(ByteOrder::Little);
const BIG: Charset = Charset::Utf16(ByteOrder::Big);

/// All of `raw`, given in parts of `part` bytes, as a reader gives them.
fn decode_in_parts(charset: Charset, raw: &[u8], part: usize) -> String {
    let mut text = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let end = raw.len().min(at + part);
        let taken = charset.decode(&raw[at..end], end == raw.len(), &mut text);
        assert!(taken > 0, "a part is never too small");
        at += taken;
    }
    String::from_utf8(text).expect("UTF-8")
}

proptest! {
    #[test]
    fn utf_16_in_parts_is_what_the_standard_library_makes_of_the_whole(
        units in prop::collection::vec(
            prop_oneof![any::<u16>(), 0xd7f0..0xe010_u16, 0x20..0x80_u16], 0..40),
        odd in any::<bool>(),
        part in 4..12usize,
    ) {
        let mut expected = String::from_utf16_lossy(&units);
        let mut little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let mut big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        if odd {
            little.push(0x41);
            big.push(0x41);
            expected.push(char::REPLACEMENT_CHARACTER);
        }
        prop_assert_eq!(decode_in_parts(LITTLE, &little, part), expected.as_str());
        prop_assert_eq!(decode_in_parts(BIG, &big, part), expected);
    }

    #[test]
    fn text_is_found_to_be_what_it_was_written_in(text in "[ -~\\t\n\u{e9}\u{20ac}\u{1f600}]{0,300}") {
        let of = |bytes: &[u8]| Charset::of(bytes, true);
        prop_assert_eq!(of(text.as_bytes()), Some(UTF_8));
        let marked = ["\u{feff}", &text].concat();
        prop_assert_eq!(of(marked.as_bytes()), Some(Charset::Utf8 { marked: true }));
        let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        prop_assert_eq!(of(&little), Some(LITTLE));
        let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        prop_assert_eq!(of(&big), Some(BIG));
    }

    #[test]
    fn random_bytes_are_binary(bytes in prop::collection::vec(any::<u8>(), 1000..2000)) {
        prop_assert_eq!(Charset::of(&bytes, true), None);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_latin_1_or_binary() {
    for (head, charset) in [
        (&b"caf\xe9\r\n"[..], Some(Charset::Latin1)),
        (b"\x93quoted\x94 by Windows", Some(Charset::Latin1)),
        (b"\x1b[31mr\xf6t\x1b[0m", Some(Charset::Latin1)),
        (b"caf\xe9\0", None),
        (b"\x01\x02caf\xe9", None),
        // An image, also where nothing else says that it is no text.
        (b"\xff\xd8\xff\xe0 and so on", None),
        (b"\x89PNG\r\n\x1a\n", None),
        // Text about images is text, and so are UTF-8 with control characters.
        (b"GIF89a is a signature", Some(UTF_8)),
        (b"\x01\x02\x03", Some(UTF_8)),
        (b"", Some(UTF_8)),
        (b"ab\0", None),
        // UTF-32 begins as UTF-16 does; UTF-16 without a mark has NULs.
        (b"\xff\xfe\0\0a\0\0\0", None),
        (b"a\0b\0", None),
        (b"\xff\xfe", Some(LITTLE)),
    ] {
        assert_eq!(Charset::of(head, true), charset, "{head:?}");
    }
}

#[test]
fn a_control_character_among_fifty_bytes_is_damage_and_more_are_binary() {
    let mut text = [b"\xe9".as_slice(), &[b'a'; 99]].concat();
    text[50] = 1;
    text[51] = 2;
    assert_eq!(Charset::of(&text, true), Some(Charset::Latin1));
    text[52] = 3;
    assert_eq!(Charset::of(&text, true), None);
}

#[test]
fn a_character_that_goes_on_behind_the_first_bytes_is_no_error() {
    let head = b"caf\xc3";
    assert_eq!(Charset::of(head, false), Some(UTF_8));
    assert_eq!(Charset::of(head, true), Some(Charset::Latin1));
}
