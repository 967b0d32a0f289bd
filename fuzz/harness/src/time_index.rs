//! Target `time_index`: whatever stands in place of a time index, the log
//! opens, every record is read as it was appended, and a moment leads to the
//! first record at or after it (`INV-M3`). The writer puts a good index in
//! place of one that cannot be used.
//!
//! With one exception, which nothing but looking at every record could find: a
//! whole index under a right checksum that says of this very segment what is
//! not so. It can hide records from a search by time. What is found is still at
//! or after the moment, and a check of the log says that the index contradicts
//! its segment.

use std::path::Path;
use std::sync::LazyLock;
use std::{io, ops::Range};

use log_mmap::{
    IndexState, Lsn, NewRecord, ReadError, Reader, Store, StoreOptions, Timestamp, WalOptions,
};
use serde::{Deserialize, Serialize};

use crate::index::{CRC, FIRST_ENTRY, INDEX_BYTES_MAX, Log, finish, put};
use crate::script::{self, Script};

const RECORDS: u64 = 60;
const ENTRY_BYTES: usize = 16;
/// Timestamps are below this.
const MOMENTS: u64 = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Four bytes become others.
    Put {
        at: u16,
        value: u32,
    },
    /// An entry says something else.
    Move {
        entry: u8,
        later: i8,
        ahead: i8,
        units: i8,
    },
    /// An entry is gone, with the count put right.
    Remove(u8),
    Cut(u16),
    Extend(Vec<u8>),
    /// Something else altogether.
    Bytes(Vec<u8>),
    /// There is no file.
    Missing,
    /// The checksum is made right.
    Forge,
    /// A writer opens the log too.
    Write,
}

static LOG: LazyLock<Log> = LazyLock::new(|| make_log().expect("a temporary directory works"));

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut index = Some(LOG.index_bytes().to_vec());
    let (mut is_forged, mut writes) = (false, false);
    for step in script::read(bytes) {
        match step {
            Step::Forge => is_forged = true,
            Step::Write => writes = true,
            Step::Missing => index = None,
            other => change(other, index.get_or_insert_default()),
        }
    }
    if let Some(index) = &mut index
        && is_forged
    {
        finish(index);
    }
    check(index.as_deref(), writes).expect("a temporary directory works");
}

/// In no order, some at the same moment, some at none that anybody knows.
fn timestamp(lsn: u64) -> Option<Timestamp> {
    (lsn % 5 != 2).then_some(Timestamp((lsn * 7 / 10 * 10 + lsn * 13 % 17) % MOMENTS))
}

fn payload(lsn: u64) -> Vec<u8> {
    vec![lsn as u8; (lsn * 37 % 90) as usize]
}

fn options() -> StoreOptions {
    let wal = WalOptions::default().segment_bytes(16 << 10);
    StoreOptions::default().wal(wal).index_interval_bytes(30)
}

fn make_log() -> io::Result<Log> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path(), options()).map_err(io::Error::other)?;
    for lsn in 0..RECORDS {
        if lsn == RECORDS - 10 {
            store.rotate().map_err(io::Error::other)?;
        }
        let payload = payload(lsn);
        let mut record = NewRecord::new(&payload);
        if let Some(timestamp) = timestamp(lsn) {
            record = record.timestamp(timestamp);
        }
        store.append_record(&record).map_err(io::Error::other)?;
    }
    store.close().map_err(io::Error::other)?;
    Log::read(directory.path(), ".timeindex")
}

fn change(step: Step, index: &mut Vec<u8>) {
    let entries = index.len().saturating_sub(FIRST_ENTRY) / ENTRY_BYTES;
    let place = |entry: u8| -> Option<Range<usize>> {
        let at = FIRST_ENTRY + ENTRY_BYTES * usize::from(entry).checked_rem(entries)?;
        Some(at..at + ENTRY_BYTES)
    };
    match step {
        Step::Put { at, value } => put(index, usize::from(at), |_| value),
        Step::Move {
            entry,
            later,
            ahead,
            units,
        } => {
            if let Some(place) = place(entry) {
                let by = |by: i8| move |old: u32| old.wrapping_add_signed(by.into());
                put(index, place.start, by(later));
                put(index, place.start + 8, by(ahead));
                put(index, place.start + 12, by(units));
            }
        }
        Step::Remove(entry) => {
            if let Some(place) = place(entry) {
                index.drain(place);
                put(index, CRC.start - 4, |count| count.wrapping_sub(1));
            }
        }
        Step::Cut(kept) => index.truncate(kept.into()),
        Step::Extend(bytes) => {
            index.extend(bytes);
            index.truncate(INDEX_BYTES_MAX);
        }
        Step::Bytes(bytes) => *index = bytes,
        Step::Missing | Step::Forge | Step::Write => {}
    }
}

