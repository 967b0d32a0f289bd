//! A life: the log is opened, works, and ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use log_wal::format::FIRST_POSITION;
use log_wal::storage::sim::{Failure, Fault, Operation, SimError};
use log_wal::{AppendError, CommitError, Level, Lsn, TruncateError, Wal};
use rand::RngExt;

use super::model::Model;
use super::recovery::uncut;
use super::{End, History, Writing, locked};

/// What a step of work ended with.
enum Done {
    Well,
    /// The disk was full; nothing else is wrong.
    Full,
    /// The log acknowledges nothing any more.
    Poisoned,
}

impl History {
    /// Opens the log, which has been looked at already, and works until the
    /// life ends.
    pub(super) fn live(&mut self) -> Result<End, String> {
        if self.random.random_bool(0.85) {
            let steps = match self.random.random_range(0..3) {
                0 => self.random.random_range(0..12),
                _ => self.random.random_range(0..70),
            };
            self.disk.power_off_at(self.disk.steps() + steps);
        }
        if self.random.random_bool(0.25) {
            let fault = self.fault();
            self.disk.inject(fault);
        }
        let options = self.options();
        let storage = Arc::new(self.disk.clone());
        let Ok(wal) = Wal::with_storage(storage, options) else {
            // It could not even open: the power, or a fault.
            let off = self.disk.is_off() || self.random.random_bool(0.5);
            return Ok(if off {
                End::PowerLoss
            } else {
                End::ProcessDeath
            });
        };
        let mut wal = Arc::new(uncut(wal)?);
        self.model().opened(&wal);
        self.watch(&wal);
        let worked = self.work(&mut wal);
        self.disk.unwatch();
        let poisoned = worked?;
        let stats = wal.stats();
        self.tally.rotations += stats.rotations;
        self.end(wal, poisoned)
    }

    /// One thing that goes wrong in this life.
    fn fault(&mut self) -> Fault {
        let kinds = 9 + u32::from(self.writing == Writing::Mapped);
        let random = &mut self.random;
        let io = SimError::Io;
        let failure = [
            Failure::Refused(io),
            Failure::Torn(io),
            Failure::DoneAll(io),
            Failure::PagesLost,
        ][random.random_range(0..4)];
        let (operation, failure) = match random.random_range(0..kinds) {
            0..3 => (Operation::Sync, failure),
            3..5 => (Operation::Write, failure),
            5 => (Operation::SyncDirectory, failure),
            6 => (Operation::Rename, failure),
            7 => (Operation::Remove, Failure::Refused(io)),
            8 => (Operation::Create, Failure::Refused(SimError::Full)),
            _ => (Operation::Map, Failure::Refused(io)),
        };
        // Files are made less often than anything else is done.
        let calls_max = match operation {
            Operation::Create | Operation::Map => 3,
            _ => 12,
        };
        let calls = random.random_range(0..calls_max);
        let fault = Fault::on(operation, failure).after(calls);
        // A disk that stays full would end every life alike.
        if random.random_bool(0.3) && operation != Operation::Create {
            fault.for_ever()
        } else {
            fault
        }
    }

    /// While the disk works, somebody else appends.
    fn watch(&mut self, wal: &Arc<Wal>) {
        if !self.interleaved {
            return;
        }
        let others = Others {
            wal: Arc::downgrade(wal),
            model: Arc::clone(&self.model),
            length: self.length(),
            may_append: Arc::clone(&self.others_may_append),
            writing: self.writing,
        };
        let every = self.random.random_range(1..4);
        let calls = AtomicU64::new(0);
        self.disk.before_each_call(move |call| {
            let is_commit = matches!(call.operation, Operation::Write | Operation::Sync);
            let nth = calls.fetch_add(1, Ordering::Relaxed);
            // Not for ever: they would be faster than the disk.
            if is_commit && nth < 60 && nth.is_multiple_of(every) {
                others.append();
            }
        });
    }

