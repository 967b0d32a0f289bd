//! Files that somebody else made.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use log_wal::format::{FrameKey, Header, SegmentName};
use log_wal::{Lsn, OpenError, Wal};

use crate::common::{append, count_of_prefix, small};
use crate::disk::{disk_with, new_disk, open, try_open};

/// The only segment of a log with three records, its name and its header.
fn segment() -> (String, Vec<u8>, Header) {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 3);
    wal.close().unwrap();
    let (name, bytes) = disk.files().pop_first().unwrap();
    let header = Header::decode(&bytes).expect("a header");
    (name, bytes, header)
}

fn opened(name: &str, bytes: Vec<u8>) -> Result<Wal, OpenError> {
    try_open(&disk_with([(name.to_owned(), bytes)].into()))
}

fn put_header(bytes: &mut [u8], header: &[u8]) {
    for page in [0, 4096] {
        bytes[page..page + header.len()].copy_from_slice(header);
    }
}

#[test]
fn fault_49_no_claim_of_length_is_believed() {
    let (name, bytes, header) = segment();
    for capacity_bytes in [u64::MAX, 1 << 60, u64::from(u32::MAX), 8192, 0] {
        let mut claimed = bytes.clone();
        let header = Header {
            capacity_bytes,
            ..header
        };
        put_header(&mut claimed, &header.encode());
        // Refused or cut; and it neither panics nor asks for so much memory.
        if let Ok(wal) = opened(&name, claimed) {
            assert!(wal.next_lsn() <= Lsn(3), "INV-W10");
        }
    }
    for length in [(1 << 28) - 1, 1 << 20, 16_000] {
        let mut claimed = bytes.clone();
        let word = u32::from_le_bytes(claimed[8192..8196].try_into().unwrap());
        let word = word & !((1 << 28) - 1) | length;
        claimed[8192..8196].copy_from_slice(&word.to_le_bytes());
        assert!(matches!(opened(&name, claimed), Err(OpenError::Damaged(_))));
    }
}

#[test]
fn fault_50_what_is_not_a_segment_of_this_log_is_told_apart() {
    let (name, bytes, header) = segment();
    let mut magic = bytes.clone();
    put_header(&mut magic, b"SOMEBODY");
    assert!(matches!(
        opened(&name, magic),
        Err(OpenError::Foreign { .. })
    ));

    let mut newer = bytes.clone();
    let mut encoded = header.encode();
    encoded[8] = 9;
    let crc = crc32fast::hash(&encoded[..88]);
    encoded[88..].copy_from_slice(&crc.to_le_bytes());
    put_header(&mut newer, &encoded);
    let refused = opened(&name, newer);
    assert!(matches!(
        refused,
        Err(OpenError::NewerVersion { found: 9, .. })
    ));

    let mut swapped = bytes.clone();
    let mut encoded = header.encode();
    encoded[32..88]
        .chunks_exact_mut(8)
        .for_each(<[u8]>::reverse);
    put_header(&mut swapped, &encoded);
    assert!(matches!(opened(&name, swapped), Err(OpenError::Damaged(_))));

    let mut other = bytes.clone();
    let follower = Header {
        log_uuid: [7; 16],
        id: 2,
        base: Lsn(3),
        predecessor: Some(log_wal::format::Predecessor {
            id: 1,
            end: Lsn(3),
            end_position: 8192,
        }),
        ..header
    };
    put_header(&mut other, &follower.encode());
    let files = [(name, bytes), (follower.name().to_string(), other)];
    let refused = try_open(&disk_with(files.into()));
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

#[test]
fn fault_51_what_is_not_a_regular_file_is_refused() {
    type Make = fn(&std::path::Path);
    let make: [(&str, Make); 4] = [
        ("link", |path| symlink("/dev/null", path).unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("pipe", |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("link to a device", |path| {
            symlink("/dev/zero", path).unwrap()
        }),
    ];
    for (what, make) in make {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open_with(directory.path(), small()).unwrap();
        append(&wal, 0, 3);
        wal.close().unwrap();
        let next = SegmentName {
            base: Lsn(3),
            id: 2,
        };
        make(&directory.path().join(next.to_string()));
        let refused = Wal::open_with(directory.path(), small());
        assert!(
            matches!(&refused, Err(OpenError::Foreign { path, .. }) if path.ends_with(next.to_string())),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn fault_52_strange_names_are_ignored_and_listed() {
    let (name, bytes, _) = segment();
    let strange = [
        "1-1.log",
        "notes.txt",
        "00000000000000000000-1.log",
        "\u{fe0f}.log",
    ];
    let mut files: std::collections::BTreeMap<_, _> = [(name, bytes)].into();
    for name in strange {
        files.insert(name.to_owned(), b"not ours".to_vec());
    }
    let disk = disk_with(files);
    let wal = open(&disk);
    assert_eq!(count_of_prefix(wal.iter()), 3);
    let mut expected = strange.map(str::to_owned);
    expected.sort();
    assert_eq!(wal.report().ignored_files, expected);
    drop(wal);
    for name in strange {
        assert_eq!(disk.files()[name], b"not ours", "left alone");
    }
}

#[test]
fn a_claim_that_nobody_made_is_not_believed() {
    // A mark of another log, in the place where this one would have it.
    let (name, bytes, header) = segment();
    let mut forged = bytes.clone();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 8 * 8 + 8;
    let mut cell = [0; log_wal::format::MARK_BYTES];
    let other = FrameKey::new(header.salt ^ 1 << 63);
    let word = other.build_mark(&mut cell, end as u64, Lsn(3), Lsn(1000));
    cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
    forged[end..end + cell.len()].copy_from_slice(&cell);
    let wal = opened(&name, forged).unwrap();
    assert_eq!(count_of_prefix(wal.iter()), 3);
}
