//! What a log's handle and its readers share.

use std::io;
use std::sync::{Arc, PoisonError};

use log_core::{CELL_HEADER_BYTES, Lsn, Need, NextSegment, Reservation, RollError, SegmentEnd};

use crate::catalog::Catalog;
use crate::disk::{Disk, Progress};
use crate::error::{AppendError, CommitError, ReadError, TruncateError};
use crate::format::{FIRST_POSITION, Header, MARK_BYTES, Predecessor, SEAL_BYTES};
use crate::group::{Group, OWN_JUDGEMENT};
use crate::open_files::{OpenFile, OpenFiles, Wanted};
use crate::options::{Level, WalOptions};
use crate::regions::Regions;
use crate::report::SealedSegment;
use crate::segment::{End, SegmentMeta, Tail};
use crate::spares::Spares;
use crate::storage::Storage;
use crate::sync::{AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub options: WalOptions,
    pub tail: Tail,
    pub catalog: Catalog,
    pub open_files: OpenFiles,
    pub progress: Progress,
    pub regions: Regions,
    pub spares: Spares,
    pub group: Group,
    /// Locked by the leader of a group alone.
    pub disk: Mutex<Disk>,
    pub marks: Marks,
    /// Held while a segment is compacted.
    pub compaction: Mutex<()>,
    pub log_uuid: [u8; 16],
    /// The id of the segment after the open one.
    pub next_id: AtomicU64,
    /// The lsn that the next record would have had when the log was opened.
    pub opened_at: Lsn,
}

