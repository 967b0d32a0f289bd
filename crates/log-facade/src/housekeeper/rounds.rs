//! What is done in the background, and when it is due.

use std::time::Duration;

use crate::{Lsn, Timestamp};

use super::age::Ages;
use super::calendar::Calendar;
use crate::clock::nanos;
use crate::engine;
use crate::error::{HousekeepingCause, Task};
use crate::retention;
use crate::shared::Shared;

/// The housekeeper's work on one log, round by round.
#[derive(Debug)]
pub(super) struct Rounds<'a> {
    shared: &'a Shared,
    /// What it is doing.
    task: Task,
    /// Whether the log is poisoned: then nothing that writes is tried again.
    is_poisoned: bool,
    /// The engine's count of sealed segments when they were last looked after.
    sealed_seen: u64,
    /// Whether it has tried to make a file ahead of need.
    has_prepared: bool,
    retention_due: Duration,
    /// Not before, because it failed: trying again at once would fail again,
    /// and each try looks like another change.
    retention_pause: Duration,
    /// By which retention goes, if it goes by age.
    calendar: Option<Calendar>,
    ages: Ages,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            task: Task::Flush,
            is_poisoned: false,
            sealed_seen: shared.engine.sealed_count(),
            has_prepared: false,
            // At once: a log may have grown old while it was closed.
            retention_due: Duration::ZERO,
            retention_pause: Duration::ZERO,
            calendar: None,
            ages: Ages::default(),
        }
    }

    /// Does what is due, and returns the uptime at which something will be.
    pub(super) fn go(&mut self) -> Option<Duration> {
        self.shared.health.rounds.add(1);
        if self.is_poisoned {
            return None;
        }
        let flush_due = self.flush();
        let rotation_due = self.rotate();
        let has_sealed = self.look_after_sealed();
        self.prepare(has_sealed);
        let retention_due = self.retain(has_sealed);
        let dues = [flush_due, rotation_due, retention_due];
        dues.into_iter().flatten().min()
    }

    /// Takes down that the task could not be done.
    pub(super) fn fail(&mut self, cause: HousekeepingCause) {
        self.is_poisoned |= is_poison(&cause);
        self.shared.fail(self.task, cause);
    }

    fn flush(&mut self) -> Option<Duration> {
        let interval = self.shared.policies.flush.interval?;
        let now = self.shared.clock.uptime();
        let due = self.shared.flushed_at() + interval;
        if now < due {
            return Some(due);
        }
        self.task = Task::Flush;
        let level = self.shared.policies.flush.level;
        if self.shared.engine.next_lsn() > self.shared.reached(level) {
            match self.shared.commit(Lsn(u64::MAX), level) {
                Ok(()) => self.shared.health.flushes.add(1),
                Err(error) => self.fail(error.into()),
            }
        }
        self.shared.note_flush(level);
        Some(self.shared.flushed_at() + interval)
    }

    /// Begins another segment when the active one is old enough.
    fn rotate(&mut self) -> Option<Duration> {
        let age = self.shared.policies.rotation.age?;
        self.task = Task::Rotate;
        let now = self.shared.clock.uptime();
        let due = match self.ages.of_active(self.shared, now) {
            // None can be old enough before then.
            None => return Some(now + age),
            Some(old) => now + age.saturating_sub(old),
        };
        if now < due {
            return Some(due);
        }
        match self.shared.rotate() {
            Ok(rotated) => self.shared.health.rotations.add(rotated.into()),
            Err(error) => self.fail(error.into()),
        }
        self.ages.begin_anew(now);
        Some(now + age)
    }

    /// Indexes what was sealed since the last round. Returns whether something
    /// was.
    fn look_after_sealed(&mut self) -> bool {
        let count = self.shared.engine.sealed_count();
        if count == self.sealed_seen {
            return false;
        }
        self.sealed_seen = count;
        self.task = Task::Index;
        match self.shared.engine.index_sealed() {
            Ok(indexed) => self.shared.health.segments_indexed.add(indexed as u64),
            Err(error) => self.fail(error.into()),
        }
        true
    }

    /// Makes the next segment's file: when the log was opened, and whenever the
    /// last one was taken.
    fn prepare(&mut self, has_sealed: bool) {
        let is_due = has_sealed || !self.has_prepared;
        if !self.shared.policies.prepares_ahead || !is_due {
            return;
        }
        self.has_prepared = true;
        self.task = Task::Prepare;
        match self.shared.engine.prepare() {
            Ok(prepared) => self.shared.health.files_prepared.add(prepared.into()),
            Err(error) => self.fail(error.into()),
        }
    }

    fn retain(&mut self, has_sealed: bool) -> Option<Duration> {
        let retention = self.shared.policies.retention;
        if !retention.is_bounded() {
            return None;
        }
        let now = self.shared.clock.uptime();
        if now >= self.retention_due || (has_sealed && now >= self.retention_pause) {
            self.task = Task::Retain;
            self.retention_due = now + retention.interval;
            if let Err(cause) = self.drop_old() {
                self.retention_pause = self.retention_due;
                self.fail(cause);
            }
        }
        Some(self.retention_due)
    }

    fn drop_old(&mut self) -> Result<(), HousekeepingCause> {
        retention::apply_sizes(self.shared)?;
        let Some(age) = self.shared.policies.retention.age else {
            return Ok(());
        };
        let clock = &self.shared.clock;
        let calendar = self.calendar.get_or_insert_with(|| Calendar::new(age));
        let (now, has_jumped) = calendar.believe(clock.now(), clock.uptime());
        if has_jumped {
            self.shared.health.clock_jumps.add(1);
            tracing::warn!(believed = %now, "the time of day jumped forward; not believed yet");
        }
        let cutoff = Timestamp(now.0.saturating_sub(nanos(age)));
        retention::apply_age(self.shared, cutoff)?;
        Ok(())
    }
}

/// Whether nothing that writes can succeed any more.
fn is_poison(cause: &HousekeepingCause) -> bool {
    use engine::{AppendError, CommitError};
    matches!(
        cause,
        HousekeepingCause::Commit(CommitError::Poisoned { .. })
            | HousekeepingCause::Append(AppendError::Commit(CommitError::Poisoned { .. }))
    )
}
