//! A packed archive is unpacked again, unless it was changed.

use tar::{Builder, EntryType, Header};

use super::*;
use crate::ops::backup::stream::Chunk;

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(7);
    header.set_size(size);
    header
}

/// A workspace with some files.
fn tar() -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut put = |kind, path: &str, content: &[u8]| {
        let mut header = header(kind, content.len() as u64);
        archive
            .append_data(&mut header, path, content)
            .expect("put");
    };
    put(EntryType::Directory, "./", b"");
    put(EntryType::Regular, "a", &[b'a'; 100_000]);
    put(EntryType::Directory, "dir/", b"");
    put(EntryType::Regular, "dir/b", b"content of b");
    let mut link = header(EntryType::Link, 0);
    archive.append_link(&mut link, "dir/c", "a").expect("put");
    archive.into_inner().expect("an archive")
}

/// An archive of this one entry.
fn single(mut header: Header, path: &[u8]) -> Vec<u8> {
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.name[..path.len()].copy_from_slice(path);
    }
    header.set_cksum();
    [header.as_bytes(), &[0; 1024][..]].concat()
}

fn no_bounds() -> PackLimits {
    PackLimits::of_a_copy()
}

fn chunks(bytes: &[u8]) -> Chunks {
    let (sender, chunks) = Chunks::new();
    let bytes = bytes.to_vec();
    std::thread::spawn(move || {
        for chunk in bytes.chunks(1000) {
            if sender
                .blocking_send(Chunk::Data(chunk.to_vec().into()))
                .is_err()
            {
                return;
            }
        }
        let _ = sender.blocking_send(Chunk::End(()));
    });
    chunks
}

fn collected() -> (ChunkWriter, std::thread::JoinHandle<Vec<u8>>) {
    let (out, mut receiver) = ChunkWriter::new();
    let all = std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(data) = receiver.blocking_recv() {
            all.extend_from_slice(&data);
        }
        all
    });
    (out, all)
}

/// The stored objects of an archive: the archive and the list.
fn packed(tar: &[u8]) -> io::Result<(PackedArchive, Vec<u8>, Vec<u8>)> {
    let (archive_out, archive) = collected();
    let (list_out, list) = collected();
    let packed = pack(chunks(tar), archive_out, list_out, &no_bounds())?;
    Ok((
        packed,
        archive.join().expect("all"),
        list.join().expect("all"),
    ))
}

fn unpacked(archive: &[u8], list: &[u8]) -> io::Result<(PackedArchive, Vec<u8>)> {
    let mut out = Vec::new();
    let read = unpack(chunks(archive), chunks(list), &mut out, &no_bounds())?;
    Ok((read, out))
}

#[test]
fn what_was_packed_comes_out_again_with_the_same_hashes() {
    let tar = tar();
    let (packed, archive, list) = packed(&tar).expect("packed");
    assert_eq!(
        (packed.counted.entries, packed.counted.content),
        (5, 100_012)
    );
    assert!(archive.len() < 1000);
    let (read, out) = unpacked(&archive, &list).expect("unpacked");
    assert!(out == tar, "another archive came out");
    assert_eq!(read, packed);
}

#[test]
fn wherever_it_is_cut_or_changed_it_is_an_error_or_has_another_hash() {
    let (whole, archive, list) = packed(&tar()).expect("packed");
    let differs = |archive: &[u8], list: &[u8]| match unpacked(archive, list) {
        Ok((read, _)) => read != whole,
        Err(error) => crate::ops::backup::damage(&error).is_some(),
    };
    assert!(!differs(&archive, &list));
    for at in 0..archive.len() {
        let mut changed = archive.clone();
        changed[at] ^= 1;
        assert!(differs(&archive[..at], &list), "archive cut at {at}");
        assert!(differs(&changed, &list), "archive changed at {at}");
    }
    for at in 0..list.len() {
        let mut changed = list.clone();
        changed[at] ^= 1;
        assert!(differs(&archive, &list[..at]), "list cut at {at}");
        assert!(differs(&archive, &changed), "list changed at {at}");
    }
    assert!(differs(&[&archive[..], b"more"].concat(), &list));
    assert!(differs(&archive, &[&list[..], &list].concat()));
}