fn check(index: Option<&[u8]>, writes: bool) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    LOG.write(directory.path(), index)?;
    let before = check_reader(directory.path());
    let left = LOG.index_in(directory.path());
    assert_eq!(left.as_deref(), index, "a reader writes nothing");
    if writes {
        let store = Store::open(directory.path(), options()).expect("an index decides nothing");
        check_answers(|moment| store.lsn_at_or_after(moment), before);
        drop(store);
        let after = check_reader(directory.path());
        let is_repaired = matches!(after, IndexState::Sound { .. });
        assert!(
            is_repaired || !matches!(before, IndexState::Unusable(_)),
            "{before} became {after}"
        );
    }
    Ok(())
}

fn check_reader(directory: &Path) -> IndexState {
    let reader = Reader::open(directory).expect("an index decides nothing");
    for (lsn, record) in (0..).zip(reader.iter()) {
        let record = record.expect("an index decides nothing");
        assert_eq!(record.lsn(), Lsn(lsn));
        assert_eq!(record.payload(), payload(lsn));
        assert_eq!(record.timestamp(), timestamp(lsn));
    }
    let report = reader.verify();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert_eq!(report.records, RECORDS);
    let state = report.time_indexes[0].state;
    check_answers(|moment| reader.lsn_at_or_after(moment), state);
    state
}

/// Each moment leads where it should; if the index is a forged one, perhaps
/// to a later record.
fn check_answers(find: impl Fn(Timestamp) -> Result<Option<Lsn>, ReadError>, state: IndexState) {
    for moment in (0..=MOMENTS).chain([u64::MAX]).map(Timestamp) {
        let is_answer = |lsn: &u64| timestamp(*lsn) >= Some(moment);
        let expected = (0..RECORDS).find(is_answer).map(Lsn);
        let found = find(moment).expect("an index decides nothing");
        match state {
            IndexState::Contradicting => {
                let is_late = |found: Lsn| expected.is_some_and(|expected| found >= expected);
                assert!(found.is_none_or(|it| is_late(it) && is_answer(&it.0)));
            }
            _ => assert_eq!(found, expected, "INV-M3, {moment}, {state}"),
        }
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        use Step::{Bytes, Cut, Extend, Forge, Missing, Move, Put, Remove, Write};
        let put = |at, value| Put { at, value };
        let moved = |entry, later, ahead, units| Move { entry, later, ahead, units };
        vec![
            ("sound",          vec![Write]),
            ("missing",        vec![Missing, Write]),
            ("flipped",        vec![put(64, 9), Write]),
            ("cut",            vec![Cut(90), Write]),
            ("cut_header",     vec![Cut(63)]),
            ("empty",          vec![Cut(0), Write]),
            ("too_long",       vec![Extend(vec![0xFF; 32]), Write]),
            ("text",           vec![Bytes(b"not an index".to_vec()), Write]),
            ("earlier",        vec![moved(2, -1, 0, 0), Forge, Write]),
            ("later",          vec![moved(2, 1, 0, 0), Forge, Write]),
            ("greatest_low",   vec![moved(255, -1, 0, 0), Forge]),
            ("greatest_high",  vec![moved(255, 9, 0, 0), Forge, Write]),
            ("moved_record",   vec![moved(1, 0, 1, 0), Forge, Write]),
            ("moved_place",    vec![moved(1, 0, 0, 1), Forge, Write]),
            ("sparser",        vec![Remove(1), Forge, Write]),
            ("end_is_missing", vec![Remove(255), Forge, Write]),
            ("no_entries",     vec![Cut(64), put(56, 0), Forge, Write]),
            ("magic",          vec![put(0, 9), Forge]),
            ("version",        vec![put(8, 2), Forge]),
            ("interval",       vec![put(12, 4096), Forge]),
            ("other_log",      vec![put(16, 9), Forge]),
            ("other_segment",  vec![put(32, 9), Forge]),
            ("stale",          vec![put(40, 9), Forge, Write]),
            ("base",           vec![put(48, 1), Forge]),
            ("count",          vec![put(56, u32::MAX), Forge]),
            ("far_away",       vec![put(72, u32::MAX), put(76, u32::MAX), Forge]),
        ]
    }
}
