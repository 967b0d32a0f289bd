//! Reading backwards, and in slices.

use std::fs;

use crate::support::{Readable, dense, make, options, payload, segment_paths};
use log_mmap::{Lsn, ReadError, Reader, Store};
use log_wal::Wal;

fn lsns(log: &impl Readable, first: u64, end: u64) -> Vec<u64> {
    let records = log.range(Lsn(first)..Lsn(end)).rev();
    let lsn_of = |record: Result<log_mmap::Record, ReadError>| {
        let record = record.unwrap();
        assert_eq!(record.payload(), payload(record.lsn().0));
        record.lsn().0
    };
    records.map(lsn_of).collect()
}

#[test]
fn what_is_read_backwards_is_what_is_read_forwards_the_other_way_round() {
    for interval_bytes in [0, 300, 4096] {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path(), options(interval_bytes), 4, 130);
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        for lsn in 520..600 {
            store.append(&payload(lsn)).unwrap();
        }
        store.flush().unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        for (first, end) in [
            (0, u64::MAX),
            (0, 600),
            (129, 131),
            (7, 8),
            (7, 7),
            (8, 7),
            (590, 700),
        ] {
            let forwards: Vec<_> = (first..end.min(600)).rev().collect();
            assert_eq!(lsns(&store, first, end), forwards, "{first}..{end}");
            assert_eq!(lsns(&reader, first, end), forwards, "{first}..{end}");
        }
    }
}

#[test]
fn both_ends_meet_and_show_each_record_once() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 50);
    let store = Store::open(directory.path(), dense()).unwrap();
    for turn in 1..5 {
        let mut records = store.iter();
        let mut seen = Vec::new();
        for step in 0.. {
            let record = match step % turn {
                0 => records.next_back(),
                _ => records.next(),
            };
            let Some(record) = record else { break };
            seen.push(record.unwrap().lsn().0);
        }
        assert!(records.next().is_none() && records.next_back().is_none());
        seen.sort_unstable();
        assert_eq!(
            seen,
            (0..150).collect::<Vec<_>>(),
            "every {turn}th from the back"
        );
    }
}

#[test]
fn the_first_step_back_settles_where_the_end_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    store.append(&payload(0)).unwrap();
    let mut records = store.iter();
    store.append(&payload(1)).unwrap();
    assert_eq!(records.next_back().unwrap().unwrap().lsn(), Lsn(1));
    store.append(&payload(2)).unwrap();
    assert_eq!(records.next().unwrap().unwrap().lsn(), Lsn(0));
    assert!(records.next().is_none(), "the last one was handed out");
    assert!(records.next_back().is_none());
}

#[test]
fn going_back_beyond_the_first_record_ends_with_where_the_log_begins() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_eq!(store.drop_before(Lsn(25)).unwrap(), 1);
    let mut records = store.range(Lsn(0)..Lsn(23)).rev();
    for lsn in [22, 21, 20] {
        assert_eq!(records.next().unwrap().unwrap().lsn(), Lsn(lsn));
    }
    match records.next() {
        Some(Err(ReadError::Truncated { requested, first })) => {
            assert_eq!((requested, first), (Lsn(19), Lsn(20)));
        }
        other => panic!("{other:?}"),
    }
    assert!(records.next().is_none());
}

#[test]
fn numbers_that_were_given_up_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open(directory.path()).unwrap();
    for lsn in 0..60_u64 {
        if lsn % 3 == 0 || (20..45).contains(&lsn) {
            let give_up = || wal.append_in_place(4, |_| panic!("given up by the test"));
            let given_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(give_up));
            assert!(given_up.is_err());
        } else {
            wal.append(&payload(lsn)).unwrap();
        }
        if lsn == 40 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    let kept = (0..60).filter(|lsn| lsn % 3 != 0 && !(20..45).contains(lsn));
    assert_eq!(lsns(&store, 0, 60), kept.rev().collect::<Vec<_>>());
    for lsn in [0, 30, 42] {
        assert_eq!(store.read(Lsn(lsn)).unwrap(), None, "{lsn}");
    }
}

#[test]
fn damage_is_met_behind_everything_that_lies_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 2, 100);
    let segment = segment_paths(directory.path()).remove(0);
    let index = segment.with_extension("index");
    let units = fs::read(index).unwrap()[64 + 8 * 40 + 4..][..4]
        .try_into()
        .unwrap();
    let position = 8 * u32::from_le_bytes(units) as usize;
    let mut file = fs::read(&segment).unwrap();
    file[position + 9] ^= 1;
    fs::write(&segment, file).unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    let mut records = store.iter().rev();
    for lsn in (41..200).rev() {
        assert_eq!(records.next().unwrap().unwrap().lsn(), Lsn(lsn));
    }
    match records.next() {
        Some(Err(ReadError::Damaged(damage))) => {
            assert_eq!(
                (damage.lsn, damage.position),
                (Some(Lsn(40)), position as u64)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(records.next().is_none(), "the last item");
    assert_eq!(lsns(&store, 0, 40).len(), 40, "going on in front of it");

    let slice = store.read_slice(Lsn(30), None).unwrap();
    assert_eq!((slice.records.len(), slice.next_lsn), (10, Lsn(40)));
    let error = store.read_slice(slice.next_lsn, None).unwrap_err();
    assert!(matches!(error, ReadError::Damaged(_)), "{error}");
}

#[test]
fn slices_lead_through_the_log_and_say_where_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    for limit in [1, 7, 20, 60, 100] {
        let (mut at, mut seen) = (Lsn(0), 0);
        loop {
            let slice = store.read_slice(at, limit).unwrap();
            assert!(slice.records.len() <= limit);
            for record in &slice.records {
                assert_eq!(record.payload(), payload(seen));
                seen += 1;
            }
            assert_eq!(slice.next_lsn, Lsn(seen));
            if slice.records.is_empty() {
                break;
            }
            at = slice.next_lsn;
        }
        assert_eq!(seen, 60, "limit {limit}");
    }
    assert_eq!(store.read_slice(Lsn(0), None).unwrap().records.len(), 60);
    let nothing = store.read_slice(Lsn(5), 0).unwrap();
    assert_eq!((nothing.records.len(), nothing.next_lsn), (0, Lsn(5)));
    for beyond in [60, 61, 1000, u64::MAX] {
        let slice = store.read_slice(Lsn(beyond), None).unwrap();
        assert!(slice.records.is_empty());
        assert_eq!(slice.next_lsn, Lsn(60), "the end, and not {beyond}");
    }
}
