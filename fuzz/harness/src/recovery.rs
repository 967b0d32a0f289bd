//! Target `recovery`: whatever the files hold, opening a log ends in a log or
//! in a refusal.
//!
//! It never panics, and never takes more memory than the files have. Who reads
//! and who writes find the same. What opens can be appended to and opened
//! again, and opening finds the same again. And whatever is damaged can be
//! salvaged, and cut (see `policies`).

use std::collections::BTreeMap;
use std::sync::Arc;

use log_wal::{
    AppendError, Lsn, MemStorage, OpenError, OpenReport, TailState, Verify, Wal, WalOptions,
    WalReader,
};

use crate::image::{self, Step};
use crate::memory::peak_bytes;
use crate::policies;
use crate::script::{self, Script};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What opening may take beyond the bytes of the files: names, reports, the
/// begin of a new segment.
const OWN_BYTES_MAX: usize = 256 << 10;

const SEGMENT_BYTES: u64 = 16 << 10;

/// A record, or why it could not be read.
pub(crate) type Read = Result<(Lsn, Vec<u8>), String>;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let files = image::build(script::read(bytes));
    check(&files);
    policies::check(&files);
}

/// What opening the files of an input leads to, in a word or two.
#[must_use]
pub fn verdict(bytes: &[u8]) -> String {
    let files = image::build(script::read(bytes));
    match WalReader::with_storage(storage(&files)) {
        Ok(reader) => match &reader.report().tail {
            TailState::Clean => "clean".to_owned(),
            TailState::Truncated { row, .. } => format!("cut {row}"),
        },
        Err(OpenError::Damaged(damage)) => format!("damaged {}", damage.row),
        Err(OpenError::Foreign { reason, .. }) => reason.to_owned(),
        Err(OpenError::NewerVersion { .. }) => "newer version".to_owned(),
        Err(OpenError::NotALog { .. }) => "not a log".to_owned(),
        Err(OpenError::NoLog { .. }) => "no log".to_owned(),
        Err(other) => other.to_string(),
    }
}

pub(crate) fn storage(files: &Files) -> Arc<MemStorage> {
    Arc::new(MemStorage::with_files(files.clone()))
}

pub(crate) fn options(verify: Verify) -> WalOptions {
    WalOptions::default()
        .segment_bytes(SEGMENT_BYTES)
        .verify(verify)
}

fn check(files: &Files) {
    let looked_at = storage(files);
    let reader = within_memory(files, || WalReader::with_storage(looked_at.clone()));
    for verify in [Verify::Tail, Verify::All] {
        let written = storage(files);
        let wal = within_memory(files, || {
            Wal::with_storage(written.clone(), options(verify))
        });
        match (&reader, wal) {
            (Ok(reader), Ok(wal)) => {
                check_agree(reader, &wal, verify);
                check_goes_on(&written, wal);
            }
            // A torn tail asks for another segment, which needs numbers.
            (Ok(_), Err(refusal)) if refusal.to_string().contains("used up") => {}
            (Ok(reader), Err(refusal)) => {
                assert_eq!(verify, Verify::All, "a writer is refused: {refusal}");
                let damage = reader.verify().damage;
                assert!(!damage.is_empty(), "{refusal}");
            }
            (Err(OpenError::NoLog { .. } | OpenError::NotALog { .. }), Ok(wal)) => {
                assert!(wal.report().created, "{:?}", wal.report());
                check_goes_on(&written, wal);
            }
            (Err(refusal), Ok(wal)) => {
                panic!("only a reader is refused: {refusal}, {:?}", wal.report())
            }
            (Err(read), Err(written)) => {
                // Who looks at more may meet other damage first.
                let is_same = read.to_string() == written.to_string();
                assert!(is_same || verify == Verify::All, "{read}\n{written}");
            }
        }
    }
    assert_eq!(&looked_at.files(), files, "a reader writes nothing");
}

/// Opens, and holds the memory that it takes against what the files have
/// (`INV-W10`).
pub(crate) fn within_memory<T>(files: &Files, open: impl FnOnce() -> T) -> T {
    let file_bytes: usize = files.values().map(Vec::len).sum();
    let (opened, bytes) = peak_bytes(open);
    assert!(
        bytes <= file_bytes + OWN_BYTES_MAX,
        "INV-W10: {bytes} bytes of memory for {file_bytes} bytes of files"
    );
    opened
}

