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
    let records = walk(&Frames::of(files), &salvage);
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
                assert_eq!(report, &found);
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
fn walk(frames: &Frames<'_>, salvage: &Salvage) -> Vec<(Lsn, Vec<u8>)> {
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
                check_told(frames, &lost, expected.0..lsn.0);
                assert!(frames.has_record(&record), "{lsn} is in no file");
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

/// All of these numbers are said to be lost, or were given up.
fn check_told(frames: &Frames<'_>, lost: &[Range<u64>], mut missing: Range<u64>) {
    while let Some(lsn) = missing.next() {
        let around = lost.iter().filter(|lost| lost.contains(&lsn));
        match around.map(|lost| lost.end).max() {
            Some(end) => missing.start = end,
            None => assert!(
                frames.has_void(lsn),
                "{lsn} is neither shown nor said to be lost"
            ),
        }
    }
}

/// What may be a frame right where it lies, whatever its number is.
struct Frames<'a>(Vec<Frame<'a>>);

struct Frame<'a> {
    word: Word,
    /// From its first byte to the end of the file.
    bytes: &'a [u8],
    position: u64,
    salt: u64,
}

impl<'a> Frames<'a> {
    fn of(files: &'a Files) -> Self {
        let mut frames = Vec::new();
        for bytes in files.values() {
            let header_salts = [40, 4096 + 40].map(|at| bytes.get(at..at + 8));
            let mut salts: Vec<u64> = header_salts
                .iter()
                .flatten()
                .map(|it| u64_at(it, 0))
                .collect();
            // Either header may be the good one.
            salts.dedup();
            for position in (FIRST_POSITION..bytes.len().saturating_sub(15)).step_by(8) {
                let bytes = &bytes[position..];
                let bits = u64_at(bytes, 0);
                let own = salts.iter().filter(|salt| *salt & 0xFF_FFFF == bits >> 40);
                frames.extend(own.map(|salt| Frame {
                    word: Word::of(bits),
                    bytes,
                    position: position as u64,
                    salt: *salt,
                }));
            }
        }
        Self(frames)
    }

    fn has_record(&self, record: &Record) -> bool {
        self.has(record.lsn().0, |frame| {
            let payload = frame.bytes.get(16..16 + frame.word.payload_bytes as usize);
            frame.word.state == 2 && payload == Some(record.payload())
        })
    }

    fn has_void(&self, lsn: u64) -> bool {
        self.has(lsn, |frame| frame.word.state == 3)
    }

    fn has(&self, lsn: u64, is_wanted: impl Fn(&Frame<'_>) -> bool) -> bool {
        let mut wanted = self.0.iter().filter(|frame| is_wanted(frame));
        wanted.any(|frame| {
            let place = Place {
                salt: frame.salt,
                position: frame.position,
                lsn,
            };
            is_frame(frame.bytes, place)
        })
    }
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