    /// Works until the power goes, the log stops, or there was enough.
    /// Returns whether it stopped.
    fn work(&mut self, wal: &mut Arc<Wal>) -> Result<bool, String> {
        let steps = self.random.random_range(0..60);
        for _ in 0..steps {
            let done = self.step(wal)?;
            self.model().acknowledge(wal.watermarks())?;
            match done {
                Done::Well => {}
                Done::Full => self.tally.disk_full += 1,
                Done::Poisoned => {
                    self.tally.poisoned += u64::from(!self.disk.is_off());
                    self.stays_poisoned(wal)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn step(&mut self, wal: &mut Arc<Wal>) -> Result<Done, String> {
        let outcome = match self.random.random_range(0..43) {
            40 => self.prepare(wal).map_err(AppendError::from),
            41..43 => self.checkpoint(wal).map_err(AppendError::from),
            0..16 => self.append(wal),
            16..21 => self.append_batch(wal),
            21..26 => self.append_durable(wal),
            26..30 => {
                let flushed = self.among_others(|| wal.flush());
                flushed.map(drop).map_err(AppendError::from)
            }
            30..34 => self.sync(wal)?,
            34..36 => self.commit_some(wal),
            36..38 => wal.rotate().map(drop),
            38 => self.checkpoint(wal).map_err(AppendError::from),
            _ => self.truncate(wal)?,
        };
        match outcome {
            Ok(()) => Ok(Done::Well),
            Err(AppendError::Commit(error)) => match error {
                CommitError::StorageFull { .. } => Ok(Done::Full),
                CommitError::Refused { .. } => Ok(Done::Well),
                CommitError::Poisoned { .. } => Ok(Done::Poisoned),
                other => Err(format!("unexpected: {other}")),
            },
            Err(other) => Err(format!("unexpected: {other}")),
        }
    }

    fn append(&mut self, wal: &Wal) -> Result<(), AppendError> {
        for _ in 0..self.random.random_range(1..8) {
            let len_bytes = self.length();
            let payload = self.model().payload(len_bytes);
            wal.append(&payload)?;
            self.model().push(payload, true);
        }
        Ok(())
    }

    fn append_batch(&mut self, wal: &Wal) -> Result<(), AppendError> {
        let records = self.random.random_range(0..10);
        let lengths: Vec<_> = (0..records).map(|_| self.length()).collect();
        let payloads: Vec<_> = {
            let mut model = self.model();
            lengths
                .iter()
                .map(|length| model.payload(*length))
                .collect()
        };
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        wal.append_batch(&slices)?;
        let mut model = self.model();
        for (index, payload) in payloads.into_iter().enumerate() {
            model.push(payload, index + 1 == records);
        }
        Ok(())
    }

    fn append_durable(&mut self, wal: &Wal) -> Result<(), AppendError> {
        let len_bytes = self.length();
        let payload = self.model().payload(len_bytes);
        if self.interleaved {
            // Others append while this one waits: it must be noted before.
            let lsn = wal.append(&payload)?;
            self.model().push(payload, true);
            let durable = || wal.commit(Lsn(lsn.0 + 1), Level::Durable);
            return Ok(self.among_others(durable)?);
        }
        let outcome = wal.append_durable(&payload).map(drop);
        // Without an acknowledgement it may be appended, or not.
        if wal.next_lsn() > self.model().next_lsn() {
            self.model().push(payload, true);
        }
        outcome
    }

    /// A sync says that everything before it is durable.
    fn sync(&mut self, wal: &Wal) -> Result<Result<(), AppendError>, String> {
        let before = self.model().next_lsn();
        match self.among_others(|| wal.sync()) {
            Ok(durable_end) if durable_end < before => Err(format!(
                "INV-F1: {durable_end} are durable, and {before} had been appended"
            )),
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn commit_some(&mut self, wal: &Wal) -> Result<(), AppendError> {
        let end = self.random.random_range(0..=wal.next_lsn().0 + 1);
        let level = [Level::Written, Level::Durable][self.random.random_range(0..2)];
        Ok(self.among_others(|| wal.commit(Lsn(end), level))?)
    }

    /// Waits for the disk, while others may append. A mapped log also waits for
    /// it in an append that rotates, and then every other append waits for that
    /// one: here that would be for itself.
    fn among_others<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.others_may_append.store(true, Ordering::Relaxed);
        let result = wait();
        let always = self.writing == Writing::Calls;
        self.others_may_append.store(always, Ordering::Relaxed);
        result
    }

    /// No record depends on it, so that it never stops the log.
    fn prepare(&self, wal: &Wal) -> Result<(), CommitError> {
        match wal.prepare() {
            Err(CommitError::Poisoned { .. }) => unreachable!("nothing is at stake"),
            other => other.map(drop),
        }
    }

    fn checkpoint(&mut self, wal: &Wal) -> Result<(), CommitError> {
        let lsn = self.random.random_range(0..=wal.next_lsn().0);
        let first_max = {
            let mut model = self.model();
            model.first_max = model.first_max.max(lsn as usize);
            model.first_max
        };
        wal.checkpoint(Lsn(lsn))?;
        let first = wal.first_lsn().0 as usize;
        let mut model = self.model();
        model.first_min = model.first_min.max(first.min(first_max));
        Ok(())
    }

    fn truncate(&mut self, wal: &mut Arc<Wal>) -> Result<Result<(), AppendError>, String> {
        // It needs the log to itself.
        self.disk.unwatch();
        let (first, next) = (wal.first_lsn().0, wal.next_lsn().0);
        let end = self.random.random_range(first..=next);
        self.model().cut = Some(end as usize);
        let wal_mut = Arc::get_mut(wal).ok_or("somebody holds the log")?;
        let outcome = match wal_mut.truncate_after(Lsn(end)) {
            Ok(()) if end == next => {
                self.model().cut = None;
                Ok(())
            }
            Ok(()) => {
                self.tally.truncations += 1;
                self.model().truncate(end as usize);
                Ok(())
            }
            Err(TruncateError::Read(_)) if self.disk.is_off() => {
                self.model().cut = None;
                Ok(())
            }
            Err(TruncateError::Commit(error)) => {
                if !matches!(error, CommitError::Poisoned { .. }) {
                    self.model().cut = None;
                }
                Err(error.into())
            }
            Err(TruncateError::Reopen(_)) => {
                // Says why it stopped, like every call from now on.
                wal.append(b"").map(drop)
            }
            Err(other) => return Err(format!("unexpected: {other}")),
        };
        self.watch(wal);
        Ok(outcome)
    }

    /// After a failure nothing is acknowledged again.
    fn stays_poisoned(&mut self, wal: &Wal) -> Result<(), String> {
        let before = wal.watermarks();
        let payload = self.model().payload(8);
        if wal.append(&payload).is_ok() || wal.append_durable(&payload).is_ok() {
            return Err("INV-W6: an append succeeds after a failure".to_owned());
        }
        // Everything that had been reached may be said again, and no more.
        let synced = wal.sync();
        let after = wal.watermarks();
        if synced.is_ok() && after.durable_end < after.published_end {
            return Err("INV-W6: a sync succeeds after a failure".to_owned());
        }
        if after.durable_end > before.durable_end {
            return Err("INV-W6: records become durable after a failure".to_owned());
        }
        Ok(())
    }

    fn end(&mut self, wal: Arc<Wal>, poisoned: bool) -> Result<End, String> {
        let end = match self.random.random_range(0..8) {
            _ if self.disk.is_off() => End::PowerLoss,
            0..4 => End::PowerLoss,
            4..6 => End::ProcessDeath,
            _ => End::Close,
        };
        if end == End::Close && !poisoned {
            self.disk.clear_faults();
            let wal = Arc::into_inner(wal).ok_or("somebody holds the log")?;
            return match wal.close() {
                Ok(()) => {
                    let mut model = self.model();
                    model.durable_end = model.records.len();
                    Ok(End::Close)
                }
                Err(_) if self.disk.is_off() => Ok(End::PowerLoss),
                Err(error) => Err(format!("closing: {error}")),
            };
        }
        // Dropping it must not reach the disk: the process is gone.
        self.disk.power_off_at(0);
        drop(wal);
        Ok(if poisoned && end == End::Close {
            End::ProcessDeath
        } else {
            end
        })
    }
}

/// Somebody else who appends.
struct Others {
    wal: Weak<Wal>,
    model: Arc<Mutex<Model>>,
    length: usize,
    may_append: Arc<AtomicBool>,
    writing: Writing,
}

impl Others {
    fn append(&self) {
        let Some(wal) = self.wal.upgrade() else {
            return;
        };
        if !self.may_append.load(Ordering::Relaxed) || !self.has_room(&wal) {
            return;
        }
        let mut model = locked(&self.model);
        let payload = model.payload(self.length);
        if wal.append(&payload).is_ok() {
            model.push(payload, true);
        }
    }

    /// Whether an append does not have to rotate, or rotates without the disk.
    fn has_room(&self, wal: &Wal) -> bool {
        /// Around a payload, with a mark that comes before it.
        const OVERHEAD_BYTES: u64 = 64;
        let open = wal.segments().pop().expect("there always is one");
        let room = open.file_bytes - FIRST_POSITION - open.data_bytes;
        self.writing == Writing::Calls || room > self.length as u64 + OVERHEAD_BYTES
    }
}
