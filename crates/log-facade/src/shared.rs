//! What a log's handle, its snapshots and its housekeeper share.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Alarm, Clock, nanos};
use crate::cursor::{Cursors, without_cursors};
use crate::engine::{self, Engine, MemStorage};
use crate::error::{AppendError, CommitError, HousekeepingCause, Task};
use crate::floor::Floor;
use crate::health::Health;
use crate::meters::{Began, Meters};
use crate::news::News;
use crate::policy::Policies;
use crate::retention;
use crate::stats::LogStats;
use crate::{Level, Lsn, NewRecord, OpenReport, Timestamp};

#[derive(Debug)]
pub(crate) struct Shared {
    pub engine: Box<dyn Engine>,
    /// What opening found.
    pub report: OpenReport,
    /// What the engine says that it keeps, which is asked for each append.
    pub keeps: Level,
    pub policies: Policies,
    /// What records must have reached to be shown.
    pub read_level: Level,
    pub clock: Arc<dyn Clock>,
    pub floor: Arc<Floor>,
    pub cursors: Arc<Cursors>,
    pub health: Health,
    pub meters: Meters,
    pub news: Arc<News>,
    /// What wakes the housekeeper, if there is one.
    pub alarm: Option<Arc<Alarm>>,
    /// The uptime, in nanoseconds, at which the log was last flushed as far as
    /// its policy wants.
    flushed_at_nanos: AtomicU64,
    /// The engine's count of sealed segments when somebody last looked.
    sealed_seen: AtomicU64,
    /// No segment is full of records before this one.
    full_at: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        policies: Policies,
        read_level: Level,
        clock: Arc<dyn Clock>,
        meters: Meters,
    ) -> Self {
        let storage = engine.storage();
        let storage = storage.unwrap_or_else(|| Arc::new(MemStorage::new()));
        let alarm = policies
            .need_housekeeper()
            .then(|| Arc::new(Alarm::default()));
        Self {
            flushed_at_nanos: AtomicU64::new(nanos(clock.uptime())),
            sealed_seen: AtomicU64::new(engine.sealed_count()),
            full_at: AtomicU64::new(0),
            cursors: Arc::new(Cursors::open(storage)),
            report: without_cursors(engine.report()),
            keeps: engine.keeps(),
            engine,
            policies,
            read_level,
            clock,
            floor: Arc::default(),
            health: Health::default(),
            meters,
            news: Arc::default(),
            alarm,
        }
    }

    /// Comes before every append: refuses what cannot be met, and does what is
    /// due first.
    #[inline]
    pub(crate) fn begin(&self, level: Level) -> Result<(), AppendError> {
        self.admit(level)?;
        self.rotate_if_full()
    }

    /// What records get that have no timestamp.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.policies.stamps.then(|| self.clock.now()))
    }

    /// The record with the time by the log's clock, if it has none.
    #[inline]
    pub(crate) fn stamped<'a>(&self, record: NewRecord<'a>) -> NewRecord<'a> {
        self.stamp().put_on(record)
    }

    /// Refuses a level that is not kept, and tells what failed in the
    /// background.
    #[inline]
    pub(crate) fn admit(&self, level: Level) -> Result<(), CommitError> {
        if level > self.keeps {
            return Err(CommitError::LevelNotKept {
                asked: level,
                kept: self.keeps,
            });
        }
        self.health.tell().map_err(CommitError::from)
    }

    /// What the engine answered to an append. One that failed may have settled
    /// earlier records on its way.
    #[inline]
    pub(crate) fn appended<R>(
        &self,
        answer: Result<R, engine::AppendError>,
    ) -> Result<R, engine::AppendError> {
        answer.inspect_err(|_| self.tell_settled())
    }

    /// Comes behind every append that did not fail: waits for the level, does
    /// the flush that the count asks for, and gives word to those who care for
    /// full segments.
    #[inline]
    pub(crate) fn finish(
        &self,
        lsns: Range<Lsn>,
        bytes: usize,
        level: Level,
    ) -> Result<(), CommitError> {
        if lsns.is_empty() {
            return Ok(());
        }
        let end = lsns.end;
        self.note_appended(end.0 - lsns.start.0, bytes);
        // Being published needs nothing more, and so no room for an error.
        if level == Level::Published && self.policies.flush.records.is_none() {
            self.tell_settled();
            self.notice_sealed();
            return Ok(());
        }
        let settled = self.settle(end, level);
        self.tell_settled();
        self.notice_sealed();
        settled
    }

    /// What an append does behind being published.
    #[inline(never)]
    fn settle(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        // Appending has done that.
        if level != Level::Published {
            self.commit(end, level)?;
        }
        self.flush_if_many(end)
    }

    /// Gives word of records that are visible now.
    #[inline]
    pub(crate) fn note_appended(&self, records: u64, bytes: usize) {
        self.meters.appended(records, bytes as u64);
        self.news.tell_published();
    }

    /// Bounds by `records` how many are not flushed: the append that makes
    /// them too many brings them to the disk.
    fn flush_if_many(&self, end: Lsn) -> Result<(), CommitError> {
        if let Some(level) = self.due_flush(end) {
            self.commit(end, level)?;
            self.note_flush(level);
        }
        Ok(())
    }

    /// The level that so many records in front of `end` have not reached that
    /// it is time.
    #[inline]
    pub(crate) fn due_flush(&self, end: Lsn) -> Option<Level> {
        let records = self.policies.flush.records?;
        let level = self.policies.flush.level;
        let unflushed = end.distance_from(self.reached(level)).unwrap_or_default();
        (unflushed >= records).then_some(level)
    }

    /// Waits until what is published below `end` has reached `level`.
    pub(crate) fn commit(&self, end: Lsn, level: Level) -> Result<(), engine::CommitError> {
        let began = Began::now();
        let committed = self.engine.commit(end, level);
        self.meters.committed(level, began);
        self.tell_settled();
        committed
    }

    /// Goes on in a new segment, see [`Engine::rotate`].
    pub(crate) fn rotate(&self) -> Result<bool, engine::AppendError> {
        let rotated = self.engine.rotate();
        self.tell_settled();
        rotated
    }

    /// Has those look who wait for what is written or durable now.
    #[inline]
    pub(crate) fn tell_settled(&self) {
        self.news.tell_settled(|| self.engine.watermarks());
    }

    /// Begins another segment if the active one has as many records as it may.
    #[inline]
    pub(crate) fn rotate_if_full(&self) -> Result<(), AppendError> {
        match self.policies.rotation.records {
            Some(records) if self.may_be_full() => self.rotate_at(records),
            _ => Ok(()),
        }
    }

    #[cold]
    fn rotate_at(&self, records: u64) -> Result<(), AppendError> {
        let next = self.engine.next_lsn();
        if self.active_base().0.saturating_add(records) <= next.0 {
            self.rotate()?;
        }
        let full_at = self.active_base().0.saturating_add(records);
        self.full_at.store(full_at, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the active segment may have as many records as it may.
    #[inline]
    pub(crate) fn may_be_full(&self) -> bool {
        // Relaxed: a hint; who believes it too late looks at the segments.
        self.policies.rotation.records.is_some()
            && self.engine.next_lsn().0 >= self.full_at.load(Ordering::Relaxed)
    }

    /// The number of the active segment's first record.
    pub(crate) fn active_base(&self) -> Lsn {
        let segments = self.engine.segments();
        segments.last().map_or(Lsn::ZERO, |active| active.base)
    }

    /// Has somebody look after segments that were sealed since the last time.
    #[inline]
    pub(crate) fn notice_sealed(&self) {
        if self.alarm.is_none() {
            return;
        }
        let count = self.engine.sealed_count();
        // Relaxed: of those who see the change at once, any one may be the one
        // who tells; the alarm has a lock of its own.
        if count != self.sealed_seen.load(Ordering::Relaxed)
            && self.sealed_seen.swap(count, Ordering::Relaxed) != count
        {
            self.tell_of_sealed();
        }
    }

    #[cold]
    fn tell_of_sealed(&self) {
        // Files can wait for the housekeeper. Memory cannot: it is bounded by
        // nothing else, and dropping it takes no time.
        if self.keeps == Level::Published
            && let Err(error) = retention::apply_sizes(self)
        {
            self.fail(Task::Retain, error.into());
        }
        if let Some(alarm) = &self.alarm {
            alarm.ring();
        }
    }

    /// Brings everything published to `level`; the end of what has reached it.
    pub(crate) fn flush_to(&self, level: Level) -> Result<Lsn, CommitError> {
        self.admit(level)?;
        self.commit(Lsn(u64::MAX), level)?;
        self.note_flush(level);
        Ok(self.reached(level))
    }

    /// Begins the flush interval anew, if this flush was as good as its own.
    pub(crate) fn note_flush(&self, level: Level) {
        if level >= self.policies.flush.level && self.policies.flush.interval.is_some() {
            // Relaxed: one number; nothing follows from seeing it.
            self.flushed_at_nanos
                .fetch_max(nanos(self.clock.uptime()), Ordering::Relaxed);
        }
    }

    /// The uptime at the last flush.
    pub(crate) fn flushed_at(&self) -> Duration {
        Duration::from_nanos(self.flushed_at_nanos.load(Ordering::Relaxed))
    }

    /// One past the last record that has reached `level`.
    pub(crate) fn reached(&self, level: Level) -> Lsn {
        match level {
            Level::Published => self.engine.next_lsn(),
            Level::Written => self.engine.watermarks().written_end,
            Level::Durable => self.engine.watermarks().durable_end,
        }
    }

    /// Maps and indexes segments that were sealed, if some were. What cannot be
    /// is left to its first reader, who is told why.
    pub(crate) fn index_sealed(&self) {
        let count = self.engine.sealed_count();
        // Relaxed as in `notice_sealed`.
        if self.sealed_seen.swap(count, Ordering::Relaxed) == count {
            return;
        }
        if let Err(error) = self.engine.index_sealed() {
            tracing::warn!(%error, "a sealed segment was not indexed");
        }
    }

    /// Takes down that the engine has discarded the records from `end` on.
    pub(crate) fn note_cut(&mut self, end: Lsn) {
        self.sealed_seen = AtomicU64::new(self.engine.sealed_count());
        self.full_at = AtomicU64::new(0);
        self.news.tell_cut(end);
    }

    /// Takes down what could not be done in the background.
    pub(crate) fn fail(&self, task: Task, cause: HousekeepingCause) {
        self.meters.failed();
        self.health.fail(task, self.clock.uptime(), cause);
    }

    pub(crate) fn stats(&self) -> LogStats {
        let by_cursors = self
            .cursors
            .lowest_pin(&self.engine.segments(), self.engine.next_lsn());
        LogStats {
            engine: self.engine.stats(),
            housekeeping: self.health.stats(),
            pins: self.floor.count() + self.cursors.pins(),
            lowest_pin: self.floor.lowest().into_iter().chain(by_cursors).min(),
        }
    }

    /// Makes everything as safe as the engine can, and closes it unless
    /// somebody still reads.
    pub(crate) fn close(self: Arc<Self>) -> Result<(), CommitError> {
        match Arc::try_unwrap(self) {
            Ok(shared) => Ok(shared.engine.close()?),
            Err(shared) => Ok(shared.engine.commit(Lsn(u64::MAX), shared.keeps)?),
        }
    }
}

/// The time that records get which have none; nothing if the log gives none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(Option<Timestamp>);

impl Stamp {
    #[inline]
    pub(crate) fn put_on(self, record: NewRecord<'_>) -> NewRecord<'_> {
        match self.0 {
            Some(now) if !record.has_timestamp() => record.timestamp(now),
            _ => record,
        }
    }
}
