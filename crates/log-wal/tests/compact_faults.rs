//! Compaction on a disk that fails, or loses power, at any of its steps.
//!
//! Whatever happens, a segment is the old one or the new one, whole
//! (`INV-W12`): nothing goes but the records that were to go, and of each key
//! the newest record is there.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{append, payload, small};
use log_wal::storage::sim::{Chance, Failure, Fault, Operation, SimError, SimStorage};
use log_wal::{
    CommitError, CompactError, Lsn, SealedSegment, Storage, Verify, Wal, WalOptions, WalReader,
};

const SEGMENTS: u64 = 4;
const RECORDS: u64 = 40;
/// Appended behind the last sealed segment, and not synced.
const OPEN_RECORDS: u64 = 10;

/// Records have one of a few keys; a key of each segment is in no later one.
fn key(lsn: u64) -> u64 {
    match lsn % RECORDS {
        0 => 100 + lsn / RECORDS,
        within => within * within % 11,
    }
}

/// The segments that are compacted, and the numbers that stay.
struct Plan {
    segments: Vec<SealedSegment>,
    stays: BTreeSet<u64>,
}

impl Plan {
    fn of(wal: &Wal) -> Self {
        let segments = wal.sealed();
        let end = segments.last().map_or(0, |last| last.end.0);
        let newest: BTreeMap<_, _> = (0..end).map(|lsn| (key(lsn), lsn)).collect();
        Self {
            segments,
            stays: newest.into_values().collect(),
        }
    }

    fn goes(&self, lsn: u64) -> bool {
        self.segments.iter().any(|it| lsn < it.end.0) && !self.stays.contains(&lsn)
    }

    /// Oldest first, as it must be.
    fn carry_out(&self, wal: &Wal) -> Result<(), CompactError> {
        for segment in &self.segments {
            wal.compact_sealed(segment, |record| self.stays.contains(&record.lsn().0))?;
        }
        Ok(())
    }

    /// How many segments are compacted in a log with these records, which ends
    /// at `end`. Every segment is the old one or the new one, the older ones
    /// first.
    fn check(&self, found: &BTreeMap<u64, Vec<u8>>, end: u64, context: &str) -> usize {
        for (lsn, bytes) in found {
            assert_eq!(bytes, &payload(*lsn), "{context}: record {lsn}");
        }
        let mut compacted = 0;
        let mut may_be_new = true;
        for segment in &self.segments {
            let lsns = segment.base.0..segment.end.0.min(end);
            let missing: Vec<_> = lsns.clone().filter(|it| !found.contains_key(it)).collect();
            if missing.is_empty() {
                may_be_new = false;
                continue;
            }
            assert!(may_be_new, "{context}: a newer one was compacted first");
            let gone: Vec<_> = lsns.filter(|lsn| self.goes(*lsn)).collect();
            assert_eq!(missing, gone, "INV-W12, {context}");
            compacted += 1;
        }
        let behind = self.segments.last().map_or(0, |last| last.end.0);
        assert!((behind..end).all(|lsn| found.contains_key(&lsn)));
        let newest = |lsns: &mut dyn Iterator<Item = u64>| -> BTreeMap<u64, u64> {
            lsns.map(|lsn| (key(lsn), lsn)).collect()
        };
        let (all, left) = (newest(&mut (0..end)), newest(&mut found.keys().copied()));
        assert_eq!(left, all, "{context}: the newest of each key is there");
        compacted
    }
}

fn make(seed: u64) -> (SimStorage, Wal) {
    let disk = SimStorage::new(seed);
    let wal = open(&disk, small());
    for segment in 0..SEGMENTS {
        append(&wal, segment * RECORDS, (segment + 1) * RECORDS);
        wal.rotate().unwrap();
    }
    append(&wal, SEGMENTS * RECORDS, SEGMENTS * RECORDS + OPEN_RECORDS);
    (disk, wal)
}

fn open(disk: &SimStorage, options: WalOptions) -> Wal {
    Wal::with_storage(Arc::new(disk.clone()), options).unwrap()
}

fn records(iter: log_wal::Iter) -> BTreeMap<u64, Vec<u8>> {
    let records = iter.map(|record| record.expect("readable"));
    records
        .map(|record| (record.lsn().0, record.payload().to_vec()))
        .collect()
}

/// What somebody finds who opens the log on this disk: how many segments are
/// compacted.
fn reopen(disk: &SimStorage, plan: &Plan, durable_end: Lsn, context: &str) -> usize {
    let wal = open(disk, small().verify(Verify::All));
    let end = wal.next_lsn();
    assert!(end >= durable_end, "INV-W2, {context}");
    let compacted = plan.check(&records(wal.iter()), end.0, context);
    let files = disk.list().unwrap();
    assert!(
        !files.iter().any(|it| it.name.ends_with(".new")),
        "{context}: opening tidies up"
    );
    drop(wal);
    let reader = WalReader::with_storage(Arc::new(disk.clone())).unwrap();
    assert_eq!(reader.verify().damage, [], "{context}");
    compacted
}

