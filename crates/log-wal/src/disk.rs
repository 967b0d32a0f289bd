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
//! Appends do not wait for any of this: they go on in the next region.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_core::{Cursor, Lsn, Watermark};

use crate::catalog::Catalog;
use crate::error::CommitError;
use crate::format::{FIRST_POSITION, HEADER_PAGE_BYTES, Header};
use crate::options::Level;
use crate::recovery::temporary_name;
use crate::report::{SealedSegment, Stats};
use crate::segment::{End, SegmentMeta, Tail};
use crate::shared::Shared;
use crate::storage::{Blocks, SegmentFile, Storage};

/// How many syncs a segment must have seen for its successor to be made of
/// written zeros. Writing them costs about as much as a hundred small syncs.
const OFTEN_SYNCS: u64 = 100;

/// A file is shortened when it is sealed if that gives back this share of it.
const SHRINK_SHARE: u64 = 8;

/// How far frames have come on the disk, for anyone to see.
#[derive(Debug)]
pub(crate) struct Progress {
    pub written_end: Watermark,
    pub durable_end: Watermark,
    pub counters: Counters,
}

impl Progress {
    /// Everything below `end` was found on disk and synced.
    pub(crate) fn new(end: Lsn) -> Self {
        Self {
            written_end: Watermark::new(end),
            durable_end: Watermark::new(end),
            counters: Counters::default(),
        }
    }

    pub(crate) fn reached(&self, level: Level) -> Lsn {
        match level {
            Level::Published => Lsn(u64::MAX),
            Level::Written => self.written_end.get(),
            Level::Durable => self.durable_end.get(),
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
    fn wrote(&self, bytes: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, records_appended: u64) -> Stats {
        Stats {
            records_appended,
            writes: self.writes.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            rotations: self.rotations.load(Ordering::Relaxed),
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
            self.sync_written(&log.progress)?;
        }
        Ok(())
    }

    /// Writes what is published in the cursor's segment.
    fn write_published(&mut self, tail: &Tail, progress: &Progress) -> Result<(), CommitError> {
        let mut ahead = self.cursor.clone();
        if let Some(span) = tail.next_span_here(&mut ahead) {
            let position = span.range().start as u64;
            let written = self.file.write_at(position, span.bytes());
            self.unsynced = true;
            written.map_err(|error| self.poisoned("write", error, progress))?;
            progress.counters.wrote(span.bytes().len() as u64);
            progress.written_end.advance_to(span.end());
            self.cursor = ahead;
        }
        Ok(())
    }

    fn sync_written(&mut self, progress: &Progress) -> Result<(), CommitError> {
        if self.unsynced {
            let synced = self.file.sync();
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
        self.sync_written(&log.progress)?;
        // The next segment will be used as this one was.
        let blocks = if self.syncs < OFTEN_SYNCS {
            Blocks::Reserved
        } else {
            Blocks::Written
        };
        let file = log.create_segment(&next.segment().meta().header, blocks)?;
        self.seal(&log.catalog, &log.progress)?;
        // From here on readers find the segment in the catalog, and its memory
        // may be used again.
        log.regions
            .retire(log.tail.release_before(self.cursor.next_lsn()));
        self.file_bytes = next.segment().meta().header.capacity_bytes;
        self.file = file;
        self.syncs = 0;
        self.cursor = next;
        Ok(true)
    }

    /// Writes the seal of the cursor's segment, and puts it into the catalog.
    fn seal(&mut self, catalog: &Catalog, progress: &Progress) -> Result<(), CommitError> {
        let end = End {
            lsn: self.cursor.next_lsn(),
            position: self.cursor.position() as u64,
        };
        let header = self.cursor.segment().meta().header;
        let sealed = write_seal(self.file.as_ref(), &header, end, &progress.counters);
        sealed.map_err(|error| self.poisoned("seal", error, progress))?;
        progress.counters.rotations.fetch_add(1, Ordering::Relaxed);
        self.give_back_unused(end.position + crate::format::SEAL_BYTES as u64);
        catalog.push(SealedSegment {
            name: header.name(),
            path: self.storage.path(&header.name().to_string()),
            salt: header.salt,
            log_uuid: header.log_uuid,
            base: header.base,
            end: end.lsn,
            end_position: end.position,
            file_bytes: self.file_bytes,
        });
        tracing::debug!(segment = %header.name(), end = %end.lsn, "segment sealed");
        Ok(())
    }

    /// Shortens a file that was sealed long before it was full. Whether that
    /// succeeds, or survives a crash, changes nothing but the space it takes.
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

/// Why a segment's file was not made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// The disk is full; nothing was changed, and it can be tried again.
    NoRoom(io::Error),
    /// Something failed after which nothing is sure.
    Broken(&'static str, io::Error),
}

impl Shared {
    /// Makes the file of a segment, durable with its name. Only for the group's
    /// leader.
    pub(crate) fn create_segment(
        &self,
        header: &Header,
        blocks: Blocks,
    ) -> Result<Box<dyn SegmentFile>, CommitError> {
        let counters = &self.progress.counters;
        let created = create_segment(self.storage.as_ref(), header, blocks, counters);
        created.map_err(|error| {
            let path = self.storage.path(&header.name().to_string());
            match error {
                CreateError::NoRoom(source) => CommitError::StorageFull {
                    path,
                    source: Arc::new(source),
                },
                CreateError::Broken(action, source) => CommitError::Poisoned {
                    path,
                    action,
                    first_unsure: self.progress.durable_end.get(),
                    source: Arc::new(source),
                },
            }
        })
    }
}

/// Makes a segment's file: header and zeros first, then the name, so that a
/// file with a segment's name is always whole.
pub(crate) fn create_segment(
    storage: &dyn Storage,
    header: &Header,
    blocks: Blocks,
    counters: &Counters,
) -> Result<Box<dyn SegmentFile>, CreateError> {
    let (name, temporary) = (header.name().to_string(), temporary_name(header.name()));
    let file = match storage.create(&temporary, header.capacity_bytes, blocks) {
        // Left by an attempt that ran out of room half-way, or by a crash.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage
            .remove(&temporary)
            .and_then(|()| storage.create(&temporary, header.capacity_bytes, blocks)),
        other => other,
    };
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CreateError::NoRoom(error),
        _ => CreateError::Broken("create", error),
    })?;
    if blocks == Blocks::Written {
        counters.wrote(header.capacity_bytes);
    }
    let bytes = header.encode();
    let broken = |action| move |error| CreateError::Broken(action, error);
    file.write_at(0, &bytes).map_err(broken("write"))?;
    file.write_at(HEADER_PAGE_BYTES, &bytes)
        .map_err(broken("write"))?;
    file.sync().map_err(broken("sync"))?;
    counters.synced();
    storage
        .rename(&temporary, &name)
        .map_err(broken("rename"))?;
    storage
        .sync_directory()
        .map_err(broken("sync the directory of"))?;
    counters.synced();
    Ok(file)
}

/// Writes a segment's seal and syncs it.
pub(crate) fn write_seal(
    file: &dyn SegmentFile,
    header: &Header,
    end: End,
    counters: &Counters,
) -> io::Result<()> {
    debug_assert!(end.position >= FIRST_POSITION);
    let seal = crate::format::FrameKey::new(header.salt).seal(end.position, end.lsn);
    file.write_at(end.position, &seal)?;
    counters.wrote(seal.len() as u64);
    file.sync()?;
    counters.synced();
    Ok(())
}
