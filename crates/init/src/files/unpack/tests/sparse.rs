//! Files with holes and other records, as tar programs write them, and as they should not be.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use super::*;

/// `bsdtar -c` (libarchive 3.6.2) of `d/disk.img`: 4,096 bytes of 7, 4,096 of 8 at 524,288, and
/// a hole up to 1,056,768.
const BSDTAR: &[u8] = include_bytes!("bsdtar-sparse.tar");

/// What a record is: its own length, and the rest.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..).find(|length: &usize| length.to_string().len() + rest == *length);
    let length = length.expect("some");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// A file of these stored bytes, after these records.
fn with_records(path: &str, records: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
    let records: Vec<u8> = records
        .iter()
        .flat_map(|(key, value)| record(key, value.as_bytes()))
        .collect();
    let header = entry(EntryType::XHeader, b"PaxHeaders/x", b"", &records);
    [
        header,
        entry(EntryType::Regular, path.as_bytes(), b"", content),
    ]
    .concat()
}

fn run_tar(dir: &Path, args: &[&str]) -> Vec<u8> {
    let mut tar = Command::new("tar");
    let output = tar.arg("-c").args(args).arg("d").current_dir(dir).output();
    let output = output.expect("GNU tar");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn what_gnu_tar_makes_of_files_with_holes_comes_back_as_they_were() {
    let sandbox = Sandbox::new(true);
    sandbox.dir("from/d");
    let make = |name: &str, pieces: &[(u64, usize)], size: u64| {
        let file = fs::File::create(sandbox.at("from/d").join(name)).expect("made");
        for (number, (at, length)) in pieces.iter().enumerate() {
            let byte = u8::try_from(number % 250 + 1).expect("small");
            file.write_all_at(&vec![byte; *length], *at)
                .expect("written");
        }
        file.set_len(size).expect("a size");
    };
    make("disk.img", &[(0, 4096), (524_288, 4096)], 900_000);
    make("all-hole", &[], 20_000);
    make("hole-first", &[(8_192, 100)], 8_292);
    make("plain", &[(0, 3_000)], 3_000);
    // More pieces than a header, and than a block of the map, has room for.
    let many: Vec<(u64, usize)> = (0..40).map(|nth| (nth * 8_192, 4_096)).collect();
    make("many", &many, 40 * 8_192);
    for args in [
        &["--format=pax", "--sparse", "--sparse-version=0.0"][..],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
    ] {
        let archive = run_tar(&sandbox.at("from"), args);
        let begin = UploadBegin {
            path: "to".into(),
            unpack: true,
            limit: 100 << 20,
            ..UploadBegin::default()
        };
        let done = send(&sandbox, &begin, &archive).expect("unpacked");
        let mut size = 0;
        let names = fs::read_dir(sandbox.at("to/d")).expect("listed");
        assert_eq!(names.count(), 5, "{args:?}");
        for name in ["disk.img", "all-hole", "hole-first", "plain", "many"] {
            let from = fs::read(sandbox.at("from/d").join(name)).expect("read");
            let to = fs::read(sandbox.at("to/d").join(name)).expect("read");
            assert!(from == to, "{name} by {args:?}");
            size += to.len() as u64;
            if args.contains(&"--sparse") && name == "disk.img" {
                let stored = fs::metadata(sandbox.at("to/d/disk.img")).expect("stat");
                assert!(stored.blocks() * 512 < 100_000, "{stored:?}");
            }
        }
        assert_eq!((done.size, done.entries), (size, 6), "{args:?}");
        fs::remove_dir_all(sandbox.at("to")).expect("removed");
    }
}

#[test]
fn what_bsdtar_makes_of_a_file_with_holes_comes_back_as_it_was() {
    let sandbox = Sandbox::new(true);
    let begin = UploadBegin {
        unpack: true,
        limit: 1_056_768,
        ..UploadBegin::default()
    };
    let done = send(&sandbox, &begin, BSDTAR).expect("unpacked");
    assert_eq!((done.size, done.entries), (1_056_768, 1));
    let mut wanted = vec![0; 1_056_768];
    wanted[..4_096].fill(7);
    wanted[524_288..524_288 + 4_096].fill(8);
    assert!(fs::read(sandbox.at("d/disk.img")).expect("read") == wanted);
    assert!(!sandbox.at("d/GNUSparseFile.0").exists());
    // The size of the file counts, and not what the archive has of it.
    let begin = UploadBegin {
        limit: 1_056_767,
        ..begin
    };
    let failed = send(&sandbox, &begin, BSDTAR).expect_err("over the limit");
    assert_eq!(failed.code(), Code::FileTooLarge);
}

#[test]
fn a_map_that_is_not_that_of_its_data_is_refused_by_the_name_of_the_file() {
    let one = |records: &[(&str, &str)], content: &[u8]| {
        let name = ("GNU.sparse.name", "real/name");
        let records = [&[name][..], records].concat();
        tar(&[
            file("first", "1"),
            with_records("GNUSparseFile.1/x", &records, content),
        ])
    };
    let size = ("GNU.sparse.size", "1000");
    let map = |map| [size, ("GNU.sparse.map", map)];
    let front = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.realsize", "1000"),
    ];
    let in_front = |map: &str| {
        let mut block = map.as_bytes().to_vec();
        block.resize(512, 0);
        block.extend_from_slice(b"12345");
        block
    };
    let data = &b"12345"[..];
    for (what, archive) in [
        ("fewer", one(&map("0,4"), data)),
        ("more", one(&map("0,6"), data)),
        ("over the end", one(&map("998,5"), data)),
        ("over each other", one(&map("0,3,2,2"), data)),
        ("backwards", one(&map("10,3,0,2"), data)),
        ("odd", one(&map("0,5,9"), data)),
        ("no number", one(&map("0,5x"), data)),
        ("signs", one(&map("+0,5"), data)),
        ("overflow", one(&map("18446744073709551615,5"), data)),
        (
            "more than there are",
            one(&map("0,18446744073709551616"), data),
        ),
        ("no size", one(&[("GNU.sparse.map", "0,5")], data)),
        ("no map", one(&[size], data)),
        (
            "lengths first",
            one(&[size, ("GNU.sparse.numbytes", "5")], data),
        ),
        ("unknown", one(&[size, ("GNU.sparse.colour", "red")], data)),
        (
            "version 2",
            one(
                &[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), size],
                data,
            ),
        ),
        ("no front", one(&front, b"")),
        ("no numbers", one(&front, &in_front("x\n"))),
        ("short front", one(&front, b"1\n0\n5\n")),
        ("front of fewer", one(&front, &in_front("1\n0\n4\n"))),
        ("front of too many", one(&front, &in_front("70000\n0\n5\n"))),
        ("endless", one(&front, &in_front(&"9".repeat(512)))),
    ] {
        let sandbox = Sandbox::new(true);
        let failed = unpack(&sandbox, "", &archive).expect_err(what);
        let found = (failed.code(), failed.entry.as_str(), failed.stored);
        assert_eq!(
            found,
            (Code::BadArchive, "real/name", 1),
            "{what}: {}",
            failed.text()
        );
        assert!(!sandbox.at("real/name").exists() && !sandbox.at("GNUSparseFile.1").exists());
        sandbox.assert_clean("");
    }
    let good = one(&front, &in_front("1\n995\n5\n"));
    let sandbox = Sandbox::new(true);
    unpack(&sandbox, "", &good).expect("good");
    let content = sandbox.read("real/name").expect("read");
    assert_eq!((content.len(), &content[995..]), (1_000, data));
}