/// Who reads sees what who writes does.
fn check_agree(reader: &WalReader, wal: &Wal, verify: Verify) {
    assert_eq!(reader.report(), wal.report());
    let records = read_all(reader.iter(), reader.report());
    assert_eq!(records, read_all(wal.iter(), wal.report()));
    assert_eq!(reader.segments().len(), reader.report().segments);
    let found = reader.verify();
    if verify == Verify::All {
        assert!(found.damage.is_empty(), "{:?}", found.damage);
    }
    if found.damage.is_empty() {
        let is_readable = records.iter().all(Result::is_ok);
        assert!(is_readable, "sound, and: {:?}", records.last());
        let lsns = reader.first_lsn().0..reader.next_lsn().0;
        assert_eq!(found.records, records.len() as u64);
        assert_eq!(found.records + found.voids, lsns.end - lsns.start);
    }
}

/// Every record, checked to have a number that the log should have, and more
/// than the one before.
pub(crate) fn read_all(iter: log_wal::Iter, report: &OpenReport) -> Vec<Read> {
    let read = |record: Result<log_wal::Record, log_wal::ReadError>| match record {
        Ok(record) => Ok((record.lsn(), record.payload().to_vec())),
        Err(error) => Err(error.to_string()),
    };
    let records: Vec<Read> = iter.map(read).collect();
    let lsns = records.iter().flatten().map(|(lsn, _)| *lsn);
    assert!(lsns.clone().is_sorted_by(|one, next| one < next), "INV-C1");
    assert!(
        lsns.clone()
            .all(|lsn| (report.first_lsn..report.next_lsn).contains(&lsn))
    );
    records
}

/// What opened is appended to, dies, is opened again, and is closed.
pub(crate) fn check_goes_on(storage: &MemStorage, wal: Wal) {
    let before = read_all(wal.iter(), wal.report());
    let next = wal.next_lsn();
    // Interrupted and repeated, opening finds the same.
    let again = reopened(&storage.files());
    assert_eq!(again.next_lsn(), next, "INV-W9");
    assert_eq!(read_all(again.iter(), again.report()), before, "INV-W9");
    drop(again);

    let mut expected = before;
    // The second does not fit into what is left of a segment.
    for payload_bytes in [3, SEGMENT_BYTES as usize / 2, 0] {
        let payload = vec![0xA5; payload_bytes];
        match wal.append_durable(&payload) {
            Ok(lsn) => expected.push(Ok((lsn, payload))),
            Err(AppendError::NumbersExhausted) => break,
            Err(error) => panic!("it opened, and cannot be appended to: {error}"),
        }
    }
    // A log whose old records are damaged ends at the damage for who reads it.
    let readable = expected
        .iter()
        .position(Result::is_err)
        .map_or(expected.len(), |at| at + 1);
    expected.truncate(readable);

    let killed = reopened(&storage.files());
    assert_eq!(read_all(killed.iter(), killed.report()), expected, "INV-W1");
    assert_eq!(killed.next_lsn(), wal.next_lsn(), "INV-W1");
    drop(killed);
    wal.close().expect("nothing fails in memory");
    let closed = reopened(&storage.files());
    assert_eq!(closed.report().tail, TailState::Clean, "it was closed");
    assert_eq!(read_all(closed.iter(), closed.report()), expected, "INV-W1");
}

