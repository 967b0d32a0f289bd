//! Taking records out of sealed segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::{Files, append, payload, small};
use crate::support::{TestStorage, open};
use log_wal::storage::sim::{Chance, SimStorage};
use log_wal::{Lsn, Storage, Verify, Wal, WalReader};

const RECORDS: u64 = 1000;

/// Of the sealed ones every seventh stays.
fn stays(lsn: u64) -> bool {
    lsn % 7 == 3
}

fn records(iter: log_wal::Iter) -> BTreeMap<u64, Vec<u8>> {
    let records = iter.map(|record| record.expect("readable"));
    records
        .map(|record| (record.lsn().0, record.payload().to_vec()))
        .collect()
}

/// Compacts every sealed segment, and says where the last of them ends.
fn compact(wal: &Wal) -> Lsn {
    let sealed = wal.sealed();
    for segment in &sealed {
        let done = wal.compact_sealed(segment, |record| stays(record.lsn().0));
        let done = done.unwrap().unwrap();
        let records = segment.end.distance_from(segment.base).unwrap();
        assert_eq!(done.kept_records + done.dropped_records, records);
    }
    sealed.last().unwrap().end
}

fn expected(compacted_end: Lsn, count: u64) -> BTreeMap<u64, Vec<u8>> {
    (0..count)
        .filter(|lsn| *lsn >= compacted_end.0 || stays(*lsn))
        .map(|lsn| (lsn, payload(lsn)))
        .collect()
}

fn check_whole(files: &Files, expected: &BTreeMap<u64, Vec<u8>>) {
    let storage = Arc::new(TestStorage::with_files(files.clone()));
    let reader = WalReader::with_storage(storage.clone()).unwrap();
    assert_eq!(&records(reader.iter()), expected);
    let report = reader.verify();
    assert_eq!(report.damage, []);
    assert_eq!(report.records, expected.len() as u64);
    let numbers = reader.next_lsn().0 - reader.first_lsn().0;
    assert_eq!(report.voids, numbers - report.records, "none is lost");
    let wal = Wal::with_storage(storage, small().verify(Verify::All)).unwrap();
    assert_eq!(&records(wal.iter()), expected);
}

#[test]
fn what_stays_keeps_its_number_and_the_rest_has_none() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, RECORDS);
    wal.sync().unwrap();
    let before: Vec<_> = wal.sealed();
    let held: Vec<_> = wal.iter().map(Result::unwrap).collect();
    for lsn in 0..RECORDS {
        wal.read(Lsn(lsn)).unwrap();
    }
    let end = compact(&wal);
    assert_eq!(wal.sealed(), before, "it describes both files");
    let expected = expected(end, RECORDS);
    assert_eq!(records(wal.iter()), expected);
    for lsn in 0..RECORDS {
        let found = wal.read(Lsn(lsn)).unwrap();
        let found = found.map(|record| record.payload().to_vec());
        assert_eq!(found.as_ref(), expected.get(&lsn), "record {lsn}");
        let rest: Vec<_> = expected.range(lsn..).take(3).map(|(lsn, _)| *lsn).collect();
        let behind = wal.iter_from(Lsn(lsn)).take(3);
        let behind: Vec<_> = behind.map(|it| it.unwrap().lsn().0).collect();
        assert_eq!(behind, rest, "from {lsn}");
    }
    for record in held {
        assert_eq!(record.payload(), payload(record.lsn().0), "INV-C4");
    }
    wal.close().unwrap();
    check_whole(&storage.files(), &expected);
}

#[test]
fn a_compacted_segment_can_be_compacted_dropped_and_truncated() {
    let storage = TestStorage::new();
    let mut wal = open(&storage);
    append(&wal, 0, RECORDS);
    wal.sync().unwrap();
    let end = compact(&wal);
    for segment in wal.sealed() {
        let again = wal.compact_sealed(&segment, |_| true).unwrap();
        assert_eq!(again, None, "nothing to take out");
        wal.compact_sealed(&segment, |record| record.lsn().0 % 2 == 0)
            .unwrap();
    }
    let mut expected = expected(end, RECORDS);
    expected.retain(|lsn, _| *lsn >= end.0 || lsn % 2 == 0);
    assert_eq!(records(wal.iter()), expected);
    // Cut at a number that has no record any more, and before one that has.
    for cut in [701, 600, 598] {
        wal.truncate_after(Lsn(cut)).unwrap();
        expected.retain(|lsn, _| *lsn < cut);
        assert_eq!(
            (wal.next_lsn(), &records(wal.iter())),
            (Lsn(cut), &expected)
        );
    }
    wal.checkpoint(Lsn(300)).unwrap();
    let first = wal.first_lsn();
    expected.retain(|lsn, _| *lsn >= first.0);
    wal.close().unwrap();
    check_whole(&storage.files(), &expected);
}

