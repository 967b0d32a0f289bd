//! Target `operations`: whatever is done to a log, and whatever becomes of its
//! disk, it is a vector of records.
//!
//! The disk may lose power between and within operations, fail, fill up and
//! rot. What was acknowledged is there afterwards; what is there was appended,
//! in order. A log on a rotten disk may end early or be refused, and never
//! shows a record that was not appended.

use std::sync::Arc;

use log_wal::storage::sim::{
    DirectoryOrder, Failure, Fault, Operation, SimError, SimStorage, Unsynced,
};
use log_wal::{
    AppendError, CommitError, Level, Lsn, OpenError, ReadError, TailState, TruncateError, Verify,
    Wal, WalOptions, WalReader,
};
use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::script::{self, Script};

/// Appends beyond this do nothing, to keep runs short.
const LOG_BYTES_MAX: usize = 128 << 10;

/// CRC-32 is sure to notice so many wrong bits in a frame of the lengths here
/// (Koopman, "32-Bit Cyclic Redundancy Codes for Internet Applications", 2002).
const FLIPS_MAX: u8 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Append(u16),
    InPlace(u16),
    Durable(u16),
    Batch(Vec<u8>),
    Flush,
    Sync,
    /// Up to so many records before the end.
    Commit {
        back: u8,
        is_durable: bool,
    },
    Rotate,
    /// So many records before the end, as the next three.
    Checkpoint(u8),
    Truncate(u8),
    Read(u8),
    Follow,
    /// Another process reads.
    LookOn,
    Close,
    /// The process dies.
    Die,
    /// The power goes, and these decide what of the unsynced survives.
    PowerLoss(Vec<u8>),
    /// It goes again, so many steps into the next opening.
    PowerLossTwice {
        steps: u8,
        survival: Vec<u8>,
    },
    /// It goes so many steps from now.
    PowerOff(u8),
    Fail {
        operation: u8,
        failure: u8,
        passing: u8,
        for_ever: bool,
    },
    /// There is room for so many more blocks of 4 KiB.
    Room(u8),
    Repair,
    /// A bit of a file is wrong.
    Flip {
        file: u8,
        at: u16,
        bit: u8,
    },
    Garbage,
    AnyOrder,
    VerifyAll,
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut world = World::new();
    for step in script::read(bytes) {
        if !world.step(step) {
            return;
        }
    }
    world.read(0);
    world.step(Step::LookOn);
    world.step(Step::Close);
}

struct World {
    disk: SimStorage,
    options: WalOptions,
    /// `None` only while it is being opened again.
    wal: Option<Wal>,
    model: Model,
    follower: Option<log_wal::Iter>,
    followed: u64,
    bytes: usize,
    flips: u8,
    /// Something may fail: there are faults, or there is little room.
    is_disturbed: bool,
    is_poisoned: bool,
    /// A file may be gone that the log was told is still there.
    is_unsure_of_files: bool,
}

/// How the log came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Died,
    PowerLost,
}

/// A survival that follows from some bytes, again and again.
fn survival(choices: Vec<u8>) -> impl FnMut(&Unsynced<'_>) -> usize {
    let mut choices = choices.into_iter().cycle();
    move |_| choices.next().map_or(usize::MAX, usize::from)
}

impl World {
    fn new() -> Self {
        let disk = SimStorage::new(7);
        let mut world = Self {
            disk,
            options: WalOptions::default()
                .segment_bytes(16 << 10)
                .backlog_segments_max(1),
            wal: None,
            model: Model::new(),
            follower: None,
            followed: 0,
            bytes: 0,
            flips: 0,
            is_disturbed: false,
            is_poisoned: false,
            is_unsure_of_files: false,
        };
        world.open(End::Closed);
        world
    }

    fn wal(&self) -> &Wal {
        self.wal.as_ref().expect("it is open between steps")
    }

