//! What can be appended, and under which codec it comes back.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::{Coded, append, count_of_prefix, payload, payloads};
use crate::support::{TestStorage, open};
use log_wal::{Codec, Iter, Level, Lsn, Parts, Payload, Record, Storage, Wal, WalReader};

fn records(iter: Iter) -> Vec<Record> {
    iter.map(|record| record.expect("readable")).collect()
}

/// Looks at the same log in memory, in files, and after it was opened again.
fn everywhere(storage: &TestStorage, wal: Wal, check: impl Fn(Iter)) {
    check(wal.iter());
    wal.flush().unwrap();
    check(
        WalReader::with_storage(std::sync::Arc::new(storage.clone()))
            .unwrap()
            .iter(),
    );
    wal.close().unwrap();
    check(open(storage).iter());
}

#[test]
fn a_record_keeps_its_codec_in_memory_in_files_and_through_recovery() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    for codec in 0..0x80 {
        wal.append_payload(&Coded(codec, &[codec; 9])).unwrap();
    }
    let batch = [Coded(3, b"three"), Coded(0, b"plain"), Coded(0x7F, b"")];
    assert_eq!(wal.append_batch(&batch).unwrap(), Lsn(128)..Lsn(131));
    everywhere(&storage, wal, |iter| {
        let found = records(iter);
        assert_eq!(found.len(), 131);
        for (codec, record) in found[..128].iter().enumerate() {
            assert_eq!(usize::from(record.codec().number()), codec);
            assert_eq!(record.payload(), [codec as u8; 9]);
        }
        let codecs = found[128..].iter().map(|it| it.codec().number());
        assert_eq!(codecs.collect::<Vec<_>>(), [3, 0, 0x7F]);
    });
}

#[test]
fn what_is_appended_as_bytes_is_plain() {
    let wal = open(&TestStorage::new());
    wal.append(b"slice").unwrap();
    wal.append_payload(&vec![1, 2]).unwrap();
    wal.append_in_place(3, |place| place.fill(7)).unwrap();
    wal.append_batch(&[b"one", b"two"]).unwrap();
    wal.append_vectored(&[b"a", b"b"]).unwrap();
    let found = records(wal.iter());
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|it| it.codec() == Codec::PLAIN));
}

#[test]
fn parts_become_one_record_without_a_gap() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    let whole = payload(96);
    wal.append_vectored(&[]).unwrap();
    for cut in 0..whole.len() {
        let (front, behind) = whole.split_at(cut);
        wal.append_vectored(&[front, b"", behind]).unwrap();
    }
    wal.append_batch(&[Parts(&[b"a", b"b"]), Parts(&[b"c"])])
        .unwrap();
    everywhere(&storage, wal, |iter| {
        let found = payloads(iter);
        assert_eq!(found[0], b"");
        assert!(found[1..=whole.len()].iter().all(|it| *it == whole));
        assert_eq!(found[whole.len() + 1..], [b"ab".to_vec(), b"c".to_vec()]);
    });
}

#[test]
fn parts_that_are_too_long_together_are_refused() {
    let wal = open(&TestStorage::new());
    let part = vec![0; 1 << 27];
    let refused = wal.append_vectored(&[&part, &part]);
    assert!(matches!(refused, Err(log_wal::AppendError::TooLong { .. })));
    assert_eq!(wal.next_lsn(), Lsn(0));
}

#[test]
fn an_append_has_reached_its_level_when_it_returns() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    let lsn = wal.append_to(Level::Published, b"seen").unwrap();
    // At once, where the memory is the file.
    let written = Lsn(storage.is_mapped().into());
    assert_eq!((lsn, wal.watermarks().written_end), (Lsn(0), written));
    wal.append_to(Level::Written, b"survives the process")
        .unwrap();
    let ends = wal.watermarks();
    assert_eq!(
        (ends.written_end, ends.durable_end),
        (Lsn(2), Lsn(0)),
        "INV-F1"
    );
    let batch = [payload(2), payload(3)];
    wal.append_batch_to(Level::Durable, &batch).unwrap();
    assert_eq!(wal.watermarks().durable_end, Lsn(4), "INV-F1");
}

/// Panics, or says another length, when it is to be copied.
enum Bad {
    Not(Vec<u8>),
    Panics,
    Grows(Cell<usize>),
    Shrinks(Cell<usize>),
}

impl Payload for Bad {
    fn len_bytes(&self) -> usize {
        match self {
            Self::Not(bytes) => bytes.len(),
            Self::Panics => 40,
            Self::Grows(bytes) => bytes.replace(bytes.get() + 16),
            Self::Shrinks(bytes) => bytes.replace(bytes.get() - 16),
        }
    }

    fn copy_to(&self, place: &mut [u8]) {
        match self {
            Self::Not(bytes) => place.copy_from_slice(bytes),
            Self::Panics => panic!("injected"),
            Self::Grows(_) | Self::Shrinks(_) => place.fill(0xEE),
        }
    }
}

#[test]
fn a_payload_that_panics_or_lies_leaves_numbers_without_records_and_a_sound_log() {
    let bad: [fn() -> Bad; 3] = [
        || Bad::Panics,
        || Bad::Grows(Cell::new(100)),
        || Bad::Shrinks(Cell::new(100)),
    ];
    for bad in bad {
        let storage = TestStorage::new();
        let wal = open(&storage);
        append(&wal, 0, 3);
        wal.sync().unwrap(); // so that a mark comes along
        let batch = [Bad::Not(vec![1; 9]), bad(), Bad::Not(vec![2; 9])];
        let appended = catch_unwind(AssertUnwindSafe(|| wal.append_batch(&batch)));
        assert!(appended.is_err());
        assert_eq!(wal.append(b"behind").unwrap(), Lsn(6), "three are taken");
        everywhere(&storage, wal, |iter| {
            let lsns: Vec<_> = records(iter).iter().map(|it| it.lsn().0).collect();
            assert_eq!(lsns, [0, 1, 2, 6], "INV-W3: of the batch nothing");
        });
    }
}

#[test]
fn a_single_payload_that_panics_holds_nobody_up() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 3);
    let appended = catch_unwind(AssertUnwindSafe(|| wal.append_payload(&Bad::Panics)));
    assert!(appended.is_err());
    everywhere(&storage, wal, |iter| assert_eq!(count_of_prefix(iter), 3));
}
