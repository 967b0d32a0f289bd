//! Finding one record by its number, wherever it lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{append, newest, payload, payloads, small};
use crate::support::{TestStorage, open, try_open, try_open_read_only};
use log_wal::{Lsn, ReadError, Record, Wal, WalOptions};

/// Large enough for many waypoints, small enough for several segments.
fn options() -> WalOptions {
    WalOptions::default().segment_bytes(256 << 10)
}

fn open_with(storage: &TestStorage) -> Wal {
    Wal::with_storage(Arc::new(storage.clone()), options()).unwrap()
}

/// Records of many lengths, alone, in batches and in place, with sync marks,
/// numbers that were given up and rotations in between.
fn write_all_kinds(wal: &Wal) {
    for round in 0..400_u64 {
        let length = [0, 1, 250, 600, 3000, 9000, 20_000][round as usize % 7];
        let body = vec![round as u8; length];
        let batch: Vec<&[u8]> = vec![&body; round as usize % 11];
        wal.append_batch(&batch).unwrap();
        wal.append(&body).unwrap();
        if round % 13 == 0 {
            wal.sync().unwrap();
        }
        if round % 50 == 7 {
            let given_up = std::panic::AssertUnwindSafe(|| {
                wal.append_in_place(length, |_| panic!("given up"))
            });
            assert!(std::panic::catch_unwind(given_up).is_err());
        }
        if round % 90 == 89 {
            wal.rotate().unwrap();
        }
    }
}

/// What reading in order finds: `None` for numbers without a record.
fn in_order(iter: log_wal::Iter, end: Lsn) -> Vec<Option<Record>> {
    let mut found = vec![None; end.0 as usize];
    for record in iter {
        let record = record.unwrap();
        let lsn = record.lsn();
        found[lsn.0 as usize] = Some(record);
    }
    found
}

fn same_one_by_one(
    expected: &[Option<Record>],
    read: impl Fn(Lsn) -> Result<Option<Record>, ReadError>,
) {
    let end = expected.len() as u64;
    // In an order that goes to and fro.
    for step in 0..end {
        let lsn = step * 7919 % end;
        assert_eq!(
            read(Lsn(lsn)).unwrap(),
            expected[lsn as usize],
            "record {lsn}"
        );
    }
    assert_eq!(read(Lsn(end)).unwrap(), None, "not there yet");
    assert_eq!(read(Lsn(u64::MAX)).unwrap(), None, "never there");
}

#[test]
fn every_record_is_found_by_its_number() {
    let storage = TestStorage::new();
    let wal = open_with(&storage);
    write_all_kinds(&wal);
    let end = wal.next_lsn();
    let expected = in_order(wal.iter(), end);
    assert!(
        expected.iter().filter(|it| it.is_none()).count() >= 8,
        "given up"
    );
    same_one_by_one(&expected, |lsn| wal.read(lsn));
    wal.sync().unwrap();
    assert!(wal.sealed().len() >= 4, "some are in files");
    same_one_by_one(&expected, |lsn| wal.read(lsn));
    wal.close().unwrap();

    let wal = open_with(&storage);
    same_one_by_one(&expected, |lsn| wal.read(lsn));
    wal.rotate().unwrap();
    same_one_by_one(&expected, |lsn| wal.read(lsn));
    let reader = try_open_read_only(&storage.files()).unwrap();
    same_one_by_one(&expected, |lsn| reader.read(lsn));
}

/// Reading begins at every record, not only where a segment does.
#[test]
fn an_iterator_may_begin_anywhere() {
    let storage = TestStorage::new();
    let wal = open_with(&storage);
    write_all_kinds(&wal);
    let end = wal.next_lsn();
    let expected = in_order(wal.iter(), end);
    wal.close().unwrap();
    let reader = try_open_read_only(&storage.files()).unwrap();
    for begin in (0..end.0).step_by(37) {
        let behind = expected[begin as usize..].iter().flatten().take(20);
        let found: Vec<_> = reader.iter_from(Lsn(begin)).take(20).collect();
        assert!(
            found.iter().flatten().eq(behind),
            "from {begin}: {:?}",
            found.first()
        );
    }
}

#[test]
fn a_lent_record_is_the_same_as_a_kept_one() {
    let storage = TestStorage::new();
    let wal = open_with(&storage);
    write_all_kinds(&wal);
    wal.sync().unwrap();
    let mut lent = wal.iter();
    for kept in wal.iter() {
        let kept = kept.unwrap();
        let lent = lent.next_ref().unwrap().unwrap();
        assert_eq!((lent.lsn(), lent.payload()), (kept.lsn(), kept.payload()));
    }
    assert!(lent.next_ref().is_none());
    wal.append(b"later").unwrap();
    let later = lent.next_ref().unwrap().unwrap();
    assert_eq!(later.payload(), b"later", "it goes on");
}

