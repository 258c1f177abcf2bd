use proptest::prelude::*;

use super::*;

fn form(text: &str) -> Result<String, NameError> {
    HostName::parse(text).map(|name| name.to_string())
}

#[test]
fn every_spelling_of_a_name_has_one_form() {
    for text in [
        "packages.example.com",
        "packages.example.com.",
        "Packages.EXAMPLE.com",
        // Full-width letters, and the full stops that IDNA reads as dots.
        "ｐackages.example.com",
        "packages\u{3002}example\u{FF0E}com",
        "packages.example.com\u{FF61}",
        // UTS 46 drops what cannot be seen.
        "packages\u{200B}.example.com",
        "pack\u{AD}ages.example.com",
    ] {
        assert_eq!(
            form(text).as_deref(),
            Ok("packages.example.com"),
            "{text:?}"
        );
    }
    assert_eq!(
        form("bücher.example").as_deref(),
        Ok("xn--bcher-kva.example")
    );
    assert_eq!(
        form("BÜCHER.example").as_deref(),
        Ok("xn--bcher-kva.example")
    );
    assert_eq!(
        form("my_bucket.example").as_deref(),
        Ok("my_bucket.example")
    );
}

#[test]
fn a_look_alike_is_another_name() {
    for text in [
        "раckages.example.com",        // Cyrillic er and a
        "pack\u{0251}ges.example.com", // Latin alpha
        "example\u{0131}.com",         // dotless i
        "\u{130}.example.com",         // Turkish capital I with a dot: i and a combining dot
    ] {
        let name = form(text).expect("a valid name");
        assert!(name.contains("xn--"), "{text:?} became {name}");
    }
}

#[test]
fn what_no_host_name_has_is_refused() {
    for text in [
        "a\0.example.com",
        "a%00.example.com",
        "a%2eexample.com",
        "user@example.com",
        "example.com/x",
        "example.com\\x",
        "a example.com",
        "example.com\n",
        "\texample.com",
        "example.com\u{A0}",
        "example.com\u{3000}",
        "\u{2028}example.com",
        "a*b.example.com",
        "*.example.com",
        "a,b.example.com",
        "a:b",
        "example.com\u{FF0F}x",
        "a\u{FF20}example.com",
    ] {
        assert!(
            matches!(form(text), Err(NameError::Character | NameError::Idna)),
            "{text:?}: {:?}",
            form(text)
        );
    }
    for text in [
        "",
        ".",
        "..",
        ".example.com",
        "a..example.com",
        "example.com..",
        "example.com.\u{3002}",
    ] {
        assert_eq!(form(text), Err(NameError::EmptyLabel), "{text:?}");
    }
    assert_eq!(form("xn--a.example"), Err(NameError::Idna));
}

#[test]
fn a_name_is_253_bytes_at_most() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    assert_eq!(form(&longest), Ok(longest.clone()));
    assert_eq!(form(&format!("{longest}.")), Ok(longest.clone()));
    assert_eq!(form(&format!("{longest}a")), Err(NameError::TooLong));
    assert_eq!(
        form(&format!("{}.com", "a".repeat(64))),
        Err(NameError::LabelTooLong)
    );
}

#[test]
fn an_address_in_any_notation_is_no_name() {
    for text in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0x0.0x0.0x1",
        "0x",
        "0x7f.1",
        "127.0.0.08",
        "1.2.3.4.5",
        "256.256.256.256",
        "99999999999",
        "example.1",
        "１２７.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "①②⑦.0.0.①",
        "::1",
        "::ffff:127.0.0.1",
        "[::1]",
        "fe80::1%eth0",
        "2001:db8::1",
    ] {
        assert_eq!(form(text), Err(NameError::Address), "{text:?}");
    }
    for text in [
        "1.2.3.4.example.com",
        "0x7f.example",
        "127-0-0-1.example.com",
        "1e100.example.com",
    ] {
        assert!(form(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_subdomain_ends_in_a_dot_and_its_base() {
    let base = HostName::parse("example.com").expect("a name");
    let is_under = |text| HostName::parse(text).expect("a name").is_under(&base);
    assert!(is_under("a.example.com"));
    assert!(is_under("a.b.c.example.com"));
    for text in [
        "example.com",
        "xexample.com",
        "evil-example.com",
        "example.com.evil.test",
        "com",
    ] {
        assert!(!is_under(text), "{text}");
    }
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(text in "\\PC{0,40}(\\.\\PC{1,10})?") {
        if let Ok(name) = HostName::parse(&text) {
            prop_assert_eq!(HostName::parse(name.as_str()), Ok(name.clone()));
            prop_assert!(name.as_str().len() <= NAME_LIMIT);
            prop_assert!(name.as_str().bytes().all(|byte| byte == b'.' || is_host_byte(byte)));
        }
    }

    #[test]
    fn whatever_the_standard_library_reads_as_an_address_is_refused(bits in any::<u32>(), six in any::<u128>()) {
        let four = std::net::Ipv4Addr::from(bits);
        let [a, b, c, d] = four.octets();
        for text in [
            four.to_string(), bits.to_string(), format!("{bits:#x}"), format!("0{bits:o}"),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"), format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a}.{}", bits & 0x00ff_ffff), format!("{a}.{b}.{}", bits & 0xffff),
            std::net::Ipv6Addr::from(six).to_string(), four.to_ipv6_mapped().to_string(),
        ] {
            prop_assert_eq!(HostName::parse(&text), Err(NameError::Address), "{}", text);
        }
    }
}
