//! Logs that were cut or flipped anywhere: a prefix or a clear refusal, never a
//! panic, never a wrong record.

use crate::common::{Files, append, count_of_prefix, newest, payload, payloads};
use crate::support::{TestStorage, open, try_open, try_open_read_only};
use log_wal::format::MARK_BYTES;
use log_wal::{Lsn, OpenError, ReadError, TailState, Wal};

/// Three segments, the last one with a few records; closed, with its mark.
fn closed_log() -> (Files, u64) {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 12);
    wal.rotate().unwrap();
    append(&wal, 12, 30);
    wal.rotate().unwrap();
    append(&wal, 30, 40);
    wal.sync().unwrap();
    append(&wal, 40, 45);
    wal.close().unwrap();
    (storage.files(), 45)
}

/// The same, but the process was killed after the last group was written, and
/// before anything was said about it.
fn killed_log() -> (Files, u64) {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 12);
    wal.rotate().unwrap();
    append(&wal, 12, 30);
    wal.flush().unwrap();
    let files = storage.files();
    drop(wal);
    (files, 30)
}

/// Opens what may be damaged, writing and reading alike, and checks that what
/// comes back is a prefix.
fn recovered(files: &Files) -> Result<u64, OpenError> {
    let read_only = try_open_read_only(files).map(|reader| count_of_prefix(reader.iter()));
    let wal = try_open(files);
    match (&read_only, &wal) {
        (Ok(seen), Ok(wal)) => assert_eq!(*seen, count_of_prefix(wal.iter()), "both see the same"),
        (Err(_), Err(_)) => {}
        _ => panic!("a reader says {read_only:?}, a writer says {wal:?}"),
    }
    let wal = wal?;
    let count = wal.next_lsn().0;
    assert_eq!(count_of_prefix(wal.iter()), count);
    go_on(&wal, count);
    Ok(count)
}

/// A recovered log takes records again.
fn go_on(wal: &Wal, count: u64) {
    append(wal, count, count + 3);
    wal.sync().unwrap();
    assert_eq!(count_of_prefix(wal.iter()), count + 3);
}

