//! Bringing published frames to the disk, in the decided order.
//!
//! One thread at a time does this, the leader of a group (see `group`), so
//! nothing here is shared. It follows the tail with a cursor, writes what is
//! published as it lies in memory, and finishes one segment before it touches
//! the next:
//!
//! ```text
//!  1  everything published in the old segment is written and synced
//!  2  the new file has its header (and zeros), and is synced
//!  3  it gets its name, and the directory is synced
//!  4  the seal is written to the old file, and synced
//!  5  the first write to the new segment
//! ```
//!
//! So a file with a segment's name always has a whole header, only the newest
//! segment lacks its seal (`INV-W2`), and a sealed newest segment proves that
//! its successor is missing.
//!
//! Appends do not wait for any of this: they go on in the next region. Unless
//! the region is the file (a mapped storage): then a record is written the
//! moment it is published, so steps 1 to 4 come before the next region opens,
//! done by the append that needs it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_core::{Cursor, Lsn, Region, Watermark};

use crate::error::CommitError;
use crate::format::{FIRST_POSITION, Header, SEAL_BYTES};
use crate::group::Counts;
use crate::options::Level;
use crate::own_lines::OwnLines;
use crate::report::{SealedSegment, Stats};
use crate::segment::{End, SegmentMeta, Tail};
use crate::segment_file::write_seal;
use crate::shared::Shared;
use crate::storage::{Blocks, SegmentFile, Storage};
use crate::waypoints::Waypoints;

/// How many syncs a segment must have seen for its successor to be made of
/// written zeros. Writing them costs about as much as a hundred small syncs.
const OFTEN_SYNCS: u64 = 100;

/// A file is shortened when it is sealed if that gives back this share of it.
const SHRINK_SHARE: u64 = 8;

/// How far frames have come on the disk, for anyone to see.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Rises with every write, while every append looks at `durable_end`.
    pub written_end: OwnLines<Watermark>,
    pub counters: OwnLines<Counters>,
    pub durable_end: Watermark,
}

impl Progress {
    /// Everything below `end` was found on disk and synced.
    pub(crate) fn new(end: Lsn) -> Self {
        Self {
            written_end: OwnLines(Watermark::new(end)),
            counters: OwnLines::default(),
            durable_end: Watermark::new(end),
        }
    }
}

/// What was done to the disk. Relaxed throughout: counts for people, tied to
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    bytes_written: AtomicU64,
    syncs: AtomicU64,
    rotations: AtomicU64,
}

impl Counters {
    pub(crate) fn wrote(&self, bytes: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, records_appended: u64, counts: Counts) -> Stats {
        Stats {
            records_appended,
            writes: self.writes.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            rotations: self.rotations.load(Ordering::Relaxed),
            commits: counts.commits,
            groups: counts.groups,
        }
    }
}

/// What the leader of a group works with.
#[derive(Debug)]
pub(crate) struct Disk {
    storage: Arc<dyn Storage>,
    /// Behind the last frame that was written.
    cursor: Cursor<SegmentMeta>,
    /// The file of the segment that the cursor stands in.
    file: Box<dyn SegmentFile>,
    file_bytes: u64,
    /// Whether something was written since the last sync.
    unsynced: bool,
    /// How often this file was synced.
    syncs: u64,
    /// The steps of a rotation that were done before the successor's region
    /// was opened, as a mapped storage needs it.
    rotated: Option<Rotated>,
}

/// The files of a rotation: the old segment is sealed, the new one has its
/// name.
#[derive(Debug)]
struct Rotated {
    sealed: SealedSegment,
    file: Box<dyn SegmentFile>,
}