#[test]
fn after_power_loss_at_every_step_nothing_is_lost_but_what_was_to_go() {
    let mut seen = BTreeSet::new();
    for step in 0.. {
        let (disk, wal) = make(step);
        let (plan, durable_end) = (Plan::of(&wal), wal.watermarks().durable_end);
        disk.power_off_at(disk.steps() + step);
        let done = plan.carry_out(&wal);
        drop(wal);
        for seed in 0..8 {
            let context = format!("step {step}, seed {seed}");
            let after = disk.power_loss(&mut Chance::seeded(seed));
            let compacted = reopen(&after, &plan, durable_end, &context);
            assert!(compacted == plan.segments.len() || done.is_err());
            seen.insert(compacted);
            // And a second loss of power finds the same.
            let again = after.power_loss(&mut Chance::seeded(seed + 1));
            assert!(reopen(&again, &plan, durable_end, &context) >= compacted);
        }
        if done.is_ok() && !disk.is_off() {
            assert!(step >= 4 * SEGMENTS, "each segment takes some steps");
            break;
        }
    }
    assert_eq!(seen, (0..=SEGMENTS as usize).collect());
}

/// Whether a log may be poisoned by this failure: its directory may not be
/// what it should be.
fn may_poison(operation: Operation) -> bool {
    operation == Operation::SyncDirectory
}

/// Lets the `calls`th call of compaction fail; false if there are fewer.
fn fail_one(operation: Operation, failure: Failure, for_ever: bool, calls: u64) -> bool {
    let context = format!("{operation:?} {failure:?}, for ever: {for_ever}, after {calls}");
    let (disk, wal) = make(calls);
    let (plan, durable_end) = (Plan::of(&wal), wal.watermarks().durable_end);
    let fault = Fault::on(operation, failure).after(calls);
    disk.inject(if for_ever { fault.for_ever() } else { fault });
    let done = plan.carry_out(&wal);
    disk.clear_faults();

    let poison = matches!(
        &done,
        Err(CompactError::Commit(CommitError::Poisoned { .. }))
    );
    assert_eq!(poison, done.is_err() && may_poison(operation), "{context}");
    // Who has the log open reads on.
    plan.check(&records(wal.iter()), wal.next_lsn().0, &context);
    let death = disk.process_death();
    reopen(&death, &plan, durable_end, &context);
    for seed in 0..3 {
        let after = disk.power_loss(&mut Chance::seeded(seed));
        reopen(&after, &plan, durable_end, &context);
    }
    if !poison {
        // It goes on as if nothing had been.
        plan.carry_out(&wal).unwrap();
        append(&wal, wal.next_lsn().0, wal.next_lsn().0 + 5);
        wal.sync().unwrap();
        let end = wal.next_lsn();
        let compacted = plan.check(&records(wal.iter()), end.0, &context);
        assert_eq!(compacted, plan.segments.len(), "{context}");
        drop(wal);
        assert_eq!(reopen(&disk, &plan, end, &context), compacted);
    }
    done.is_err()
}

fn fail_each(operation: Operation, failure: Failure) {
    for for_ever in [false, true] {
        let mut calls = 0;
        while fail_one(operation, failure, for_ever, calls) {
            calls += 1;
        }
        assert!(calls >= SEGMENTS, "{operation:?} {failure:?}: {calls}");
    }
}

#[test]
fn a_write_that_fails_leaves_the_segment_as_it_was() {
    fail_each(Operation::Write, Failure::Refused(SimError::Io));
    fail_each(Operation::Write, Failure::Refused(SimError::Full));
    fail_each(Operation::Write, Failure::Torn(SimError::Full));
    fail_each(Operation::Write, Failure::DoneAll(SimError::Io));
}

#[test]
fn a_sync_of_the_new_file_that_fails_leaves_the_segment_as_it_was() {
    fail_each(Operation::Sync, Failure::Refused(SimError::Io));
    fail_each(Operation::Sync, Failure::DoneAll(SimError::Io));
    fail_each(Operation::Sync, Failure::PagesLost);
}

#[test]
fn a_sync_of_the_directory_that_fails_leaves_the_old_or_the_new_segment() {
    fail_each(Operation::SyncDirectory, Failure::Refused(SimError::Io));
    fail_each(Operation::SyncDirectory, Failure::DoneAll(SimError::Io));
}

#[test]
fn a_file_that_cannot_be_made_or_named_or_read_leaves_the_segment_as_it_was() {
    for operation in [Operation::Create, Operation::Rename, Operation::Read] {
        fail_each(operation, Failure::Refused(SimError::Io));
    }
    fail_each(Operation::Create, Failure::Refused(SimError::Full));
}

#[test]
fn a_rename_that_says_that_it_failed_and_did_not_leaves_the_new_segment() {
    fail_each(Operation::Rename, Failure::DoneAll(SimError::Io));
}

#[test]
fn a_new_file_that_cannot_be_removed_is_written_again() {
    let (disk, wal) = make(1);
    let plan = Plan::of(&wal);
    disk.inject(Fault::on(Operation::Write, Failure::Torn(SimError::Full)).after(1));
    disk.inject(Fault::on(Operation::Remove, Failure::Refused(SimError::Io)));
    assert!(plan.carry_out(&wal).is_err());
    let is_left_over = |it: &log_wal::storage::FoundFile| it.name.ends_with(".new");
    assert!(disk.list().unwrap().iter().any(is_left_over));
    plan.carry_out(&wal).unwrap();
    let end = wal.sync().unwrap();
    drop(wal);
    let all = plan.segments.len();
    assert_eq!(reopen(&disk, &plan, end, "written again"), all);
}