/// Three segments of which the first has damage in one place.
fn with_damage(at: impl Fn(&mut [u8])) -> (Vec<Vec<u8>>, Wal) {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 60);
    let whole = payloads(wal.iter());
    wal.rotate().unwrap();
    append(&wal, 60, 61);
    wal.close().unwrap();
    let mut files = storage.files();
    let first = files.keys().min().unwrap().clone();
    assert_ne!(first, newest(&files));
    at(files.get_mut(&first).unwrap());
    (whole, try_open(&files).unwrap())
}

/// Where record `lsn` of the first segment lies.
fn position_of(lsn: u64) -> usize {
    let cells = (0..lsn).map(|lsn| 16 + payload(lsn).len().next_multiple_of(8));
    8192 + cells.sum::<usize>()
}

/// The damaged record is never shown, and takes no other one with it: what lies
/// behind it is found by its own checksum.
#[test]
fn a_damaged_payload_costs_one_record() {
    let position = position_of(40);
    let (whole, wal) = with_damage(|file| file[position + 20] ^= 1);
    for lsn in (0..60).rev() {
        match wal.read(Lsn(lsn)) {
            Ok(record) => {
                assert_ne!(lsn, 40, "INV-W3");
                assert_eq!(record.unwrap().payload(), whole[lsn as usize]);
            }
            Err(ReadError::Damaged(damage)) => {
                assert_eq!((lsn, damage.lsn), (40, Some(Lsn(40))));
                assert_eq!(damage.position, position as u64);
            }
            Err(other) => panic!("{lsn}: {other}"),
        }
    }
    let behind: Vec<_> = wal.iter_from(Lsn(41)).take(19).collect();
    assert!(
        behind.iter().all(Result::is_ok),
        "it can be asked for by number"
    );
}

/// Whatever the lengths say that lead there. `INV-W11`
#[test]
fn no_flipped_bit_brings_back_a_wrong_record() {
    for record in [3, 40] {
        for bit in 0..16 * 8 {
            let position = position_of(record) + bit / 8;
            let (whole, wal) = with_damage(|file| file[position] ^= 1 << (bit % 8));
            for lsn in [0, 2, 3, 4, 20, 39, 40, 41, 59] {
                match wal.read(Lsn(lsn)) {
                    Ok(found) => {
                        assert_ne!(lsn, record, "bit {bit}");
                        assert_eq!(found.unwrap().payload(), whole[lsn as usize], "bit {bit}");
                    }
                    Err(ReadError::Damaged(_)) => assert!(lsn >= record, "bit {bit}: {lsn}"),
                    Err(other) => panic!("bit {bit}: {other}"),
                }
            }
        }
    }
}

#[test]
fn what_was_dropped_is_said_to_be_gone() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 30);
    wal.rotate().unwrap();
    append(&wal, 30, 40);
    assert_eq!(wal.read(Lsn(3)).unwrap().unwrap().payload(), payload(3));
    assert_eq!(wal.checkpoint(Lsn(30)).unwrap(), 1);
    let gone = wal.read(Lsn(3)).unwrap_err();
    assert!(
        matches!(
            gone,
            ReadError::Truncated {
                requested: Lsn(3),
                first: Lsn(30)
            }
        ),
        "{gone}"
    );
    assert_eq!(wal.read(Lsn(30)).unwrap().unwrap().payload(), payload(30));
}

/// A record is right, or gone, or not there yet: also while segments are
/// sealed, leave memory and are dropped.
#[test]
fn readers_beside_a_writer_and_a_checkpoint_find_the_right_record() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2_u64 {
            let (wal, done) = (&wal, &done);
            scope.spawn(move || {
                let mut seed = reader + 1;
                while !done.load(Ordering::Relaxed) {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (first, end) = (wal.first_lsn().0, wal.next_lsn().0);
                    let lsn = first + (seed >> 33) % (end - first + 2);
                    match wal.read(Lsn(lsn)) {
                        Ok(Some(record)) => assert_eq!(record.payload(), payload(lsn)),
                        Ok(None) => assert!(lsn >= end, "{lsn} was published"),
                        Err(ReadError::Truncated { first, .. }) => assert!(first.0 > lsn),
                        Err(other) => panic!("{lsn}: {other}"),
                    }
                }
            });
        }
        for lsn in 0..6000 {
            append(&wal, lsn, lsn + 1);
            if lsn % 500 == 499 {
                wal.flush().unwrap();
                wal.checkpoint(Lsn(lsn.saturating_sub(1500))).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Frames that look as if they had the same length, and do not. `INV-W11`
#[test]
fn a_guess_that_is_wrong_costs_a_longer_way() {
    let storage = TestStorage::new();
    let wal = open_with(&storage);
    // Of sixteen frames the last makes up for what the others lack.
    for round in 0..4000_u64 {
        let length = if round % 16 == 15 { 360 } else { 232 };
        wal.append(&vec![round as u8; length]).unwrap();
    }
    wal.sync().unwrap();
    let expected = in_order(wal.iter(), wal.next_lsn());
    same_one_by_one(&expected, |lsn| wal.read(lsn));
    let reader = try_open_read_only(&storage.files()).unwrap();
    same_one_by_one(&expected, |lsn| reader.read(lsn));
}