impl Disk {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        cursor: Cursor<SegmentMeta>,
        file: Box<dyn SegmentFile>,
        file_bytes: u64,
    ) -> Self {
        Self {
            storage,
            cursor,
            file,
            file_bytes,
            unsynced: false,
            syncs: 0,
            rotated: None,
        }
    }

    /// Brings everything that is published now to `level`, and finishes the
    /// segments that are full. Appends that come meanwhile are taken along
    /// where that costs nothing, and cannot keep a leader at work.
    ///
    /// After [`CommitError::StorageFull`] it can be called again and goes on
    /// where it stopped.
    pub(crate) fn advance(&mut self, log: &Shared, level: Level) -> Result<(), CommitError> {
        let published_end = log.tail.published_end();
        loop {
            self.write_published(&log.tail, &log.progress)?;
            if self.cursor.next_lsn() > published_end || !self.finish_segment(log)? {
                break;
            }
        }
        if level == Level::Durable {
            self.sync_written(&log.progress, self.cursor.position() as u64)?;
        }
        let half_position = FIRST_POSITION.midpoint(self.file_bytes);
        if self.cursor.position() as u64 >= half_position {
            log.spares.want(self.blocks_of_next());
        }
        Ok(())
    }

    /// The next segment will be used as this one was.
    fn blocks_of_next(&self) -> Blocks {
        if self.syncs < OFTEN_SYNCS {
            Blocks::Reserved
        } else {
            Blocks::Written
        }
    }

    /// Writes what is published in the cursor's segment.
    fn write_published(&mut self, tail: &Tail, progress: &Progress) -> Result<(), CommitError> {
        if let Some(span) = tail.peek_span_here(&self.cursor) {
            self.unsynced = true;
            if !self.storage.is_mapped() {
                let position = span.range().start as u64;
                let written = self.file.write_at(position, span.bytes());
                written.map_err(|error| self.poisoned("write", error, progress))?;
                progress.counters.wrote(span.bytes().len() as u64);
            }
            progress.written_end.advance_to(span.end());
            self.cursor.pass(&span);
        }
        Ok(())
    }

    /// Syncs what was written, which ends at `end` in the file.
    fn sync_written(&mut self, progress: &Progress, end: u64) -> Result<(), CommitError> {
        if self.unsynced {
            // No clock here: whoever subscribes times the span.
            let synced = tracing::debug_span!("sync").in_scope(|| self.file.sync_front(end));
            synced.map_err(|error| self.poisoned("sync", error, progress))?;
            progress.counters.synced();
            self.unsynced = false;
            self.syncs += 1;
        }
        progress.durable_end.advance_to(self.cursor.next_lsn());
        Ok(())
    }

    /// If the cursor stands at the end of a full segment: rotates. Returns
    /// whether it did.
    fn finish_segment(&mut self, log: &Shared) -> Result<bool, CommitError> {
        let mut next = self.cursor.clone();
        if !log.tail.enter_next_segment(&mut next) {
            return Ok(false);
        }
        let rotated = match self.rotated.take() {
            Some(rotated) => rotated,
            None => {
                let end = End {
                    lsn: self.cursor.next_lsn(),
                    position: self.cursor.position() as u64,
                };
                let (rotated, _) = self.rotate(log, end, &next.segment().meta().header)?;
                rotated
            }
        };
        let sealed = rotated.sealed;
        let waypoints = Waypoints::kept(sealed.base, self.cursor.segment().waypoints());
        log.open_files.know(&sealed, waypoints);
        log.catalog.push(sealed);
        // From here on readers find the segment in the catalog, and its memory
        // may be used again.
        let released = log.tail.release_before(self.cursor.next_lsn());
        if !self.storage.is_mapped() {
            log.regions.retire(released);
        }
        self.file_bytes = next.segment().meta().header.capacity_bytes;
        self.file = rotated.file;
        self.syncs = 0;
        self.cursor = next;
        Ok(true)
    }

    /// The steps of a rotation before the successor's region is opened, for a
    /// mapped storage; that region. The open segment ends at `end`, of which
    /// everything is published.
    pub(crate) fn rotate_ahead(
        &mut self,
        log: &Shared,
        end: End,
        next: &Header,
    ) -> Result<Option<Region>, CommitError> {
        // Goes on from the last rotation, too.
        self.advance(log, Level::Written)?;
        // A mark that nobody wrote may lie behind the last record.
        self.unsynced = true;
        let (rotated, region) = self.rotate(log, end, next)?;
        self.rotated = Some(rotated);
        Ok(region)
    }

    /// Steps 1 to 4, where the cursor's segment ends at `end`.
    fn rotate(
        &mut self,
        log: &Shared,
        end: End,
        next: &Header,
    ) -> Result<(Rotated, Option<Region>), CommitError> {
        self.sync_written(&log.progress, end.position)?;
        let new = log.create_segment(next, self.blocks_of_next())?;
        let sealed = self.seal(end, &log.progress)?;
        let file = new.file;
        Ok((Rotated { sealed, file }, new.region))
    }

    /// Writes the seal of the cursor's segment.
    fn seal(&mut self, end: End, progress: &Progress) -> Result<SealedSegment, CommitError> {
        let header = self.cursor.segment().meta().header;
        let sealed = write_seal(self.file.as_ref(), &header, end, &progress.counters);
        sealed.map_err(|error| self.poisoned("seal", error, progress))?;
        progress.counters.rotations.fetch_add(1, Ordering::Relaxed);
        if !self.storage.is_mapped() {
            self.give_back_unused(end.position + SEAL_BYTES as u64);
        }
        tracing::debug!(segment = %header.name(), end = %end.lsn, "segment sealed");
        Ok(SealedSegment {
            name: header.name(),
            path: self.storage.path(&header.name().to_string()),
            salt: header.salt,
            log_uuid: header.log_uuid,
            base: header.base,
            end: end.lsn,
            end_position: end.position,
            file_bytes: self.file_bytes,
        })
    }

    /// Shortens a file that was sealed long before it was full, if nobody reads
    /// it. Whether that succeeds, or survives a crash, changes nothing but the
    /// space it takes.
    fn give_back_unused(&mut self, used_bytes: u64) {
        if self.file_bytes.saturating_sub(used_bytes) < self.file_bytes / SHRINK_SHARE {
            return;
        }
        match self.file.shrink(used_bytes) {
            Ok(()) => self.file_bytes = used_bytes,
            Err(error) => tracing::debug!(%error, "a sealed segment keeps its unused space"),
        }
    }

    fn poisoned(&self, action: &'static str, error: io::Error, progress: &Progress) -> CommitError {
        let name = self.cursor.segment().meta().name();
        CommitError::Poisoned {
            path: self.storage.path(&name.to_string()),
            action,
            first_unsure: progress.durable_end.get(),
            source: Arc::new(error),
        }
    }
}
