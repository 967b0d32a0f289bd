//! A log, open for writing and reading.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log_mmap::Payload;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{AppendError, CommitError, OpenError};
use crate::housekeeper::Housekeeper;
use crate::meters::Meters;
use crate::news::Door;
use crate::options::LogOptions;
use crate::policy::Policies;
use crate::records::Records;
use crate::retention;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::stats::LogStats;
use crate::subscribe::{StartAt, SubscribeError, SubscribeOptions, Subscription};
use crate::{
    Level, Lsn, NewRecord, OpenReport, ReadError, Record, SegmentInfo, Slice, Timestamp, Watermarks,
};

/// An append-only record log, open for writing and reading.
///
/// It lies in a directory, or in memory. All methods take `&self` and may be
/// called by any number of threads; share it in an [`Arc`]. One process at a
/// time can have a directory open for writing; any number can read it beside,
/// see [`LogReader`](crate::LogReader).
///
/// Dropping it stops its housekeeper, and brings everything appended to the
/// disk as [`close`](Self::close) does, but cannot say whether that worked.
#[derive(Debug)]
pub struct Log {
    // Stopped first: it works on the other.
    housekeeper: Option<Housekeeper>,
    shared: Arc<Shared>,
    /// To this log, for those who must not keep it open.
    door: Arc<Door>,
}

