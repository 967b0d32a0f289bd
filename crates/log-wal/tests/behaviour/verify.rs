//! Every frame of a log that is large enough for several threads.

use std::sync::Arc;

use crate::common::{Files, newest};
use crate::support::TestStorage;
use log_wal::{Damage, Lsn, OpenError, Verify, Wal, WalOptions, WalReader};

const SEGMENT_BYTES: u64 = 4 << 20;

fn options(verify: Verify) -> WalOptions {
    WalOptions::default()
        .segment_bytes(SEGMENT_BYTES)
        .verify(verify)
}

/// Some five segments; records shorter and longer than what is read at a time.
fn large_log() -> (Files, u64) {
    let storage = TestStorage::new();
    let wal = Wal::with_storage(Arc::new(storage.clone()), options(Verify::Tail)).unwrap();
    let lengths = [0, 1, 300, 40_000, 127 << 10, 128 << 10, 129 << 10, 700_000];
    let mut records = 0;
    while wal.sealed().len() < 4 {
        let length = lengths[records as usize % lengths.len()];
        wal.append(&vec![records as u8; length]).unwrap();
        records += 1;
        if records % 8 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.append(b"in the newest").unwrap();
    wal.close().unwrap();
    (storage.files(), records + 1)
}

fn open_all(files: &Files) -> Result<Wal, OpenError> {
    let storage = TestStorage::with_files(files.clone());
    Wal::with_storage(Arc::new(storage), options(Verify::All))
}

fn reader(files: &Files) -> WalReader {
    WalReader::with_storage(Arc::new(TestStorage::with_files(files.clone()))).unwrap()
}

fn flip(files: &mut Files, name: &str, at: usize) {
    files.get_mut(name).unwrap()[at] ^= 0x10;
}

fn damage_of(opened: Result<Wal, OpenError>) -> Damage {
    match opened {
        Err(OpenError::Damaged(damage)) => damage,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_sound_log_is_found_sound_and_counted() {
    let (files, records) = large_log();
    assert_eq!(open_all(&files).unwrap().next_lsn(), Lsn(records));
    let report = reader(&files).verify();
    assert_eq!(report.damage, []);
    assert_eq!((report.records, report.segments), (records, 5));
}

#[test]
fn of_several_damages_the_earliest_refuses_and_all_are_listed_in_order() {
    let (mut files, _) = large_log();
    let names: Vec<_> = files.keys().cloned().collect();
    for (segment, at) in [(3, 9000), (1, 3_000_000), (2, 8192)] {
        flip(&mut files, &names[segment], at);
    }
    for _ in 0..5 {
        let damage = damage_of(open_all(&files));
        assert!(damage.path.ends_with(&names[1]), "{damage}");
        assert!(damage.position <= 3_000_000, "{damage}");
        let found = reader(&files).verify().damage;
        let damaged: Vec<_> = found.iter().map(|damage| damage.path.clone()).collect();
        let expected = names[1..4]
            .iter()
            .map(|name| damaged[0].with_file_name(name));
        assert_eq!(damaged, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (files, _) = large_log();
    let names: Vec<_> = files.keys().cloned().collect();
    let sealed = &names[..names.len() - 1];
    for step in 0..24 {
        let name = &sealed[step % sealed.len()];
        // The padding behind the seal is no part of the log: stay in front.
        let at = 8192 + step * 100_003 % 3_000_000;
        let mut damaged = files.clone();
        flip(&mut damaged, name, at);
        let damage = damage_of(open_all(&damaged));
        assert!(damage.path.ends_with(name), "byte {at}: {damage}");
        let frame = damage.position as usize..damage.position as usize + 700_016;
        assert!(frame.contains(&at), "byte {at}: {damage}");
    }
    assert_ne!(newest(&files), sealed[0]);
}