    /// Takes a step. False if the log is refused, which ends the run.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Die => return self.die(),
            Step::PowerLoss(choices) => return self.lose_power(choices),
            Step::PowerLossTwice { steps, survival } => {
                return self.lose_power_twice(steps, survival);
            }
            Step::Close => return self.close(),
            Step::PowerOff(steps) => {
                self.is_disturbed = true;
                self.disk.power_off_at(self.disk.steps() + u64::from(steps));
            }
            Step::Fail {
                operation,
                failure,
                passing,
                for_ever,
            } => self.fail(operation, failure, passing, for_ever),
            Step::Room(blocks) => {
                self.is_disturbed = true;
                let used: usize = self
                    .disk
                    .files()
                    .values()
                    .map(|file| file.len().next_multiple_of(4096))
                    .sum();
                self.disk
                    .set_capacity(Some(used as u64 + 4096 * u64::from(blocks)));
            }
            Step::Repair => {
                self.disk.clear_faults();
                self.disk.set_capacity(None);
                self.is_disturbed = self.disk.is_off();
                if !self.is_disturbed {
                    self.disk.power_off_at(u64::MAX);
                }
            }
            Step::Flip { file, at, bit } => self.flip(file, at, bit),
            Step::Garbage => self.disk.allow_garbage(true),
            Step::AnyOrder => self.disk.set_directory_order(DirectoryOrder::Any),
            Step::VerifyAll => self.options = self.options.clone().verify(Verify::All),
            Step::Read(back) => self.read(back),
            Step::Follow => self.follow(),
            Step::LookOn => self.look_on(),
            verb => self.verb(verb),
        }
        true
    }

    /// What a user of the log does that may change it.
    fn verb(&mut self, verb: Step) {
        let (was_poisoned, durable_end) = (self.is_poisoned, self.model.durable_end);
        let outcome = match verb {
            Step::Append(bytes) => self.append(bytes, |wal, payload| wal.append(payload)),
            Step::InPlace(bytes) => self.append(bytes, |wal, payload| {
                let (lsn, ()) =
                    wal.append_in_place(payload.len(), |place| place.copy_from_slice(payload))?;
                Ok(lsn)
            }),
            Step::Durable(bytes) => self.append(bytes, |wal, payload| wal.append_durable(payload)),
            Step::Batch(lengths) => self.append_batch(&lengths),
            Step::Flush => self.reaches(|wal| wal.flush()),
            Step::Sync => self.reaches(|wal| wal.sync()),
            Step::Commit { back, is_durable } => {
                let level = if is_durable {
                    Level::Durable
                } else {
                    Level::Written
                };
                let end = Lsn(self.before_end(back));
                self.wal().commit(end, level).map_err(AppendError::from)
            }
            Step::Rotate => self.wal().rotate().map(drop),
            Step::Checkpoint(back) => self.checkpoint(back),
            Step::Truncate(back) => self.truncate(back),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            self.judge(&error);
        }
        let watermarks = self.wal().watermarks();
        self.model.acknowledge(watermarks);
        if was_poisoned {
            assert_eq!(self.model.durable_end, durable_end, "INV-W6");
            assert!(self.wal().append(b"").is_err(), "INV-W6");
        }
    }

    /// Whether this may happen.
    fn judge(&mut self, error: &AppendError) {
        assert!(
            self.is_disturbed || self.is_poisoned || self.flips > 0,
            "{error}"
        );
        match error {
            AppendError::Commit(CommitError::StorageFull { .. } | CommitError::Refused { .. }) => {}
            AppendError::Commit(CommitError::Poisoned { .. }) => self.is_poisoned = true,
            other => panic!("{other}"),
        }
    }

    fn before_end(&self, back: u8) -> u64 {
        self.model
            .end()
            .saturating_sub(u64::from(back))
            .max(self.wal().first_lsn().0)
    }

    fn append(
        &mut self,
        bytes: u16,
        append: impl FnOnce(&Wal, &[u8]) -> Result<Lsn, AppendError>,
    ) -> Result<(), AppendError> {
        let len_bytes = usize::from(bytes) % 20_000;
        self.bytes += len_bytes + 16;
        if self.bytes > LOG_BYTES_MAX {
            return Ok(());
        }
        let payload = self.model.payload(len_bytes);
        let end = self.model.end();
        let outcome = append(self.wal(), &payload);
        // Without an acknowledgement it may be there or not.
        if self.wal().next_lsn().0 > end {
            self.model.push(payload, true);
        }
        let lsn = outcome?;
        assert_eq!((lsn.0, self.model.end()), (end, end + 1), "INV-C1");
        Ok(())
    }

    fn append_batch(&mut self, lengths: &[u8]) -> Result<(), AppendError> {
        self.bytes += lengths
            .iter()
            .map(|length| usize::from(*length) + 16)
            .sum::<usize>();
        if self.bytes > LOG_BYTES_MAX {
            return Ok(());
        }
        let payloads: Vec<_> = lengths
            .iter()
            .map(|length| self.model.payload(usize::from(*length)))
            .collect();
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let lsns = self.wal().append_batch(&slices)?;
        assert_eq!(lsns.start.0, self.model.end(), "INV-C1");
        let last = payloads.len().saturating_sub(1);
        for (at, payload) in payloads.into_iter().enumerate() {
            self.model.push(payload, at == last);
        }
        assert_eq!(lsns.end.0, self.model.end(), "INV-C1");
        Ok(())
    }

    /// Flush and sync reach the end.
    fn reaches(
        &self,
        verb: impl FnOnce(&Wal) -> Result<Lsn, CommitError>,
    ) -> Result<(), AppendError> {
        let reached = verb(self.wal())?;
        assert_eq!(reached.0, self.model.end());
        Ok(())
    }

    fn checkpoint(&mut self, back: u8) -> Result<(), AppendError> {
        let lsn = self.before_end(back);
        let (first_min, first_max) = (*self.model.first.start(), lsn.max(*self.model.first.end()));
        self.model.first = first_min..=first_max;
        let outcome = self.wal().checkpoint(Lsn(lsn));
        self.is_unsure_of_files |= outcome.is_err();
        outcome?;
        // Each removal is durable before the next begins.
        let first = self.wal().first_lsn().0;
        assert!((first_min..=first_max).contains(&first), "INV-F2");
        self.model.first = first..=first_max;
        Ok(())
    }

    fn truncate(&mut self, back: u8) -> Result<(), AppendError> {
        let end = self.before_end(back);
        let was_poisoned = self.is_poisoned;
        self.follower = None;
        let wal = self.wal.as_mut().expect("it is open between steps");
        let next = wal.next_lsn().0;
        match wal.truncate_after(Lsn(end)) {
            Ok(()) if end < next => self.model.truncate(end),
            Ok(()) => {}
            Err(TruncateError::Commit(error)) => {
                if matches!(error, CommitError::Poisoned { .. }) && !was_poisoned {
                    self.model.cut = Some(end);
                }
                return Err(error.into());
            }
            Err(TruncateError::Reopen(error)) => {
                assert!(self.is_disturbed || self.flips > 0, "{error}");
                self.model.cut = Some(end);
                self.is_poisoned = true;
            }
            Err(TruncateError::Read(error)) => self.judge_read(&error),
            Err(other) => panic!("{other}"),
        }
        Ok(())
    }

    fn fail(&mut self, operation: u8, failure: u8, passing: u8, for_ever: bool) {
        let operations = [
            Operation::Sync,
            Operation::Write,
            Operation::SyncDirectory,
            Operation::Rename,
            Operation::Remove,
            Operation::Create,
            Operation::Open,
            Operation::Read,
            Operation::List,
            Operation::Shrink,
        ];
        let failures = [
            Failure::Refused(SimError::Io),
            Failure::Torn(SimError::Io),
            Failure::DoneAll(SimError::Io),
            Failure::PagesLost,
            Failure::Refused(SimError::Full),
            Failure::Torn(SimError::WroteNothing),
        ];
        let operation = operations[usize::from(operation) % operations.len()];
        let failure = failures[usize::from(failure) % failures.len()];
        let fault = Fault::on(operation, failure).after(passing.into());
        self.is_disturbed = true;
        self.disk
            .inject(if for_ever { fault.for_ever() } else { fault });
    }

    fn flip(&mut self, file: u8, at: u16, bit: u8) {
        let files = self.disk.files();
        let Some((name, bytes)) = files.iter().nth(usize::from(file) % files.len().max(1)) else {
            return;
        };
        let at = usize::from(at);
        if at >= bytes.len() || self.flips == FLIPS_MAX {
            return;
        }
        self.flips += 1;
        self.disk.damage(name, |bytes| {
            // What is not yet on the medium may be shorter there.
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        });
    }

    fn judge_read(&self, error: &ReadError) {
        match error {
            ReadError::Damaged(_) => assert!(self.flips > 0, "{error}"),
            ReadError::Io { .. } => {
                assert!(self.is_disturbed || self.is_unsure_of_files, "{error}");
            }
            other => panic!("{other}"),
        }
    }

    fn read(&mut self, back: u8) {
        let mut next = self.before_end(back);
        for record in self.wal().iter_from(Lsn(next)) {
            match record {
                Ok(record) => {
                    assert_eq!(record.lsn().0, next, "INV-C1");
                    self.model.check_record(record.lsn(), record.payload());
                }
                Err(error) => return self.judge_read(&error),
            }
            next += 1;
        }
        assert_eq!(next, self.model.end(), "INV-C1");
    }

    /// An iterator reads on where it stopped, over whatever has happened since.
    fn follow(&mut self) {
        let wal = self.wal.as_ref().expect("it is open between steps");
        let follower = self.follower.get_or_insert_with(|| {
            self.followed = wal.first_lsn().0;
            wal.iter()
        });
        for record in follower.by_ref() {
            match record {
                Ok(record) => {
                    assert_eq!(record.lsn().0, self.followed, "INV-C1");
                    self.model.check_record(record.lsn(), record.payload());
                    self.followed += 1;
                }
                Err(ReadError::Truncated { requested, first }) => {
                    assert_eq!(requested.0, self.followed);
                    assert!(first > requested);
                    self.followed = first.0;
                }
                Err(error) => {
                    self.follower = None;
                    return self.judge_read(&error);
                }
            }
        }
        assert_eq!(self.followed, self.model.end(), "INV-C1");
    }

    fn look_on(&mut self) {
        // On a disk that shows the same, and on which nothing fails.
        let shown = self.disk.process_death();
        let reader = match WalReader::with_storage(Arc::new(shown)) {
            Ok(reader) => reader,
            Err(refusal) => return self.judge_refusal(&refusal),
        };
        let is_cut = self.model.cut == Some(reader.next_lsn().0);
        let (written_end, end) = (self.model.written_end, self.model.end());
        let is_possible = (written_end..=end).contains(&reader.next_lsn().0);
        assert!(
            is_possible || is_cut || self.flips > 0,
            "{:?}",
            reader.report()
        );
        for record in reader.iter() {
            match record {
                Ok(record) => self.model.check_record(record.lsn(), record.payload()),
                Err(error) => return self.judge_read(&error),
            }
        }
    }

    fn judge_refusal(&self, refusal: &OpenError) {
        let is_damage = matches!(refusal, OpenError::Damaged(_) | OpenError::Foreign { .. });
        assert!(
            is_damage && self.flips > 0,
            "refused without damage: {refusal}"
        );
    }

    fn close(&mut self) -> bool {
        let wal = self.wal.take().expect("it is open between steps");
        let end = match wal.close() {
            Ok(()) => End::Closed,
            Err(error) => {
                self.judge(&error.into());
                End::Died
            }
        };
        if end == End::Closed && !self.is_poisoned {
            self.model.written_end = self.model.end();
            self.model.durable_end = self.model.end();
        }
        if self.disk.is_off() {
            return self.lose_power(vec![u8::MAX]);
        }
        self.disk = self.disk.process_death();
        self.open(end)
    }

    fn die(&mut self) -> bool {
        if self.disk.is_off() {
            return self.lose_power(vec![]);
        }
        self.leave(self.disk.process_death());
        self.open(End::Died)
    }

    fn lose_power(&mut self, choices: Vec<u8>) -> bool {
        self.leave(self.disk.power_loss(&mut survival(choices)));
        self.open(End::PowerLost)
    }

    fn lose_power_twice(&mut self, steps: u8, choices: Vec<u8>) -> bool {
        let mut survival = survival(choices);
        self.leave(self.disk.power_loss(&mut survival));
        let disk = self.disk.clone();
        disk.power_off_at(disk.steps() + u64::from(steps));
        disk.set_capacity(None);
        if let Ok(wal) = Wal::with_storage(Arc::new(disk.clone()), self.options.clone()) {
            self.check_found(&wal, End::PowerLost);
            self.model.opened(&wal);
            self.wal = Some(wal);
        }
        self.leave(disk.power_loss(&mut survival));
        self.open(End::PowerLost)
    }

    /// The process is gone; the next one finds this disk.
    fn leave(&mut self, found: SimStorage) {
        self.disk.power_off_at(0);
        self.follower = None;
        self.wal = None;
        self.disk = found;
    }

    /// Opens what is found, and holds it against the model.
    fn open(&mut self, end: End) -> bool {
        self.disk.set_capacity(None);
        self.follower = None;
        self.is_disturbed = false;
        self.is_unsure_of_files = false;
        let was_poisoned = std::mem::take(&mut self.is_poisoned);
        let wal = match Wal::with_storage(Arc::new(self.disk.clone()), self.options.clone()) {
            Ok(wal) => wal,
            Err(refusal) => {
                self.judge_refusal(&refusal);
                return false;
            }
        };
        self.check_found(&wal, end);
        if end == End::Closed && !was_poisoned && self.flips == 0 {
            assert_eq!(wal.report().tail, TailState::Clean, "it was closed");
        }
        self.model.opened(&wal);
        self.wal = Some(wal);
        self.read(u8::MAX);
        true
    }

    fn check_found(&self, wal: &Wal, end: End) {
        let promised = match end {
            _ if self.flips > 0 => 0,
            End::Closed | End::Died => self.model.written_end,
            End::PowerLost => self.model.durable_end,
        };
        self.model.check_ends(wal, promised);
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        use Step::{AnyOrder, Append, Batch, Checkpoint, Close, Commit, Die, Durable, Fail, Flip, Flush, Follow, Garbage, InPlace, LookOn, PowerLoss, PowerLossTwice, PowerOff, Read, Repair, Room, Rotate, Sync, Truncate, VerifyAll};
        let fail = |operation, failure, passing| Fail { operation, failure, passing, for_ever: false };
        vec![
            ("append_and_read",     vec![Append(5), Follow, InPlace(100), Batch(vec![1, 2, 3]), Batch(vec![]), Flush, LookOn, Follow, Read(3), Close, Append(0), Close]),
            ("rotations",           vec![Append(9_000), Follow, Append(9_000), Append(9_000), LookOn, Follow, Append(19_000), Rotate, Rotate, Append(1), Follow, Close, Read(9)]),
            ("commits",             vec![Append(5), Append(6), Commit { back: 1, is_durable: true }, Durable(7), Append(8), Commit { back: 0, is_durable: false }, Die, Append(1), Sync, PowerLoss(vec![])]),
            ("checkpoints",         vec![Append(5), Rotate, Follow, Append(6), Rotate, Append(7), Checkpoint(1), Follow, LookOn, Die, Checkpoint(0), Close]),
            ("truncations",         vec![Append(5), Append(6), Rotate, Batch(vec![1, 2, 3]), Truncate(2), Append(9), Close, Truncate(3), Append(1), Die, Truncate(9), Append(2), PowerLoss(vec![0])]),
            ("power_losses",        vec![Append(700), Durable(5), Append(900), Flush, PowerLoss(vec![0, 1]), Append(30), Flush, PowerLoss(vec![0]), Durable(4), Append(600), Flush, PowerLoss(vec![1, 0, 2])]),
            ("power_lost_twice",    vec![Durable(5), Append(900), Flush, PowerLossTwice { steps: 3, survival: vec![1, 0] }, Append(9), Sync, PowerLossTwice { steps: 7, survival: vec![0] }]),
            ("power_off_rotating",  vec![Append(700), Sync, PowerOff(4), Append(800), Rotate, PowerLoss(vec![1]), Append(6), PowerOff(1), Sync, Close]),
            ("power_off_truncating", vec![Append(700), Append(5), Sync, PowerOff(3), Truncate(1), PowerLoss(vec![0, 0, 1])]),
            ("power_lost_truncated", vec![Append(700), Append(5), Truncate(1), PowerLoss(vec![0]), Read(9)]),
            ("any_order_garbage",   vec![AnyOrder, Garbage, Append(700), Sync, Append(800), Rotate, Append(900), Flush, PowerLoss(vec![1, 0, 2, 1])]),
            ("sync_fails",          vec![Append(700), Sync, fail(0, 3, 0), Append(5), Sync, Append(6), Sync, LookOn, Die, Sync, PowerLoss(vec![0])]),
            ("write_fails",         vec![Append(700), fail(1, 1, 0), Flush, Repair, Flush, Close, Append(1), fail(1, 2, 1), Rotate, Die]),
            ("naming_fails",        vec![Append(7), fail(3, 0, 0), Rotate, Die, Append(8), fail(2, 0, 0), Rotate, PowerLoss(vec![1])]),
            ("removing_fails",      vec![Append(7), Rotate, Append(8), fail(4, 0, 0), Checkpoint(0), Follow, Die, Append(8), fail(5, 4, 0), Truncate(1), Repair, Truncate(1)]),
            ("removed_unsaid",      vec![Append(7), Rotate, Append(8), fail(4, 2, 0), Checkpoint(0), Repair, Truncate(9), Read(9), Checkpoint(0), Read(9), Die]),
            ("disk_full",           vec![Append(7), Room(1), Rotate, Append(8), Durable(9), Append(16_000), Append(16_000), Read(9), Repair, Sync, Close]),
            ("reads_fail",          vec![Append(7), Rotate, Append(8), Fail { operation: 7, failure: 0, passing: 0, for_ever: true }, Read(9), Follow, Truncate(1), Repair, Read(9)]),
            ("rot_at_the_end",      vec![Append(7), Durable(300), Append(9), Flip { file: 1, at: 8300, bit: 2 }, Read(9), LookOn, Die, Append(1), Close]),
            ("rot_in_the_middle",   vec![Append(300), Sync, Append(300), Rotate, Append(9), Sync, Append(1), Flip { file: 0, at: 8250, bit: 2 }, LookOn, Close, Read(9)]),
            ("rot_is_looked_for",   vec![Append(300), Rotate, Append(9), VerifyAll, Flip { file: 0, at: 8250, bit: 2 }, Close]),
        ]
    }
}
