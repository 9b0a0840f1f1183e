//! Tests of unpacking: names, links, bombs, and what programs write.

use std::fs;
use std::io::{Cursor, Write};

use ::tar::{Builder, EntryType, Header};
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::import::limits::Memory;

/// Name of a file, and its content.
type NamedBytes = (String, Vec<u8>);

const STREAMS: [Packing; 3] = [Packing::Gzip, Packing::Bzip2, Packing::Zstd];

fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Bzip2 => {
            let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        Packing::Zip => zipped(&[("a.csv", bytes)]),
        Packing::Tar => tarred(&[("a.csv", bytes)]),
    }
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tarred(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // The library refuses to write the names that are tested here.
        let place = &mut header.as_old_mut().name;
        if name.len() < place.len() {
            place[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        } else {
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

/// Unpacks with this limit of bytes. Returns the names with their content, and what is skipped.
#[expect(clippy::unwrap_in_result, reason = "only a failure of unpacking is a result")]
fn unpacked(
    packing: Packing,
    bytes: &[u8],
    limit: u64,
) -> Result<(Vec<NamedBytes>, Unpacked), String> {
    let folder = tempfile::tempdir().unwrap();
    let (outside, scratch) = (folder.path().join("it"), folder.path().join("scratch"));
    fs::create_dir(&scratch).unwrap();
    fs::write(&outside, bytes).unwrap();
    let mut reading = Reading {
        scratch: &scratch,
        disk: limit,
        memory: Memory::with_limit(1 << 16),
        progress: &mut |_| {},
    };
    let unpacked = packing.unpack(&outside, "it.csv", &mut reading).map_err(|it| it.to_string())?;
    let files = unpacked.files.iter();
    let files = files.map(|file| (file.name.clone(), fs::read(&file.path).unwrap()));
    let files = files.collect();
    for file in &unpacked.files {
        assert!(file.path.starts_with(&scratch), "{file:?}");
    }
    let written: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(written.len(), 2, "nothing is written beside the scratch folder");
    Ok((files, unpacked))
}

fn names(packing: Packing, bytes: &[u8]) -> Vec<String> {
    let (files, _) = unpacked(packing, bytes, 1 << 20).unwrap();
    files.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_packing_gives_the_bytes_back() {
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    for packing in STREAMS {
        let (files, one) = unpacked(packing, &packed(packing, b"text,label\n"), 100).unwrap();
        assert_eq!((files, one.is_single), (vec![file("it.csv", b"text,label\n")], true));
        let inner = tarred(&[("a/b.csv", b"x"), ("c.csv", b"yz")]);
        let (files, several) = unpacked(packing, &packed(packing, &inner), 100).unwrap();
        assert_eq!(files, [file("a/b.csv", b"x"), file("c.csv", b"yz")], "{packing:?}");
        assert!(!several.is_single);
    }
    for packing in [Packing::Zip, Packing::Tar] {
        let (files, one) = unpacked(packing, &packed(packing, b"x"), 100).unwrap();
        assert_eq!((files, one.is_single), (vec![file("a.csv", b"x")], false));
    }
    for (packing, name, inner) in [
        (Packing::Gzip, "a.csv.gz", "a.csv"),
        (Packing::Gzip, "a.TGZ", "a"),
        (Packing::Bzip2, "a.tar.bz2", "a"),
        (Packing::Zstd, "a.jsonl.zst", "a.jsonl"),
        (Packing::Zip, ".zip", ".zip"),
        (Packing::Zip, "ä", "ä"),
    ] {
        assert_eq!(packing.inner_name(name), inner);
    }
}

#[test]
fn an_entry_outside_the_archive_is_refused() {
    for name in ["a/../../out.csv", "../out.csv", "..\\out.csv", "a\\..\\..\\out.csv"] {
        for (packing, bytes) in
            [(Packing::Zip, zipped(&[(name, b"x")])), (Packing::Tar, tarred(&[(name, b"x")]))]
        {
            let error = unpacked(packing, &bytes, 100).unwrap_err();
            assert!(error.contains("a path outside of it"), "{name}: {error}");
        }
    }
}

#[test]
fn names_of_every_system_become_folders() {
    for (name, inner) in [
        ("/absolute/a.csv", "absolute/a.csv"),
        ("./a.csv", "a.csv"),
        ("C:\\data\\cat\\1.png", "data/cat/1.png"),
        ("a/../b.csv", "b.csv"),
        ("a//b.csv", "a/b.csv"),
    ] {
        assert_eq!(names(Packing::Zip, &zipped(&[(name, b"x")])), [inner]);
        assert_eq!(names(Packing::Tar, &tarred(&[(name, b"x")])), [inner]);
    }
    let hidden = [
        ("__MACOSX/._a.csv", b"x".as_slice()),
        (".DS_Store", b"x"),
        ("a/Thumbs.db", b"x"),
        ("a/desktop.ini", b"x"),
        ("a/b.csv", b"x"),
    ];
    for (packing, bytes) in [(Packing::Zip, zipped(&hidden)), (Packing::Tar, tarred(&hidden))] {
        let (files, all) = unpacked(packing, &bytes, 100).unwrap();
        assert_eq!((files.len(), all.hidden), (1, 4));
    }
    // Names on a disk without distinction of case would be the same.
    let two = [("Cat/1.png", b"x".as_slice()), ("cat/1.png", b"y")];
    assert_eq!(names(Packing::Zip, &zipped(&two)), ["Cat/1.png", "cat/1.png"]);
}

#[test]
fn names_in_utf_8_and_code_page_437_are_read() {
    // Finder writes UTF-8 without the flag for it, older programs write code page 437.
    for (raw, name) in [("ä.csv".as_bytes(), "ä.csv"), (b"\x84.csv".as_slice(), "ä.csv")] {
        let mut bytes = zipped(&[(&"z".repeat(raw.len()), b"x")]);
        let placeholder = "z".repeat(raw.len()).into_bytes();
        let ends = bytes.len() - raw.len();
        for at in 0..ends {
            if bytes[at..].starts_with(&placeholder) {
                bytes[at..at + raw.len()].copy_from_slice(raw);
            }
        }
        assert_eq!(names(Packing::Zip, &bytes), [name]);
    }
}

#[test]
fn long_names_in_tar_are_read_up_to_a_limit() {
    let long = format!("{}/b.csv", "a".repeat(150));
    assert_eq!(names(Packing::Tar, &tarred(&[(&long, b"x")])), [long]);
    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("path", "ü/long.csv".as_bytes())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(1);
    pax.append_data(&mut header, "short", b"x".as_slice()).unwrap();
    assert_eq!(names(Packing::Tar, &pax.into_inner().unwrap()), ["ü/long.csv"]);
    // A name of a gibibyte of zeros is not read into memory: it is skipped, and its bytes count.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let bytes = [header.as_bytes().as_slice(), &[b'a'; 4096]].concat();
    assert!(unpacked(Packing::Tar, &bytes, 100).is_err());
}

#[test]
fn links_and_deep_files_are_skipped_by_name() {
    let deep = format!("{}deep.csv", "a/".repeat(DEEPEST));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.add_symlink("link", "/etc", options).unwrap();
    writer.start_file("link/through.csv", options).unwrap();
    writer.start_file(deep.as_str(), options).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    let mut builder = Builder::new(Vec::new());
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_link_name("/etc").unwrap();
        builder.append_data(&mut header, "link", b"".as_slice()).unwrap();
    }
    for name in ["link/through.csv", &deep] {
        let mut header = Header::new_gnu();
        header.set_size(0);
        builder.append_data(&mut header, name, b"".as_slice()).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    for (packing, bytes, links) in [(Packing::Zip, zip, 1), (Packing::Tar, tar, 3)] {
        let (files, all) = unpacked(packing, &bytes, 100).unwrap();
        assert_eq!(files, [("link/through.csv".to_owned(), Vec::new())]);
        assert_eq!(all.skipped.len(), links + 1, "{:?}", all.skipped);
        assert_eq!((all.skipped[0].name.as_str(), all.skipped[0].reason), ("link", "it is a link"));
        assert_eq!(all.skipped[links].reason, "it is too deep in folders");
    }
}

#[test]
fn names_count_against_the_memory_limit() {
    let name = |at: usize| format!("{}{at}.csv", "long ".repeat(500));
    let names: Vec<String> = (0..100).map(name).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let bytes = packed(Packing::Zstd, &tarred(&files));
    assert!(bytes.len() < 5000);
    let error = unpacked(Packing::Zstd, &bytes, 1 << 20).unwrap_err();
    assert!(error.contains("MiB of memory"), "{error}");
}

#[test]
fn the_last_of_several_files_of_one_name_is_read() {
    let bytes = tarred(&[("a.csv", b"old"), ("a.csv", b"new")]);
    let (files, all) = unpacked(Packing::Tar, &bytes, 100).unwrap();
    assert_eq!(files, [("a.csv".to_owned(), b"new".to_vec())]);
    assert_eq!(all.skipped[0].reason, "a later file of the archive has the same name");
}

#[test]
fn bombs_are_bounded_by_their_actual_size() {
    let zeros = vec![0; 1 << 20];
    let inner = tarred(&[("a.csv", &zeros), ("b.csv", &zeros)]);
    let mut bombs = vec![
        (Packing::Zip, zipped(&[("a.csv", &zeros), ("b.csv", &zeros)])),
        (Packing::Tar, inner.clone()),
    ];
    bombs.extend(STREAMS.map(|packing| (packing, packed(packing, &inner))));
    bombs.extend(
        STREAMS.map(|packing| (packing, packed(packing, &[zeros.clone(), zeros.clone()].concat()))),
    );
    for (packing, bytes) in bombs {
        let error = unpacked(packing, &bytes, (2 << 20) - 1).unwrap_err();
        assert!(error.contains("unpacks to more than"), "{packing:?}: {error}");
        unpacked(packing, &bytes, 2 << 20).unwrap();
    }
    // Entries that are not written count too.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Fifo);
    header.set_size(80 << 20);
    header.set_cksum();
    let skipped = [header.as_bytes().as_slice(), &vec![0; 80 << 20]].concat();
    let error = unpacked(Packing::Gzip, &packed(Packing::Gzip, &skipped), 1000).unwrap_err();
    assert!(error.contains("unpacks to more than"), "{error}");
}

proptest! {
    #[test]
    fn altered_archives_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kind in 0_usize..5,
    ) {
        let packing = [Packing::Gzip, Packing::Bzip2, Packing::Zstd, Packing::Zip, Packing::Tar][kind];
        let mut bytes = packed(packing, &tarred(&[("a/b.csv", b"text,label\n"), ("c.csv", b"x")]));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok((files, _)) = unpacked(packing, &bytes, 1 << 16) {
            let length: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert!(length <= 1 << 16);
            prop_assert!(files.iter().all(|(name, _)| !name.split('/').any(|part| part == "..")));
        }
    }
}

#[test]
fn damage_is_reported() {
    for packing in [STREAMS.as_slice(), &[Packing::Zip, Packing::Tar]].concat() {
        let bytes = packed(packing, &[b'x'; 3000]);
        let error = unpacked(packing, &bytes[..bytes.len() / 2], 10_000).unwrap_err();
        assert!(error.contains("can't be unpacked") || error.contains("damaged"), "{error}");
    }
    assert!(unpacked(Packing::Gzip, &[0x1f, 0x8b, 8, 0, 1], 100).is_err());
}

#[test]
fn encrypted_files_and_other_methods_are_named() {
    let flagged = |at: usize, value: u8| {
        let mut bytes = zipped(&[("a.csv", b"text,label\n")]);
        let entry = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        // The local header and the directory state the same, 2 bytes apart.
        bytes[at] = value;
        bytes[entry + at + 2] = value;
        unpacked(Packing::Zip, &bytes, 100).unwrap_err()
    };
    assert!(flagged(6, 1).contains("an encrypted zip file (`a.csv`)"), "{}", flagged(6, 1));
    for (method, name) in [(14, "LZMA"), (9, "Deflate64"), (95, "Xz")] {
        let error = flagged(8, method);
        assert!(
            error.to_lowercase().contains(&name.to_lowercase())
                || error.contains(&method.to_string()),
            "{error}"
        );
        assert!(error.contains("which is not read"), "{error}");
    }
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // Zip64, as for archives that may exceed 4 GiB.
    writer.start_file("a.csv", stored.large_file(true)).unwrap();
    writer.write_all(b"x").unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(names(Packing::Zip, &bytes), ["a.csv"]);
}