#[test]
fn an_archive_with_another_list_is_named_by_what_differs() {
    let (_, archive, _) = packed(&tar()).expect("packed");
    let other = |change: &dyn Fn(&str) -> String| {
        let (_, _, list) = packed(&tar()).expect("packed");
        let lines = zstd::decode_all(&list[..]).expect("lines");
        let lines = change(&String::from_utf8(lines).expect("text"));
        let list = zstd::encode_all(lines.as_bytes(), LEVEL).expect("compressed");
        let error = unpacked(&archive, &list).expect_err("they differ");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        error.to_string()
    };
    let without_last = |lines: &str| lines.lines().take(4).map(|l| format!("{l}\n")).collect();
    assert!(other(&without_last).contains("dir/c is not in the list"));
    let one_more = |lines: &str| format!("{lines}{}\n", lines.lines().next().expect("a line"));
    assert!(other(&one_more).contains("./ is not in the archive"));
    assert!(other(&|lines| lines.replace("dir/b", "dir/x")).contains("where the list has dir/x"));
    for (from, to, what) in [
        ("420", "421", "mode"),
        ("7.000", "8.000", "time"),
        ("\"size\":12", "\"size\":13", "size"),
        ("\"target\":\"a\"", "\"target\":\"b\"", "target"),
        ("hard_link", "symlink", "kind"),
    ] {
        let told = other(&|lines| lines.replace(from, to));
        assert!(
            told.contains(&format!("its {what} differs from the list")),
            "{from}: {told}"
        );
    }
}

#[test]
fn what_no_backup_has_is_refused_by_name() {
    let long = single(header(EntryType::GNULongName, 1 << 40), b"long");
    let long = [&long[..], &vec![b'n'; 16 << 20]].concat();
    for (archive, told) in [
        (
            single(header(EntryType::Char, 0), b"dev"),
            "an entry of type 0x33",
        ),
        (
            single(header(EntryType::Fifo, 0), b"fifo"),
            "an entry of type 0x36",
        ),
        (
            single(header(EntryType::Regular, 0), b"../out"),
            "leads out of the workspace",
        ),
        (
            single(header(EntryType::Regular, 0), b"/etc/x"),
            "leads out of the workspace",
        ),
        (
            single(header(EntryType::Regular, 1 << 40), b"huge"),
            "ends in the middle",
        ),
        (long, "headers, or padding"),
        (vec![b'x'; 4096], "not a number"),
    ] {
        let error = packed(&archive).expect_err(told);
        assert!(error.to_string().contains(told), "{error}");
        assert!(crate::ops::backup::damage(&error).is_some(), "{error}");
    }
}

/// A header again and again, as if there were no end.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = into.len().min(self.0.len() - self.1);
        into[..read].copy_from_slice(&self.0[self.1..self.1 + read]);
        self.1 = (self.1 + read) % self.0.len();
        Ok(read)
    }
}

#[test]
fn of_too_many_entries_no_more_are_read_than_may_be() {
    let mut one = header(EntryType::Regular, 0);
    one.set_path("a").expect("a path");
    one.set_cksum();
    let mut told = 0;
    let bounds = PackLimits {
        entries: 10_000,
        ..no_bounds()
    };
    let done = each(Endless(one.as_bytes().to_vec(), 0), &bounds, |_| {
        told += 1;
        Ok(())
    });
    let error = done.map(|(_, counted)| counted).expect_err("too many");
    assert!(
        error.to_string().contains("more than 10000 entries"),
        "{error}"
    );
    assert_eq!(told, 10_000);
}

/// A file that is one hole of so many bytes.
fn hole(size: u64) -> Vec<u8> {
    let mut sparse = header(EntryType::GNUSparse, 0);
    let gnu = sparse.as_gnu_mut().expect("a GNU header");
    let octal = |field: &mut [u8; 12], number: u64| {
        // A number that has no room in octal digits: GNU tar's base 256.
        field.fill(0);
        field[0] = 0x80;
        field[4..].copy_from_slice(&number.to_be_bytes());
    };
    octal(&mut gnu.sparse[0].offset, size);
    octal(&mut gnu.sparse[0].numbytes, 0);
    octal(&mut gnu.realsize, size);
    single(sparse, b"hole")
}

#[test]
fn a_hole_is_read_no_longer_than_the_manifest_says_or_somebody_waits() {
    let of = |bounds: &PackLimits| {
        let told = each(io::Cursor::new(hole(1 << 60)), bounds, |_| Ok(()));
        told.map(|(_, counted)| counted).expect_err("no end")
    };
    let content = PackLimits {
        content: 1000,
        ..no_bounds()
    };
    let error = of(&content);
    assert!(
        error.to_string().contains("more than the 1000 bytes"),
        "{error}"
    );
    let unwaited = no_bounds();
    unwaited.ended.cancel();
    assert_eq!(of(&unwaited).kind(), io::ErrorKind::BrokenPipe);
    let told = each(io::Cursor::new(hole(1000)), &content, |_| Ok(()));
    assert_eq!(
        told.map(|(_, counted)| counted.content).expect("read"),
        1000
    );
}