#[test]
fn a_record_that_changes_content_is_understood_or_refused() {
    for key in [
        "GNU.volume.offset",
        "GNU.volume.size",
        "GNU.dumpdir",
        "SCHILY.realsize",
        "SCHILY.offset",
        "SUN.holesdata",
    ] {
        let sandbox = Sandbox::new(true);
        let archive = tar(&[with_records("part", &[(key, "7")], b"content")]);
        let failed = unpack(&sandbox, "", &archive).expect_err(key);
        assert_eq!(
            (failed.code(), failed.entry.as_str()),
            (Code::BadArchive, "part")
        );
        assert!(failed.detail.contains(key), "{}", failed.detail);
        assert!(!sandbox.at("part").exists());
    }
    for (key, value) in [
        ("path", "a"),
        ("linkpath", "a"),
        ("size", "7"),
        ("GNU.sparse.size", "7"),
        ("SUN.holesdata", "0 7"),
    ] {
        let global = entry(
            EntryType::XGlobalHeader,
            b"g",
            b"",
            &record(key, value.as_bytes()),
        );
        let archive = tar(&[file("first", ""), global, file("second", "")]);
        let sandbox = Sandbox::new(true);
        let failed = unpack(&sandbox, "", &archive).expect_err(key);
        assert!(
            failed.detail.starts_with("after first: "),
            "{}",
            failed.detail
        );
    }
}

#[test]
fn records_are_read_by_their_length_whatever_bytes_are_in_them() {
    let sandbox = Sandbox::new(true);
    let archive = tar(&[
        with_records(
            "short",
            &[
                ("SCHILY.xattr.user.x", "line\n\n11 path=bad\n"),
                ("comment", "é"),
                ("atime", "1.5"),
                ("path", "old"),
                ("path", "two\nlines"),
                ("LIBARCHIVE.xattr.user.y", "eA"),
            ],
            b"content",
        ),
        with_records("plain", &[("path", "")], b"content"),
    ]);
    unpack(&sandbox, "", &archive).expect("unpacked");
    assert_eq!(sandbox.read("two\nlines"), Ok(b"content".to_vec()));
    assert_eq!(sandbox.read("plain"), Ok(b"content".to_vec()));
    assert!(!sandbox.at("bad").exists() && !sandbox.at("old").exists());
    for spoilt in [
        "x path=a\n",
        "8 path=a\n",
        "99 path=a\n",
        "10 path=a",
        "7 path\n",
        " 9 path=a\n",
    ] {
        let header = entry(EntryType::XHeader, b"x", b"", spoilt.as_bytes());
        let failed = unpack(&sandbox, "", &tar(&[header, file("file", "")]));
        assert_eq!(
            failed.map_err(code).map(drop),
            Err(Code::BadArchive),
            "{spoilt:?}"
        );
    }
}
