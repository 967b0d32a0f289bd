//! Of the target `recovery`: what salvage reads and what a cut leaves, of any
//! files.
//!
//! Salvage shows whole records, ascending, and says of all others that they are
//! lost. A cut leaves exactly the records in front of the first loss, is made
//! only where opening is refused, and leaves a log that opens.

use std::ops::Range;

use log_wal::{Lsn, OpenError, ReadError, Record, RecoveryPolicy, Salvage, Verify, Wal, WalReader};

use crate::layout::{Place, Word, is_frame, u64_at};
use crate::recovery::{Files, Read, check_goes_on, options, read_all, storage, within_memory};

/// Behind the headers.
const FIRST_POSITION: usize = 8192;

/// Checks salvage, and cuts at both levels of verification.
pub(crate) fn check(files: &Files) {
    let Some(salvaged) = check_salvage(files) else {
        return;
    };
    for verify in [Verify::Tail, Verify::All] {
        check_cut(files, verify, &salvaged);
    }
}

/// The records of a log, and where the first damage is.
struct Salvaged {
    records: Vec<(Lsn, Vec<u8>)>,
    cut_end: Option<Lsn>,
}

fn check_salvage(files: &Files) -> Option<Salvaged> {
    let looked_at = storage(files);
    let reader = WalReader::with_storage(looked_at.clone());
    let salvage = match within_memory(files, || Salvage::with_storage(looked_at.clone())) {
        Ok(salvage) => salvage,
        Err(error) => {
            assert!(!matches!(error, OpenError::Damaged(_)), "{error}");
            assert!(reader.is_err(), "what opens can be salvaged: {error}");
            return None;
        }
    };
    let records = walk(files, &salvage);
    let report = salvage.report();
    let plan = salvage.cut_plan();
    assert_eq!(plan.is_some(), !report.damage.is_empty());
    match reader {
        Ok(reader) => {
            let found = reader.verify();
            assert_eq!(found.damage.is_empty(), report.damage.is_empty());
            if report.damage.is_empty() {
                let readable = |(lsn, payload): &(Lsn, Vec<u8>)| Ok((*lsn, payload.clone()));
                let readable: Vec<Read> = records.iter().map(readable).collect();
                assert_eq!(readable, read_all(reader.iter(), reader.report()));
                assert_eq!(report.records, found.records);
            }
        }
        Err(OpenError::Damaged(damage)) => {
            assert!(!report.damage.is_empty(), "refused: {damage}");
        }
        Err(_) => {}
    }
    assert_eq!(&looked_at.files(), files, "salvage writes nothing");
    Some(Salvaged {
        records,
        cut_end: plan.map(|plan| plan.end),
    })
}

/// Goes through everything: each number is shown, said to be lost, or was given
/// up, and none of them twice.
fn walk(files: &Files, salvage: &Salvage) -> Vec<(Lsn, Vec<u8>)> {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut next: Option<Lsn> = None;
    // Where a damaged file's numbers lie, its name may have made up.
    let mut lost = Vec::new();
    for item in salvage.iter() {
        match item {
            Ok(record) => {
                let lsn = record.lsn();
                let expected = next.unwrap_or(lsn);
                assert!(expected <= lsn, "INV-C1: {lsn} behind {expected}");
                for missing in expected.0..lsn.0 {
                    let is_told = lost.iter().any(|lost: &Range<u64>| lost.contains(&missing))
                        || has_frame(files, missing, |word, _| word.state == 3);
                    assert!(is_told, "{missing} is neither shown nor said to be lost");
                }
                assert!(is_whole(files, &record), "{lsn} is in no file");
                next = Some(Lsn(lsn.0 + 1));
                records.push((lsn, record.payload().to_vec()));
            }
            Err(ReadError::Damaged(met)) => {
                let lost_end = met.lost.as_ref().and_then(|lost| lost.end);
                if let (Some(lsn), Some(end)) = (met.lsn, lost_end) {
                    assert!(lsn <= end, "{met:?}");
                    lost.push(lsn.0..end.0);
                }
                damage.push(met);
            }
            Err(error) => panic!("nothing fails in memory: {error}"),
        }
    }
    assert_eq!(damage, salvage.report().damage);
    records
}

fn is_whole(files: &Files, record: &Record) -> bool {
    has_frame(files, record.lsn().0, |word, frame| {
        let payload = frame.get(16..16 + word.payload_bytes as usize);
        word.state == 2 && payload == Some(record.payload())
    })
}

/// Whether any file has a frame with this number, right where it lies, that is
/// as wanted.
fn has_frame(files: &Files, lsn: u64, is_wanted: impl Fn(Word, &[u8]) -> bool) -> bool {
    files.values().any(|bytes| {
        // Either header may be the good one.
        let salts = [40, 4096 + 40].map(|at| bytes.get(at..at + 8).map(|it| u64_at(it, 0)));
        let positions = (FIRST_POSITION..bytes.len().saturating_sub(15)).step_by(8);
        positions.into_iter().any(|position| {
            let frame = &bytes[position..];
            let word = Word::of(u64_at(frame, 0));
            is_wanted(word, frame)
                && salts.iter().flatten().any(|salt| {
                    let (salt, position) = (*salt, position as u64);
                    is_frame(
                        frame,
                        Place {
                            salt,
                            position,
                            lsn,
                        },
                    )
                })
        })
    })
}

fn check_cut(files: &Files, verify: Verify, salvaged: &Salvaged) {
    let is_refused = Wal::with_storage(storage(files), options(verify)).is_err();
    let written = storage(files);
    let policy = options(verify).recovery(RecoveryPolicy::CutToLastGood);
    let wal = match Wal::with_storage(written.clone(), policy) {
        Ok(wal) => wal,
        Err(refusal) => {
            let is_damage = matches!(refusal, OpenError::Damaged(_));
            assert!(is_refused && !is_damage, "not cut: {refusal}");
            return;
        }
    };
    let Some(cut) = &wal.report().cut else {
        assert!(!is_refused, "a log that was refused opens uncut");
        return;
    };
    assert!(is_refused, "cut without need: {cut:?}");
    assert_eq!(Some(cut.end), salvaged.cut_end);
    assert_eq!(wal.next_lsn(), cut.end);
    let left = salvaged.records.iter().filter(|(lsn, _)| *lsn < cut.end);
    let left: Vec<Read> = left.cloned().map(Ok).collect();
    assert_eq!(read_all(wal.iter(), wal.report()), left, "a prefix is left");
    check_goes_on(&written, wal);
}