fn reopened(files: &Files) -> Wal {
    match Wal::with_storage(storage(files), options(Verify::Tail)) {
        Ok(wal) => wal,
        Err(refusal) => panic!("it opened once, and is refused: {refusal}"),
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        use Step::{Bytes, Field, Flip, HeaderByte, Hole, Length, Mark, Name, Next, OtherLog, Payload, Record, Renumber, Rotate, Seal, Stale, Stranger, Truncate, Void, Word};
        let record = |payload_bytes| Record { payload_bytes, batch: 3 };
        let batch = |batch| Record { payload_bytes: 40, batch };
        let field = |at, value| Field { at, value, copies: 0 };
        vec![
            ("nothing",                vec![]),
            ("only_strangers",         vec![Stranger(1), Stranger(4)]),
            ("only_leftovers",         vec![Stranger(0), Stranger(2), Stranger(3)]),
            ("one_segment",            vec![record(5), Mark(0), Payload(b"text".to_vec()), Void(30), Stranger(1)]),
            ("three_segments",         vec![record(5), record(600), Rotate, record(9), Mark(-1), record(9), Rotate, record(77)]),
            ("batches",                vec![batch(1), batch(0), batch(2), batch(1), batch(2), Rotate, batch(3), batch(1), batch(0)]),
            ("batch_in_batch",         vec![batch(1), batch(1), batch(2), Next, batch(2), batch(3)]),
            ("not_yet_sealed",         vec![record(5), Next]),
            ("torn_tail",              vec![record(5), Mark(0), record(9), Hole(3), Bytes(vec![7; 9])]),
            ("torn_tail_of_marks",     vec![record(5), Mark(0), Hole(4), Mark(-1), record(1)]),
            ("lost_behind_a_mark",     vec![record(5), Renumber(4), Mark(0)]),
            ("damaged_before_a_mark",  vec![record(5), record(6), record(7), Mark(0), record(1), Flip { at: 8192 + 50, bit: 3 }]),
            ("sealed_and_no_next",     vec![record(5), Seal(0)]),
            ("header_and_copy_gone",   vec![record(5), HeaderByte { copy: 0, at: 40, flip: 1 }, HeaderByte { copy: 1, at: 9, flip: 128 }]),
            ("header_gone",            vec![record(5), HeaderByte { copy: 0, at: 40, flip: 1 }, Rotate, record(1), HeaderByte { copy: 0, at: 2, flip: 9 }]),
            ("seal_gone",              vec![record(5), Next, record(6)]),
            ("older_is_shorter",       vec![record(5), Hole(3), Renumber(1), Next]),
            ("older_is_damaged",       vec![record(5), record(6), Flip { at: 8192 + 20, bit: 0 }, Rotate, record(6)]),
            ("wrong_seal",             vec![record(5), Seal(1), Next, record(1)]),
            ("missing_segment",        vec![record(5), Rotate, Name { base: 9, id: 9 }, field(32, 9), Rotate, record(1)]),
            ("predecessor_missing",    vec![record(5), Rotate, field(64, 7), field(32, 9), record(1)]),
            ("truncated",              vec![record(5), record(6), record(7), Truncate(2), record(9), Mark(0), Truncate(1)]),
            ("truncated_twice",        vec![record(5), Rotate, record(6), Truncate(1), Truncate(0), record(9)]),
            ("other_log",              vec![record(5), Seal(0), OtherLog, record(6)]),
            ("other_name",             vec![record(5), Name { base: 0, id: 2 }]),
            ("other_magic",            vec![record(5), field(0, 7)]),
            ("newer_version",          vec![record(5), field(8, 2)]),
            ("recycled",               vec![field(8, 1 | 1 << 32), record(5), Stale(9), Stale(100)]),
            ("recycled_and_torn",      vec![field(8, 1 | 1 << 32), record(5), Hole(2), record(9), Mark(-1)]),
            ("copies_disagree",        vec![record(5), Field { at: 40, value: 3, copies: 1 }, record(6)]),
            ("short_file",             vec![record(5), record(700), Length(8500)]),
            ("only_a_header",          vec![Length(4096)]),
            ("cut_header",             vec![Length(50)]),
            ("long_file",              vec![record(5), Length(40_000), Flip { at: 30_000, bit: 1 }]),
            ("claims_much_room",       vec![field(56, 1 << 60), record(5), Hole(1), record(5)]),
            ("claims_no_room",         vec![field(56, 0), record(5)]),
            ("claims_long_record",     vec![Word { bits: 0x0FFF_FFFF | 0b1110 << 28, payload: vec![1; 8] }, record(5)]),
            ("last_numbers",           vec![field(72, u64::MAX - 1024), field(48, u64::MAX - 1024), record(5), record(6), record(7)]),
            ("last_id",                vec![field(32, u64::MAX), record(5)]),
            ("last_id_and_torn",       vec![field(32, u64::MAX - 1), record(5), Hole(1), record(6)]),
            ("last_numbers_and_torn",  vec![field(72, u64::MAX - 1024), field(48, u64::MAX - 1024), record(5), Hole(1), record(6)]),
            ("last_id_but_one",        vec![field(32, u64::MAX - 1), record(5)]),
            ("end_of_too_many",        vec![record(5), record(6), Renumber(-1), Truncate(0)]),
            ("end_of_too_few",         vec![record(5), record(6), Renumber(1), Truncate(0)]),
            ("end_before_begin",       vec![record(5), Truncate(0), field(80, 16), record(1)]),
            ("numbers_used_twice",     vec![Void(0), Renumber(-1), Rotate, record(0), Mark(40)]),
            ("two_with_one_id",        vec![record(5), Name { base: 19, id: 2 }, Length(0), Rotate, record(6)]),
            ("bases_that_go_back",     vec![Name { base: 9, id: 9 }, record(5), Rotate, Renumber(-1), Rotate, Mark(6)]),
            ("end_beyond_file",        vec![record(5), Truncate(0), field(80, u64::MAX - 7), record(1)]),
        ]
    }
}