#[test]
fn a_segment_that_was_dropped_is_not_written_again() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, RECORDS);
    wal.sync().unwrap();
    let oldest = wal.sealed().remove(0);
    let mut is_first = true;
    let done = wal.compact_sealed(&oldest, |_| {
        if std::mem::take(&mut is_first) {
            wal.checkpoint(oldest.end).unwrap();
        }
        false
    });
    assert_eq!(done.unwrap(), None);
    assert_eq!(wal.compact_sealed(&oldest, |_| false).unwrap(), None);
    assert_eq!(wal.first_lsn(), oldest.end);
    let left_over = storage.files().keys().any(|name| name.ends_with(".new"));
    assert!(!left_over);
}

#[test]
fn a_damaged_segment_is_left_as_it_is() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, RECORDS);
    wal.close().unwrap();
    let mut files = storage.files();
    let oldest = files.keys().next().unwrap().clone();
    files.get_mut(&oldest).unwrap()[9000] ^= 1;
    let storage = TestStorage::with_files(files.clone());
    let wal = open(&storage);
    let segment = wal.sealed().remove(0);
    assert!(wal.compact_sealed(&segment, |_| false).is_err());
    assert_eq!(storage.files()[&oldest], files[&oldest], "INV-W12");
}

#[test]
fn damage_in_a_compacted_segment_takes_no_number_that_had_no_record() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, RECORDS);
    wal.sync().unwrap();
    let end = compact(&wal);
    wal.close().unwrap();
    let mut files = storage.files();
    let oldest = files.keys().next().unwrap().clone();
    // The payload of record 10, which stays, behind that of record 3.
    let needle = b"record 10 ";
    let bytes = files.get_mut(&oldest).unwrap();
    let at = bytes.windows(needle.len()).position(|it| it == needle);
    bytes[at.unwrap()] ^= 1;
    let storage = Arc::new(TestStorage::with_files(files));
    let salvage = log_wal::Salvage::with_storage(storage).unwrap();
    let report = salvage.report();
    let mut left = expected(end, RECORDS);
    left.remove(&10);
    assert_eq!(report.records, left.len() as u64);
    assert_eq!(report.damage.len(), 1);
    let lost = report.damage[0].lost.as_ref().unwrap();
    assert_eq!(
        (report.damage[0].lsn, lost.end),
        (Some(Lsn(10)), Some(Lsn(11)))
    );
    assert_eq!(report.voids, RECORDS - report.records - 1);
    let found = salvage.iter().filter_map(Result::ok);
    assert!(found.map(|it| it.lsn().0).eq(left.into_keys()));
}

#[test]
fn after_power_loss_at_any_step_a_segment_is_the_old_one_or_the_new_one() {
    let mut seen = [0; 2];
    for seed in 0..200 {
        let disk = SimStorage::new(seed);
        let wal = Wal::with_storage(Arc::new(disk.clone()), small()).unwrap();
        append(&wal, 0, 200);
        wal.rotate().unwrap();
        let segment = wal.sealed().remove(0);
        let count = segment.end.0;
        let step = disk.steps() + seed % 20;
        disk.power_off_at(step);
        let done = wal.compact_sealed(&segment, |record| stays(record.lsn().0));
        let after = disk.power_loss(&mut Chance::seeded(seed));
        drop(wal);
        let options = small().verify(Verify::All);
        let wal = Wal::with_storage(Arc::new(after.clone()), options).unwrap();
        let mut found = records(wal.iter());
        found.retain(|lsn, _| *lsn < count);
        let is_new = found == expected(Lsn(count), count);
        let is_old = found == expected(Lsn(0), count);
        assert!(is_new || is_old, "INV-W12, seed {seed}");
        assert!(is_new || done.is_err(), "seed {seed}: it was durable");
        seen[usize::from(is_new)] += 1;
        let files = after.list().unwrap();
        let is_left_over = |it: &log_wal::storage::FoundFile| it.name.ends_with(".new");
        assert!(!files.iter().any(is_left_over), "opening tidies up");
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_compacted_file_takes_less_room_and_is_never_used_again() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    let options = log_wal::WalOptions::default().segment_bytes(1 << 20);
    let wal = Wal::open_with(directory.path(), options.clone()).unwrap();
    for lsn in 0..40_000_u64 {
        wal.append(&payload(lsn)).unwrap();
    }
    wal.sync().unwrap();
    let segment = wal.sealed().remove(0);
    let taken = || std::fs::metadata(&segment.path).unwrap().blocks() * 512;
    let before = taken();
    let done = wal
        .compact_sealed(&segment, |record| record.lsn().0 % 20 == 0)
        .unwrap()
        .unwrap();
    assert!(done.hole_bytes > 600_000, "{done:?}");
    assert!(before - taken() > 500_000, "{before} to {}", taken());
    wal.checkpoint(segment.end).unwrap();
    assert!(!segment.path.exists());
    for lsn in 0..40_000_u64 {
        wal.append(&payload(lsn)).unwrap();
    }
    wal.sync().unwrap();
    for segment in &wal.sealed()[..wal.sealed().len() - 1] {
        let file = std::fs::metadata(&segment.path).unwrap();
        assert!(file.blocks() * 512 >= segment.end_position, "no holes");
    }
}