#[test]
fn a_tail_cut_at_any_byte_leaves_the_longest_whole_prefix() {
    let (files, records) = killed_log();
    let name = newest(&files);
    let base = 12;
    // Where each record of the newest segment ends. The first one carries the
    // mark of the sync that rotation made.
    let ends: Vec<usize> = (base..records)
        .scan(8192 + MARK_BYTES, |end, lsn| {
            *end += 16 + payload(lsn).len().next_multiple_of(8);
            Some(*end)
        })
        .collect();
    for length in (0..files[&name].len()).step_by(crate::DAMAGE_STRIDE) {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap().truncate(length);
        let expected = base + ends.iter().filter(|end| **end <= length).count() as u64;
        match recovered(&cut) {
            Ok(count) => assert_eq!(count, expected, "cut at {length}"),
            Err(OpenError::Damaged(_)) => {
                assert!(length < 92, "the header was there: cut at {length}")
            }
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn a_closed_log_cut_at_any_byte_is_never_shorter_than_what_it_can_prove() {
    let (files, records) = closed_log();
    let name = newest(&files);
    for length in (0..files[&name].len()).step_by(crate::DAMAGE_STRIDE) {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap().truncate(length);
        if let Ok(count) = recovered(&cut) {
            assert!((30..=records).contains(&count), "cut at {length}: {count}");
        }
    }
}

#[test]
fn no_flipped_byte_brings_back_a_wrong_record() {
    for (files, records) in [closed_log(), killed_log()] {
        for name in files.keys() {
            // Of the newest some zeros behind the frames are tried, too: behind
            // a seal nothing matters.
            let behind = if *name == newest(&files) { 64 } else { 1 };
            let used = files[name].iter().rposition(|byte| *byte != 0).unwrap() + behind;
            for position in (0..92)
                .chain(4096..4096 + 92)
                .chain(8192..used.min(files[name].len()))
                .step_by(crate::DAMAGE_STRIDE)
            {
                for flip in [0x01, 0x80, 0xFF] {
                    let mut flipped = files.clone();
                    flipped.get_mut(name).unwrap()[position] ^= flip;
                    check_flipped(&flipped, name, position, records);
                }
            }
        }
    }
}

fn check_flipped(files: &Files, name: &str, position: usize, records: u64) {
    let sealed = *name != newest(files);
    let opened = try_open(files);
    match &opened {
        // One copy of the header is enough.
        Ok(wal) if position < 8192 => assert_eq!(count_of_prefix(wal.iter()), records),
        // Sealed segments are checked when they are read.
        Ok(wal) if sealed => {
            for (lsn, record) in (0..).zip(wal.iter()) {
                let Ok(record) = record else { return };
                assert_eq!(record.payload(), payload(lsn), "{name} at {position}");
            }
            // Not in a record: in the seal, then, and that was refused.
            panic!("the flip in {name} at {position} went unnoticed");
        }
        Ok(wal) => {
            let count = count_of_prefix(wal.iter());
            assert!(count <= records);
            if count < records {
                let tail = &wal.report().tail;
                assert!(
                    matches!(tail, TailState::Truncated { .. }),
                    "{name} at {position}: reported"
                );
            }
        }
        Err(OpenError::Damaged(damage)) => assert!(damage.path.ends_with(name), "{damage}"),
        Err(other) => panic!("{name} at {position}: {other}"),
    }
}

#[test]
fn damage_below_a_closing_mark_always_refuses() {
    let (files, _) = closed_log();
    let name = newest(&files);
    let end = files[&name].iter().rposition(|byte| *byte != 0).unwrap() / 8 * 8;
    let mark = end - 16; // the mark is the last frame, of 24 bytes
    for position in 8192..mark {
        let mut flipped = files.clone();
        flipped.get_mut(&name).unwrap()[position] ^= 0x10;
        let opened = try_open(&flipped);
        assert!(
            matches!(opened, Err(OpenError::Damaged(_))),
            "INV-W5: byte {position}: {opened:?}"
        );
    }
}

#[test]
fn a_refusal_changes_nothing() {
    let (files, _) = closed_log();
    let name = newest(&files);
    let mut flipped = files.clone();
    flipped.get_mut(&name).unwrap()[8200] ^= 0x10;
    let storage = TestStorage::with_files(flipped.clone());
    let opened = Wal::with_storage(std::sync::Arc::new(storage.clone()), crate::common::small());
    assert!(opened.is_err());
    assert_eq!(storage.files(), flipped);
}

#[test]
fn a_record_of_zeros_is_not_taken_for_a_torn_tail() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    wal.append(&[0; 4096]).unwrap();
    wal.sync().unwrap();
    wal.append(b"carries the mark").unwrap();
    wal.flush().unwrap();
    let mut files = storage.files();
    drop(wal);
    let name = newest(&files);
    files.get_mut(&name).unwrap()[8192 + 2000] = 1;
    let opened = try_open(&files);
    assert!(
        matches!(opened, Err(OpenError::Damaged(_))),
        "INV-W5: {opened:?}"
    );
}

#[test]
fn a_missing_swapped_or_foreign_segment_is_refused_by_name() {
    let (files, _) = closed_log();
    let names: Vec<_> = files.keys().cloned().collect();

    let mut missing = files.clone();
    missing.remove(&names[1]);
    let refused = try_open(&missing);
    assert!(
        matches!(&refused, Err(OpenError::Damaged(damage)) if damage.row.to_string() == "K"),
        "{refused:?}"
    );

    let mut without_newest = files.clone();
    without_newest.remove(&names[2]);
    let refused = try_open(&without_newest);
    assert!(
        matches!(&refused, Err(OpenError::Damaged(damage)) if damage.row.to_string() == "E"),
        "{refused:?}"
    );

    let mut swapped = files.clone();
    swapped.insert(names[0].clone(), files[&names[1]].clone());
    swapped.insert(names[1].clone(), files[&names[0]].clone());
    let refused = try_open(&swapped);
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );

    let (other, _) = closed_log_of_another_uuid();
    let mut foreign = files.clone();
    foreign.insert(names[1].clone(), other[&names[1]].clone());
    let refused = try_open(&foreign);
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );

    let mut stranger = files.clone();
    stranger.insert(
        names[1].clone(),
        b"somebody else's file, longer than a header would be, and more".repeat(200),
    );
    let refused = try_open(&stranger);
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

fn closed_log_of_another_uuid() -> (Files, u64) {
    let storage = TestStorage::new();
    log_wal::Storage::random_u64(&storage); // shifts what comes after
    let wal = open(&storage);
    append(&wal, 0, 12);
    wal.rotate().unwrap();
    append(&wal, 12, 30);
    wal.rotate().unwrap();
    append(&wal, 30, 40);
    wal.close().unwrap();
    (storage.files(), 40)
}

#[test]
fn a_newer_version_is_named() {
    let (files, _) = closed_log();
    let name = newest(&files);
    let mut newer = files.clone();
    let file = newer.get_mut(&name).unwrap();
    for copy in [0, 4096] {
        file[copy + 8] = 7;
        let crc = crc32fast::hash(&file[copy..copy + 88]);
        file[copy + 88..copy + 92].copy_from_slice(&crc.to_le_bytes());
    }
    let refused = try_open(&newer);
    let Err(OpenError::NewerVersion {
        found: 7,
        supported: 1,
        path,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(path.ends_with(&name));
}

#[test]
fn records_that_were_cut_never_come_back() {
    // Crash, cut, append records of the same sizes, crash: with the same salt
    // and place the old ones would fit in behind the new ones.
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 20);
    wal.flush().unwrap();
    let mut files = storage.files();
    drop(wal);
    let name = newest(&files);
    let hole = 8192 + 16 + payload(0).len().next_multiple_of(8); // the second record
    files.get_mut(&name).unwrap()[hole] ^= 0xFF;

    let storage = TestStorage::with_files(files);
    let wal = open(&storage);
    assert_eq!(wal.next_lsn(), Lsn(1));
    let new = vec![b'n'; payload(1).len()];
    wal.append(&new).unwrap();
    wal.flush().unwrap();
    let files = storage.files();
    drop(wal);
    let wal = try_open(&files).unwrap();
    assert_eq!(payloads(wal.iter()), [payload(0), new], "INV-W8");
}

#[test]
fn half_a_batch_is_none_of_it() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 2);
    let batch: Vec<_> = (2..8).map(payload).collect();
    let slices: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    wal.flush().unwrap();
    let files = storage.files();
    drop(wal);
    let name = newest(&files);
    let end = files[&name].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let begin = 8192
        + (0..2)
            .map(|lsn| 16 + payload(lsn).len().next_multiple_of(8))
            .sum::<usize>();
    for length in begin..end {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap()[length..].fill(0);
        let count = recovered(&cut).unwrap();
        assert_eq!(count, 2, "INV-W3: batch cut at {length}");
    }
    assert_eq!(recovered(&files).unwrap(), 8);
}