impl Log {
    /// Opens the log in `directory` with default options, making both if they
    /// are missing.
    ///
    /// Blocks for the recovery of the newest segment: its time does not depend
    /// on the length of the log. What it found is in [`report`](Self::report).
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(directory)
    }

    /// Options to open a log with.
    pub fn options() -> LogOptions {
        LogOptions::default()
    }

    pub(crate) fn start(
        engine: Box<dyn Engine>,
        policies: Policies,
        read_level: Level,
        clock: Arc<dyn Clock>,
        meters: Meters,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(engine, policies, read_level, clock, meters));
        let housekeeper = Housekeeper::start(&shared).map_err(OpenError::Housekeeper)?;
        Ok(Self {
            housekeeper,
            door: Door::of(&shared),
            shared,
        })
    }

    /// Appends a record and returns its number, once the record has reached
    /// the level that this log [acknowledges](LogOptions::acknowledge) at:
    /// *published* unless chosen otherwise. Then every reader of this log sees
    /// it, and everything before it.
    ///
    /// - `payload`: 0 to [`record_bytes_max`](LogOptions::record_bytes_max)
    ///   bytes. Copied, so the buffer is free again at once.
    /// - The record gets the time by the log's clock, unless
    ///   [chosen otherwise](LogOptions::stamp).
    /// - Blocks, at level *published*, only while so many full segments wait
    ///   for the disk that memory would grow beyond its bound, and for what the
    ///   log's policies have an append do; at the other levels for a write or a
    ///   sync, which concurrent callers share.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. The record was not appended, except for
    /// [`AppendError::Commit`] at a level above *published*: then it may be,
    /// and is not acknowledged.
    #[inline]
    pub fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.append_to(self.level(), payload)
    }

    /// Appends a record and returns its number once it has reached `level`
    /// (`INV-F1`), otherwise as [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    #[inline]
    pub fn append_to(&self, level: Level, payload: &[u8]) -> Result<Lsn, AppendError> {
        let record = self.shared.stamped(NewRecord::new(payload));
        self.append_stamped(level, &record)
    }

    /// Appends a record with a key, headers or whatever else it carries,
    /// otherwise as [`append`](Self::append). A timestamp that it has stays.
    ///
    /// ```
    /// use log_facade::{Log, NewRecord};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let log = Log::open(directory.path())?;
    /// let paid = NewRecord::new(b"3 apples").key(b"order 1").header("by", b"card");
    /// let lsn = log.append_record(&paid)?;
    ///
    /// let record = log.read(lsn)?.ok_or("not there")?;
    /// assert_eq!(record.key(), Some(&b"order 1"[..]));
    /// assert!(record.timestamp().is_some(), "by the log's clock");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append). What it carries counts for how long it
    /// may be.
    pub fn append_record(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        self.append_record_to(self.level(), record)
    }

    /// Appends a record as [`append_record`](Self::append_record) does, and
    /// returns once it has reached `level` (`INV-F1`).
    ///
    /// # Errors
    ///
    /// As for [`append_record`](Self::append_record).
    pub fn append_record_to(
        &self,
        level: Level,
        record: &NewRecord<'_>,
    ) -> Result<Lsn, AppendError> {
        match record.has_timestamp() {
            true => self.append_stamped(level, record),
            false => self.append_stamped(level, &self.shared.stamped(record.clone())),
        }
    }

    #[inline]
    fn append_stamped(&self, level: Level, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        let shared = &self.shared;
        shared.begin(level)?;
        let lsn = shared.appended(shared.engine.append(record))?;
        shared.finish(only(lsn), record.len_bytes(), level)?;
        Ok(lsn)
    }

    /// Appends records that readers see, and recovery finds, all or none.
    /// Returns their numbers, which follow one another, once they have reached
    /// the level that this log acknowledges at. Does nothing for an empty
    /// batch.
    ///
    /// Blocks as [`append`](Self::append) does.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); and [`AppendError::BatchTooLarge`] for
    /// a batch that cannot be atomic.
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.append_batch_to(self.level(), payloads)
    }

    /// Appends records as [`append_batch`](Self::append_batch) does, and
    /// returns once they have reached `level` (`INV-F1`).
    ///
    /// # Errors
    ///
    /// As for [`append_batch`](Self::append_batch).
    pub fn append_batch_to(
        &self,
        level: Level,
        payloads: &[&[u8]],
    ) -> Result<Range<Lsn>, AppendError> {
        let stamp = self.shared.stamp();
        let records = payloads.iter().copied().map(NewRecord::new);
        let stamped = records.map(|record| stamp.put_on(record));
        self.append_all(level, &stamped.collect::<Vec<_>>())
    }

    /// Appends records with what they carry, otherwise as
    /// [`append_batch`](Self::append_batch).
    ///
    /// # Errors
    ///
    /// As for [`append_batch`](Self::append_batch).
    pub fn append_records(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError> {
        self.append_records_to(self.level(), records)
    }

    /// Appends records as [`append_records`](Self::append_records) does, and
    /// returns once they have reached `level` (`INV-F1`).
    ///
    /// # Errors
    ///
    /// As for [`append_batch`](Self::append_batch).
    pub fn append_records_to(
        &self,
        level: Level,
        records: &[NewRecord<'_>],
    ) -> Result<Range<Lsn>, AppendError> {
        if records.iter().all(NewRecord::has_timestamp) {
            return self.append_all(level, records);
        }
        let stamp = self.shared.stamp();
        let stamped = records.iter().cloned().map(|record| stamp.put_on(record));
        self.append_all(level, &stamped.collect::<Vec<_>>())
    }

    fn append_all(
        &self,
        level: Level,
        records: &[NewRecord<'_>],
    ) -> Result<Range<Lsn>, AppendError> {
        self.shared.begin(level)?;
        let appended = self.shared.engine.append_batch(records);
        let lsns = self.shared.appended(appended)?;
        let bytes = records.iter().map(Payload::len_bytes).sum();
        self.shared.finish(lsns.clone(), bytes, level)?;
        Ok(lsns)
    }

    /// Appends a record of `payload_bytes` that `fill` writes where it will
    /// stay: no copy is made. Returns its number as [`append`](Self::append)
    /// does.
    ///
    /// `fill` gets the record's memory with whatever was there before, and must
    /// write all of it. No later record of any thread is visible before it is
    /// done, so it should do nothing but write, and must not use this log. If
    /// it panics, its number stays taken and has no record: readers pass over
    /// it.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let log = log_facade::Log::open(directory.path())?;
    /// let price = 1207_u64;
    /// let lsn = log.append_in_place(8, |place| place.copy_from_slice(&price.to_le_bytes()))?;
    /// let record = log.read(lsn)?.ok_or("not there")?;
    /// assert_eq!(record.payload(), price.to_le_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); `fill` was not called if the record was
    /// not appended.
    pub fn append_in_place(
        &self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        self.append_record_in_place(&NewRecord::new(b""), payload_bytes, fill)
    }

    /// Appends a record of which `fill` writes the last `payload_bytes` of the
    /// payload where they will stay, and which has a key, headers and whatever
    /// else `record` carries; otherwise as [`append_in_place`](Self::append_in_place).
    /// A payload that `record` has lies in front of those bytes. A timestamp that
    /// it has stays.
    ///
    /// ```
    /// use log_facade::{Log, NewRecord};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let log = Log::open(directory.path())?;
    /// let price = NewRecord::new(b"EUR").key(b"apples");
    /// let lsn = log.append_record_in_place(&price, 2, |place| place.copy_from_slice(b"12"))?;
    /// let record = log.read(lsn)?.ok_or("not there")?;
    /// assert_eq!((record.key(), record.payload()), (Some(&b"apples"[..]), &b"EUR12"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`append_in_place`](Self::append_in_place).
    pub fn append_record_in_place(
        &self,
        record: &NewRecord<'_>,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        self.append_record_in_place_to(self.level(), record, payload_bytes, fill)
    }

    /// Appends a record as
    /// [`append_record_in_place`](Self::append_record_in_place) does, and returns
    /// once it has reached `level` (`INV-F1`).
    ///
    /// # Errors
    ///
    /// As for [`append_in_place`](Self::append_in_place).
    pub fn append_record_in_place_to(
        &self,
        level: Level,
        record: &NewRecord<'_>,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        let mut fill = Some(fill);
        // The engine calls it once.
        let mut fill = |place: &mut [u8]| {
            if let Some(fill) = fill.take() {
                fill(place);
            }
        };
        let shared = &self.shared;
        let record = shared.stamped(record.clone());
        shared.begin(level)?;
        let appended = shared
            .engine
            .append_in_place(&record, payload_bytes, &mut fill);
        let lsn = shared.appended(appended)?;
        shared.finish(only(lsn), record.len_bytes() + payload_bytes, level)?;
        Ok(lsn)
    }

    pub(crate) fn level(&self) -> Level {
        self.shared.policies.acknowledge
    }

    /// Hands everything appended so far to the operating system: it survives
    /// the death of this process. Returns the end of what does.
    ///
    /// Blocks for a write.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn flush(&self) -> Result<Lsn, CommitError> {
        self.shared.flush_to(Level::Written)
    }

    /// Makes everything appended so far durable: it survives loss of power.
    /// Returns the end of what does.
    ///
    /// Blocks for a sync; and, if segments became full since the last time and
    /// there is no housekeeper, for indexing them.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn sync(&self) -> Result<Lsn, CommitError> {
        let durable_end = self.shared.flush_to(Level::Durable)?;
        if self.housekeeper.is_none() {
            self.shared.index_sealed();
        }
        Ok(durable_end)
    }

    /// Ends the active segment, if it has a record, and goes on in a new one.
    /// Returns whether it had. Everything appended before is durable then, if
    /// this log keeps that level.
    ///
    /// Blocks for several syncs.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn rotate(&self) -> Result<bool, AppendError> {
        self.shared.admit(Level::Published)?;
        Ok(self.shared.rotate()?)
    }

    /// Drops the sealed segments of which all records lie below `lsn`, oldest
    /// first, and returns how many (`INV-F2`): what retention does by itself.
    /// Never the active segment, and none that a [`Snapshot`] shows; so records
    /// below `lsn` may stay.
    ///
    /// Records that are held stay valid. A crash at any moment leaves a log
    /// without a gap; blocks for a sync of the directory per segment.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; what was dropped before stays dropped.
    pub fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.shared.admit(Level::Published)?;
        Ok(retention::drop_before(&self.shared, lsn)?)
    }

    /// Record `lsn`; `None` at or beyond the end of what is
    /// [shown](LogOptions::read_level), and for a number that its writer gave
    /// up half-way.
    ///
    /// Blocks for the disk only if the record is in a full segment that the
    /// page cache does not hold, or that has no index yet.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] for a record that was dropped from the front,
    /// with the first that is left (`INV-F2`), and see [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        if self.shared.read_level > Level::Published && lsn >= self.next_lsn() {
            return Ok(None);
        }
        self.shared.engine.read(lsn)
    }

    /// Reads from the first record on.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn` on.
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        self.range(lsn..Lsn(u64::MAX))
    }

    /// Reads those records of `lsns` that there are.
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        let engine = self.shared.engine.as_ref();
        let first = lsns.start;
        Records::new(engine.records(lsns)).gated(engine, self.shared.read_level, first)
    }

    /// The records from `lsn` on, at most `limit`, and where to read on. Ends
    /// early in front of a record that cannot be read, which the next call is
    /// told about. At or beyond the end there are none, and one reads on there.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), about the first record.
    pub fn read_slice(
        &self,
        lsn: Lsn,
        limit: impl Into<Option<usize>>,
    ) -> Result<Slice, ReadError> {
        let mut slice = self.shared.engine.read_slice(lsn, limit.into())?;
        if self.shared.read_level > Level::Published {
            let end = self.next_lsn();
            slice.records.retain(|record| record.lsn() < end);
            slice.next_lsn = slice.next_lsn.min(end);
        }
        Ok(slice)
    }

    /// The number of the first record whose timestamp is at or after `moment`;
    /// `None` if there is none. Timestamps need not ascend: of the records
    /// behind it, some may be earlier. Records without a timestamp are passed
    /// over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use log_facade::{Clock, Log, Lsn, ManualClock};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let clock = ManualClock::new();
    /// let log = Log::options().clock(clock.clone()).open(directory.path())?;
    /// log.append(b"before noon")?;
    /// clock.advance(Duration::from_secs(3600));
    /// let noon = clock.now();
    /// log.append(b"at noon")?;
    /// assert_eq!(log.lsn_at_or_after(noon)?, Some(Lsn(1)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Blocks as [`read`](Self::read) does. Without
    /// [mapping](LogOptions::mapped_reading) there is no index by time: the first call
    /// reads the whole log, and later ones what came since.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: what is damaged may be the record that was asked for.
    pub fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        let found = self.shared.engine.lsn_at_or_after(moment)?;
        let is_shown =
            |lsn: &Lsn| self.shared.read_level == Level::Published || *lsn < self.next_lsn();
        Ok(found.filter(is_shown))
    }

    /// The records that are [shown](LogOptions::read_level) now, to be read
    /// for as long as it is held.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.shared, self.shared.read_level)
    }

    /// The records that have reached `level` now, and so survive what it says.
    #[must_use]
    pub fn snapshot_at(&self, level: Level) -> Snapshot {
        Snapshot::take(&self.shared, level)
    }

    /// The records from `start` on, and those that will be appended, one after
    /// the other: see [`Subscription`].
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub fn subscribe(&self, start: StartAt) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(start, SubscribeOptions::default())
    }

    /// The same, for some of the records, or at another level.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub fn subscribe_with(
        &self,
        start: StartAt,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        Subscription::begin(&self.shared, &self.door, start, options)
    }

    /// Blocks until record `lsn` is published, at most for `timeout` (`None`:
    /// for ever). Returns whether it is.
    pub fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.shared.engine.wait_published(lsn, timeout)
    }

    /// What opening found: how many segments, the first and the next number,
    /// and whether a torn tail was cut.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.shared.report
    }

    /// The number of the first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.shared.engine.first_lsn()
    }

    /// One past the last record that is [shown](LogOptions::read_level): unless
    /// chosen otherwise, the number that the next record will have, if nobody
    /// else appends.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.shared.reached(self.shared.read_level)
    }

    /// How far the log has come, at each level. The levels that it does not
    /// keep mean nothing.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.shared.engine.watermarks()
    }

    /// The highest level that this log keeps: [`Level::Durable`] in a
    /// directory, [`Level::Published`] in memory.
    #[must_use]
    pub fn keeps(&self) -> Level {
        self.shared.keeps
    }

    /// Every segment, ascending; the last one takes the appends.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.engine.segments()
    }

    /// What the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.shared.stats()
    }

    /// Stops the housekeeper, makes everything durable, indexes full segments,
    /// and leaves a mark by which the next opening knows that nothing is
    /// missing at the end. Records that are held stay valid.
    ///
    /// While a [`Snapshot`] of it is held, the directory stays locked and the
    /// mark waits for that to go; everything is durable all the same.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The log is closed all the same.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.end_helpers();
        let shared = Arc::clone(&self.shared);
        drop(self);
        let told = shared.health.tell();
        shared.close()?;
        Ok(told?)
    }
}

impl Log {
    /// What stands behind this handle, and the way to it for others.
    pub(crate) fn parts(&self) -> (&Arc<Shared>, &Arc<Door>) {
        (&self.shared, &self.door)
    }

    /// The same for who changes it.
    pub(crate) fn parts_mut(&mut self) -> (&mut Arc<Shared>, &mut Option<Housekeeper>) {
        (&mut self.shared, &mut self.housekeeper)
    }

    /// Ends the subscriptions, and stops the housekeeper.
    fn end_helpers(&mut self) {
        self.door.shut();
        self.housekeeper = None;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.end_helpers();
    }
}

/// The range of one record.
fn only(lsn: Lsn) -> Range<Lsn> {
    // No record has the last number that there is, so this has an end.
    lsn..Lsn(lsn.0.saturating_add(1))
}

impl<'a> IntoIterator for &'a Log {
    type Item = Result<Record, ReadError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
