//! A log whose storage provides the memory of its segments: what is published
//! is written.

mod common;

use std::sync::Arc;
use std::thread;

use common::mapped::MappedMemory;
use common::{append, count_of_prefix, newest, payload, small};
use log_wal::format::Header;
use log_wal::{Level, Lsn, OpenError, TailState, Wal, WalReader};

fn try_open(storage: &MappedMemory) -> Result<Wal, OpenError> {
    Wal::with_storage(Arc::new(storage.clone()), small())
}

fn open(storage: &MappedMemory) -> Wal {
    try_open(storage).expect("the log opens")
}

/// The process dies: what was not written is gone.
fn kill(storage: &MappedMemory, wal: Wal) -> MappedMemory {
    let left = MappedMemory::with_files(storage.files());
    drop(wal);
    left
}

#[test]
fn what_is_published_survives_the_death_of_the_process() {
    let storage = MappedMemory::default();
    let wal = open(&storage);
    for lsn in 0..700 {
        append(&wal, lsn, lsn + 1);
        assert_eq!(wal.watermarks().written_end, Lsn(lsn + 1));
        if lsn % 13 == 0 {
            let found = open(&MappedMemory::with_files(storage.files()));
            assert_eq!(count_of_prefix(found.iter()), lsn + 1, "INV-W3");
        }
    }
    assert!(wal.stats().rotations > 2);
    assert_eq!(wal.flush().unwrap(), Lsn(700));
    let found = open(&kill(&storage, wal));
    assert_eq!(count_of_prefix(found.iter()), 700);
    append(&found, 700, 900);
    assert_eq!(count_of_prefix(found.iter()), 900, "it goes on");
}

#[test]
fn nothing_is_appended_before_the_file_has_its_name_and_its_predecessor_its_seal() {
    let storage = MappedMemory::default();
    let wal = open(&storage);
    append(&wal, 0, 100);
    assert!(wal.rotate().unwrap() && !wal.rotate().unwrap());
    append(&wal, 100, 101);
    let files = storage.files();
    let headers: Vec<_> = files.values().map(|bytes| Header::decode(bytes)).collect();
    let headers: Vec<_> = headers.into_iter().map(Result::unwrap).collect();
    assert_eq!(headers.len(), 2);
    assert_eq!(headers[1].base, Lsn(100));
    let reader = WalReader::with_storage(Arc::new(storage.clone())).unwrap();
    assert_eq!(reader.next_lsn(), Lsn(101), "without a flush");
    assert_eq!(reader.sealed().len(), 1, "INV-W2");
    assert!(reader.verify().damage.is_empty());
}

#[test]
fn the_catalog_and_memory_show_each_record_once() {
    let storage = MappedMemory::default();
    let wal = open(&storage);
    for round in 0..30 {
        append(&wal, round * 40, round * 40 + 40);
        assert_eq!(count_of_prefix(wal.iter()), round * 40 + 40);
        let segments = wal.segments();
        for pair in segments.windows(2) {
            assert_eq!(pair[0].end, pair[1].base, "INV-M4");
        }
        if round % 3 == 0 {
            wal.commit(Lsn(round * 40), Level::Durable).unwrap();
        }
    }
    let held: Vec<_> = wal.iter_from(Lsn(600)).take(400).collect();
    wal.sync().unwrap();
    let dropped = wal.checkpoint(Lsn(1100)).unwrap();
    assert!(dropped > 2);
    append(&wal, 1200, 2400);
    for (lsn, record) in (600..).zip(held) {
        assert_eq!(record.unwrap().payload(), payload(lsn), "INV-M5");
    }
}