#[test]
fn recovery_finds_the_same_again() {
    let (files, _) = killed_log();
    let name = newest(&files);
    for length in (8192..8192 + 900).step_by(13) {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap()[length..].fill(0);
        let storage = TestStorage::with_files(cut);
        let mut found = None;
        for _ in 0..3 {
            let wal = open(&storage);
            let now = payloads(wal.iter());
            assert_eq!(*found.get_or_insert(now.clone()), now, "INV-W9");
        }
    }
}

#[test]
fn a_claim_of_size_allocates_no_more_than_there_is() {
    // If memory were asked for by what the header claims there would be none,
    // and opening would fail with that.
    let (files, records) = killed_log();
    let name = newest(&files);
    let mut claiming = files.clone();
    let file = claiming.get_mut(&name).unwrap();
    for copy in [0, 4096] {
        file[copy + 56..copy + 64].copy_from_slice(&(u64::MAX / 16).to_le_bytes());
        let crc = crc32fast::hash(&file[copy..copy + 88]);
        file[copy + 88..copy + 92].copy_from_slice(&crc.to_le_bytes());
    }
    let count = recovered(&claiming).unwrap();
    assert_eq!(count, records, "INV-W10");
}

#[test]
fn a_damaged_length_reads_no_more_than_its_segment() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 10);
    wal.rotate().unwrap();
    wal.close().unwrap();
    let mut files = storage.files();
    let oldest = files.keys().min().unwrap().clone();
    // All 28 bits of the first record's length.
    files.get_mut(&oldest).unwrap()[8192..8195].fill(0xFF);
    let wal = try_open(&files).unwrap();
    let first = wal.iter().next().unwrap();
    assert!(
        matches!(first, Err(ReadError::Damaged(_))),
        "INV-W10: {first:?}"
    );
}