impl Shared {
    /// Waits until the records below `end` have reached `level`, working for
    /// it if nobody else does.
    pub(crate) fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        let end = end.min(self.tail.published_end());
        let mut led = false;
        let work = |level| {
            led = true;
            self.advance(level)
        };
        let reached = |level| self.reached(level);
        self.group.commit(end, level, reached, work)?;
        if led {
            self.prepare_a_piece();
        }
        Ok(())
    }

    /// One past the last record that has reached `level`.
    pub(crate) fn reached(&self, level: Level) -> Lsn {
        match level {
            Level::Published => Lsn(u64::MAX),
            // What is in the file's own memory is the system's.
            Level::Written if self.storage.is_mapped() => self.tail.published_end(),
            Level::Written => self.progress.written_end.get(),
            Level::Durable => self.progress.durable_end.get(),
        }
    }

    /// Brings everything published to `level`. Only for the group's leader.
    pub(crate) fn advance(&self, level: Level) -> Result<(), CommitError> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.advance(self, level)
    }

    /// Room for `need`, in a new segment if the open one is too full.
    #[inline]
    pub(crate) fn reserve(&self, need: Need) -> Result<Reservation<'_, SegmentMeta>, AppendError> {
        match self.tail.reserve(need) {
            Some(place) => Ok(place),
            None => self.roll_and_reserve(need),
        }
    }

    #[cold]
    fn roll_and_reserve(&self, need: Need) -> Result<Reservation<'_, SegmentMeta>, AppendError> {
        let capacity_bytes = self.capacity_for(need.bytes());
        if self.storage.is_mapped() {
            let prepare = |end| self.next_mapped_segment(end, capacity_bytes);
            let place = self.tail.roll_at_rest(Some(need), prepare);
            let place = place.map_err(|error| append_error(error, capacity_bytes))?;
            return place.ok_or(AppendError::OutOfMemory {
                bytes: capacity_bytes,
            });
        }
        let place = self
            .tail
            .reserve_or_roll(need, || self.next_segment(capacity_bytes));
        place.map_err(|error| append_error(error, capacity_bytes))
    }

    /// Goes on in a new segment, if the open one has a record.
    pub(crate) fn roll(&self) -> Result<bool, AppendError> {
        let capacity_bytes = self.options.segment_bytes;
        if self.storage.is_mapped() {
            // Never less than this again, unless somebody else rolls.
            let is_empty = self.tail.reserved_end() == self.tail.open_segment().base();
            return match is_empty {
                true => Ok(false),
                false => self.roll_after_cut().map(|()| true),
            };
        }
        let rolled = self.tail.roll(|| self.next_segment(capacity_bytes));
        rolled.map_err(|error| append_error(error, capacity_bytes))
    }

    /// The same also if it has none.
    pub(crate) fn roll_after_cut(&self) -> Result<(), AppendError> {
        let capacity_bytes = self.options.segment_bytes;
        if self.storage.is_mapped() {
            let prepare = |end| self.next_mapped_segment(end, capacity_bytes);
            let rolled = self.tail.roll_at_rest(None, prepare);
            return match rolled {
                Ok(_none) => Ok(()),
                Err(error) => Err(append_error(error, capacity_bytes)),
            };
        }
        let next_segment = || self.next_segment(capacity_bytes);
        let rolled = self.tail.roll_even_if_empty(next_segment);
        rolled.map_err(|error| append_error(error, capacity_bytes))
    }

    /// Drops the sealed segments that end at or before `lsn`.
    pub(crate) fn checkpoint(&self, lsn: Lsn) -> Result<usize, CommitError> {
        let mut dropped = 0;
        // As a leader, because the directory is the leader's.
        self.group.exclusively(|| {
            while let Some(segment) = self.catalog.pop_before(lsn) {
                self.open_files.let_go(segment.end);
                let removed = self.drop_file(&segment);
                if let Err(CommitError::Refused { .. }) = &removed {
                    // A later one must not go before it.
                    self.catalog.put_back(segment);
                }
                removed?;
                dropped += 1;
            }
            Ok(())
        })?;
        Ok(dropped)
    }

    /// Takes a segment's file out of the log, durably: it becomes a spare, or is
    /// removed.
    fn drop_file(&self, segment: &SealedSegment) -> Result<(), CommitError> {
        let spare = self.recycle(segment);
        if spare.is_none() {
            self.remove(segment)?;
        }
        let synced = self.storage.sync_directory();
        synced.map_err(|error| CommitError::Poisoned {
            path: self.storage.path(""),
            action: "sync",
            first_unsure: self.progress.durable_end.get(),
            source: Arc::new(error),
        })?;
        if let Some(spare) = spare {
            self.keep_spare(spare);
        }
        Ok(())
    }

    fn remove(&self, segment: &SealedSegment) -> Result<(), CommitError> {
        match self.storage.remove(&segment.name.to_string()) {
            Ok(()) => Ok(()),
            // By an attempt that was said to have failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(CommitError::Refused {
                action: "remove",
                path: segment.path.clone(),
                source: Arc::new(error),
            }),
        }
    }

    /// The sealed segment that has record `lsn`, which was published.
    pub(crate) fn open_sealed(&self, lsn: Lsn, wanted: Wanted) -> Result<Arc<OpenFile>, ReadError> {
        let find = |lsn| self.catalog.find(lsn);
        let file = self
            .open_files
            .open(self.storage.as_ref(), lsn, wanted, find)?;
        file.ok_or_else(|| ReadError::Truncated {
            requested: lsn,
            first: self.first_lsn(),
        })
    }

    /// Acknowledges nothing any more, because the files have moved on.
    pub(crate) fn give_up(&self, error: &TruncateError) {
        // Nobody leads a group that was retired.
        self.group.poison(CommitError::Poisoned {
            path: self.storage.path(""),
            action: "go on in",
            first_unsure: self.progress.durable_end.get(),
            source: Arc::new(io::Error::other(error.to_string())),
        });
    }

    /// Makes everything durable, says so in a mark, and touches no file ever
    /// after: the futures that are left learn that the log is closed.
    pub(crate) fn close(&self) -> Result<(), CommitError> {
        if let Err(CommitError::Closed { .. }) = self.group.check() {
            return Ok(());
        }
        let finished = self.finish();
        // Fails only if the log is poisoned, and then nobody leads any more.
        let _closed = self.group.exclusively(|| {
            self.spares.close(self.storage.as_ref());
            self.retire();
            Ok(())
        });
        finished
    }

    fn closed(&self) -> CommitError {
        CommitError::Closed {
            path: self.storage.path(""),
        }
    }

    /// For when another takes the files over. Only for the group's leader.
    pub(crate) fn retire(&self) {
        self.group.poison(self.closed());
    }

    fn finish(&self) -> Result<(), CommitError> {
        self.commit(Lsn(u64::MAX), Level::Durable)?;
        self.group.check()?;
        let Some(durable_end) = self.marks.take_due(self.progress.durable_end.get()) else {
            return Ok(());
        };
        // No room is no harm: what is durable stays so without the mark.
        let inserted =
            self.tail
                .insert_unnumbered(MARK_BYTES - CELL_HEADER_BYTES, |cell, place| {
                    let segment = self.tail.open_segment();
                    let key = &segment.meta().key;
                    key.build_mark(cell, place.position as u64, place.lsn, durable_end)
                });
        match inserted {
            Some(_) => self.group.exclusively(|| self.advance(Level::Durable)),
            None => Ok(()),
        }
    }

    /// Length of a file that can hold `cells_bytes` of cells.
    fn capacity_for(&self, cells_bytes: usize) -> u64 {
        let own_size = FIRST_POSITION + (cells_bytes + MARK_BYTES + SEAL_BYTES) as u64;
        self.options
            .segment_bytes
            .max(own_size.next_multiple_of(4096))
    }

    /// Memory for a new segment, and how to name it once it is known where its
    /// predecessor ended. Touches no file: that is the leader's work, later.
    fn next_segment(
        &self,
        capacity_bytes: u64,
    ) -> Result<NextSegment<impl FnOnce(SegmentEnd) -> SegmentMeta>, AppendError> {
        self.wait_for_backlog()?;
        self.unused_id().ok_or(AppendError::NumbersExhausted)?;
        let region = self.regions.take(capacity_bytes);
        let region = region.ok_or(AppendError::OutOfMemory {
            bytes: capacity_bytes,
        })?;
        let open = move |before: SegmentEnd| {
            // Relaxed: it changes under the tail's roll lock, held here.
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            SegmentMeta::new(self.header_behind(before, id, capacity_bytes))
        };
        Ok(NextSegment {
            region,
            first_position: FIRST_POSITION as usize,
            open,
        })
    }

    /// The same where the region is the file: everything of the open segment is
    /// durable, and both files are as a rotation leaves them, before anything
    /// is appended in the new one.
    fn next_mapped_segment(
        &self,
        before: SegmentEnd,
        capacity_bytes: u64,
    ) -> Result<NextSegment<impl FnOnce(SegmentEnd) -> SegmentMeta>, AppendError> {
        let id = self.unused_id().ok_or(AppendError::NumbersExhausted)?;
        // Once the files are rotated there is no way back: nothing that the
        // tail asks for may be missing.
        let open = self.tail.open_segment();
        let cells = (open.capacity_bytes() as u64 + capacity_bytes) / CELL_HEADER_BYTES as u64;
        let numbers_suffice = open.base().checked_add(cells).is_some();
        if !numbers_suffice {
            return Err(AppendError::NumbersExhausted);
        }
        let header = self.header_behind(before, id, capacity_bytes);
        let end = End {
            lsn: before.lsn,
            position: before.position as u64,
        };
        let mut region = None;
        self.group.exclusively(|| {
            let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
            region = disk.rotate_ahead(self, end, &header)?;
            Ok(())
        })?;
        let region = region.ok_or(AppendError::OutOfMemory {
            bytes: capacity_bytes,
        })?;
        let open = move |_| {
            // Relaxed: as in `next_segment`.
            self.next_id.store(id + 1, Ordering::Relaxed);
            SegmentMeta::new(header)
        };
        Ok(NextSegment {
            region,
            first_position: FIRST_POSITION as usize,
            open,
        })
    }

    fn header_behind(&self, before: SegmentEnd, id: u64, capacity_bytes: u64) -> Header {
        Header {
            log_uuid: self.log_uuid,
            id,
            salt: self.storage.random_u64(),
            base: before.lsn,
            capacity_bytes,
            recycled: false,
            truncates: false,
            predecessor: Some(Predecessor {
                id: id - 1,
                end: before.lsn,
                end_position: before.position as u64,
            }),
        }
    }

    /// The id of the next segment. The last one there is stays unused: only a
    /// file that was made to claim so comes near it.
    pub(crate) fn unused_id(&self) -> Option<u64> {
        // Relaxed: it changes under the tail's roll lock, which our callers
        // hold, or have the log to themselves.
        let id = self.next_id.load(Ordering::Relaxed);
        (id < u64::MAX).then_some(id)
    }

    /// Keeps memory bounded: when too many full segments wait for the disk, so
    /// does the append that needs another one.
    fn wait_for_backlog(&self) -> Result<(), CommitError> {
        let work = |level| self.advance(level);
        let reached = |_| self.room_reached();
        self.group
            .commit(OWN_JUDGEMENT, Level::Written, reached, work)
    }

    /// The end of everything if memory has room for another segment, else that
    /// of nothing.
    pub(crate) fn room_reached(&self) -> Lsn {
        // Counted in segments, because one may have no record.
        match self.tail.segment_count() {
            waiting if waiting > self.options.backlog_segments_max => Lsn::ZERO,
            _ => Lsn(u64::MAX),
        }
    }

    /// The number of the first record that the log still has.
    pub(crate) fn first_lsn(&self) -> Lsn {
        // Memory before the catalog: a segment that leaves one in between is
        // in the other.
        let in_memory = self.tail.first_lsn();
        self.catalog.first_lsn().unwrap_or(in_memory)
    }
}

fn append_error(error: RollError<AppendError>, capacity_bytes: u64) -> AppendError {
    match error {
        RollError::Prepare(error) => error,
        RollError::NumbersExhausted => AppendError::NumbersExhausted,
        RollError::RegionTooSmall => AppendError::OutOfMemory {
            bytes: capacity_bytes,
        },
    }
}

/// When a sync mark is due: after a sync, the next record carries one along.
#[derive(Debug)]
pub(crate) struct Marks {
    /// What the newest mark says.
    marked_end: AtomicU64,
}

impl Marks {
    pub(crate) fn new(marked_end: Lsn) -> Self {
        Self {
            marked_end: AtomicU64::new(marked_end.0),
        }
    }

    /// What a mark should say now, if it would say something new. Each answer
    /// is given to one caller.
    #[inline]
    pub(crate) fn take_due(&self, durable_end: Lsn) -> Option<Lsn> {
        // Relaxed: a mark says what `durable_end` said to this thread; nothing
        // else depends on who writes it.
        let marked = self.marked_end.load(Ordering::Relaxed);
        if durable_end.0 <= marked {
            return None;
        }
        self.marked_end
            .compare_exchange(marked, durable_end.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
            .then_some(durable_end)
    }
}