#[test]
fn threads_append_across_rotations() {
    const RECORDS: u64 = 400;
    let storage = MappedMemory::default();
    let wal = open(&storage);
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            let wal = &wal;
            scope.spawn(move || {
                for record in 0..RECORDS {
                    let level = match record % 50 {
                        0 => Level::Durable,
                        _ => Level::Published,
                    };
                    let lsn = wal.append(&[thread; 90]).unwrap();
                    wal.commit(Lsn(lsn.0 + 1), level).unwrap();
                }
            });
        }
    });
    let found = open(&kill(&storage, wal));
    assert_eq!(found.next_lsn(), Lsn(4 * RECORDS), "INV-C1");
    let mut counts = [0; 4];
    for record in found.iter() {
        counts[usize::from(record.unwrap().payload()[0])] += 1;
    }
    assert_eq!(counts, [RECORDS; 4]);
}

#[test]
fn behind_a_torn_tail_it_goes_on_in_a_new_file() {
    let storage = MappedMemory::default();
    let wal = open(&storage);
    append(&wal, 0, 40);
    let mut files = storage.files();
    drop(wal);
    let name = common::newest(&files);
    let used = files[&name].iter().rposition(|byte| *byte != 0).unwrap();
    files.get_mut(&name).unwrap()[used - 100..].fill(0);
    let storage = MappedMemory::with_files(files);
    let wal = open(&storage);
    assert!(matches!(wal.report().tail, TailState::Truncated { .. }));
    let kept = wal.next_lsn().0;
    assert!(kept < 40);
    append(&wal, kept, 300);
    let found = open(&kill(&storage, wal));
    assert_eq!(found.report().tail, TailState::Clean, "INV-W8");
    assert_eq!(count_of_prefix(found.iter()), 300);
}

#[test]
fn a_truncated_log_goes_on_in_the_memory_of_a_file() {
    let storage = MappedMemory::default();
    let mut wal = open(&storage);
    append(&wal, 0, 500);
    wal.truncate_after(Lsn(123)).unwrap();
    append(&wal, 123, 321);
    let found = open(&kill(&storage, wal));
    assert_eq!(count_of_prefix(found.iter()), 321, "INV-W8");
}

/// The newest segment, which was populated whole, in pieces.
fn check_populated(storage: &MappedMemory, segment_bytes: u64) -> String {
    let name = newest(&storage.files());
    let (end, longest) = storage.populated(&name);
    let missing = segment_bytes - end;
    assert!(
        missing < 4096,
        "{missing} bytes of {name} are not populated"
    );
    assert!(longest <= segment_bytes / 4, "{longest} at a time");
    name
}

#[test]
fn memory_is_populated_before_a_rotation_needs_it_in_new_files_and_used_ones() {
    const SEGMENT_BYTES: u64 = 1 << 20;
    let storage = MappedMemory::default();
    let options = small().spare_segments_max(1).segment_bytes(SEGMENT_BYTES);
    let wal = Wal::with_storage(Arc::new(storage.clone()), options).unwrap();
    append(&wal, 0, 10);
    assert!(wal.prepare().unwrap() && !wal.prepare().unwrap());
    wal.rotate().unwrap();
    append(&wal, 10, 20);
    let first = check_populated(&storage, SEGMENT_BYTES);
    // The memory of the newest sealed one may not be given back yet.
    wal.rotate().unwrap();
    append(&wal, 20, 30);
    assert!(wal.checkpoint(Lsn(20)).unwrap() > 0);
    assert!(!wal.prepare().unwrap(), "a dropped file is there");
    wal.rotate().unwrap();
    append(&wal, 30, 40);
    let second = check_populated(&storage, SEGMENT_BYTES);
    assert_ne!(first, second);
    let header = Header::decode(&storage.files()[&second]).unwrap();
    assert!(header.recycled);
}

#[test]
fn who_leads_groups_populates_memory_piece_by_piece() {
    const SEGMENT_BYTES: u64 = 1 << 20;
    let storage = MappedMemory::default();
    let options = small().spare_segments_max(1).segment_bytes(SEGMENT_BYTES);
    let wal = Wal::with_storage(Arc::new(storage.clone()), options).unwrap();
    let mut lsn = 0;
    while wal.stats().rotations == 0 {
        wal.append(&[7; 8000]).unwrap();
        wal.sync().unwrap();
        lsn += 1;
    }
    assert!(lsn > 100);
    check_populated(&storage, SEGMENT_BYTES);
}
