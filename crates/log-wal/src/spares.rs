//! Files that lack only a header and a name to be segments.
//!
//! A rotation has enough to do without making a file: so one is made before it
//! is needed, and files that the log is done with are used again.
//!
//! **Made ahead.** When the open segment is half full, whoever has just led a
//! group, and is done with its own record, makes a piece of the next file. The
//! pieces are small, so that nobody is held up for long, and each is synced, so
//! that the zeros of one never pile up in front of somebody's record. Whoever
//! has the time makes it whole ([`Wal::prepare`](crate::Wal::prepare)). That
//! there is no room is nobody's error: then the rotation finds out.
//!
//! **Memory made ready.** Where the file is the memory that records are appended
//! in, its pages are made ready in the same pieces, of a file that was used
//! before as of a new one: or each append that is the first in a page waits for
//! the system to find it.
//!
//! **Used again.** A segment that is dropped from the front loses its name
//! instead of its file, if nobody holds it (`INV-M2`), and waits here. It has
//! all its blocks, written, which is all that was wanted of a new one; what it
//! still says is no part of any log: its next header has a new salt, that no
//! old frame was made with (`INV-W8`), and says that it was used before.
//!
//! A spare has a name that opening takes for a leftover, and removes: which
//! bytes of it survived a crash is not known, and not worth finding out.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError, TryLockError};

use log_core::Region;

use crate::error::CommitError;
use crate::recovery::spare_name;
use crate::report::SealedSegment;
use crate::segment_file::region_of;
use crate::shared::Shared;
use crate::storage::{Blocks, SegmentFile, Storage};
use crate::sync::{AtomicU8, Mutex, MutexGuard, Ordering};

/// How much is written, and synced, at a time: what a slow disk takes a few
/// milliseconds for, and a fast one less than one.
const PIECE_BYTES: u64 = 256 << 10;

/// In writes of one page, for the reason that is told in `storage::file`.
const ZEROS: [u8; 4096] = [0; 4096];

/// A file without a segment's name.
#[derive(Debug)]
pub(crate) struct Spare {
    pub name: String,
    pub file: Box<dyn SegmentFile>,
    pub capacity_bytes: u64,
    /// Its memory, if its storage is mapped.
    pub region: Option<Region>,
    /// Up to where that memory is ready to be stored to.
    pub populated_bytes: u64,
    /// Whether it was a segment once, and so holds more than zeros.
    pub recycled: bool,
}

impl Spare {
    fn is_populated(&self) -> bool {
        match &self.region {
            Some(region) => self.populated_bytes >= region.len_bytes() as u64,
            None => true,
        }
    }

    fn populate_piece(&mut self) {
        let len_bytes = self.region.as_ref().map_or(0, Region::len_bytes) as u64;
        let end = (self.populated_bytes + PIECE_BYTES).min(len_bytes);
        if self.populated_bytes < end {
            self.file.populate(self.populated_bytes..end);
            self.populated_bytes = end;
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// What the open segment calls for: one of the constants below.
    wanted: AtomicU8,
    state: Mutex<State>,
}

const NOTHING: u8 = 0;
const RESERVED: u8 = 1;
const WRITTEN: u8 = 2;

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Spare>,
    making: Option<Making>,
    /// How many spares there were, for their names.
    named: u64,
    /// Whether making one has failed since the last rotation.
    failed: bool,
    /// Whether the log touches no file any more.
    closed: bool,
}

/// A spare that is not yet whole.
#[derive(Debug)]
struct Making {
    spare: Spare,
    /// Up to where it is zeros, written and synced.
    written_bytes: u64,
}

impl Spares {
    /// A file for a segment of this capacity, if there is one.
    pub(crate) fn take(&self, capacity_bytes: u64) -> Option<Spare> {
        // Relaxed, here and below: a hint, tied to nothing.
        self.wanted.store(NOTHING, Ordering::Relaxed);
        let mut state = self.state();
        state.failed = false;
        let fits = |spare: &Spare| spare.capacity_bytes == capacity_bytes;
        let at = state.ready.iter().position(fits)?;
        state.ready.remove(at)
    }

    /// Notes that the open segment is half full.
    pub(crate) fn want(&self, blocks: Blocks) {
        let wanted = match blocks {
            Blocks::Reserved => RESERVED,
            Blocks::Written => WRITTEN,
        };
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    fn wanted(&self) -> Option<Blocks> {
        match self.wanted.load(Ordering::Relaxed) {
            NOTHING => None,
            RESERVED => Some(Blocks::Reserved),
            _ => Some(Blocks::Written),
        }
    }

    /// A name for one more spare, unless there are `max` already.
    fn next_name(&self, max: usize) -> Option<String> {
        let mut state = self.state();
        if state.ready.len() >= max {
            return None;
        }
        Some(state.next_name())
    }

    fn keep(&self, spare: Spare) {
        self.state().ready.push_back(spare);
    }

    /// Removes all of them, and makes no more.
    pub(crate) fn close(&self, storage: &dyn Storage) {
        let mut state = self.state();
        state.closed = true;
        let making = state.making.take().map(|making| making.spare);
        for spare in making.into_iter().chain(state.ready.drain(..)) {
            discard(storage, &spare.name);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_name(&mut self) -> String {
        self.named += 1;
        spare_name(self.named)
    }

    /// Makes a piece of a spare. Returns whether nothing is left to do.
    fn make_piece(
        &mut self,
        storage: &dyn Storage,
        capacity_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<bool> {
        if let Some(next) = self.ready.front_mut() {
            next.populate_piece();
            return Ok(next.is_populated());
        }
        let mut making = match self.making.take() {
            Some(making) => making,
            None => self.begin(storage, capacity_bytes, blocks)?,
        };
        if let Err(error) = making.make_piece() {
            discard(storage, &making.spare.name);
            return Err(error);
        }
        if making.written_bytes < capacity_bytes {
            self.making = Some(making);
            return Ok(false);
        }
        let mut spare = making.spare;
        match region_of(storage, spare.file.as_ref(), capacity_bytes) {
            Ok(region) => spare.region = region,
            Err(error) => {
                discard(storage, &spare.name);
                return Err(error);
            }
        }
        let is_whole = spare.is_populated();
        self.ready.push_back(spare);
        Ok(is_whole)
    }

    /// Whether the next rotation finds all that can be made for it.
    fn is_prepared(&self) -> bool {
        self.ready.front().is_some_and(Spare::is_populated)
    }

    fn begin(
        &mut self,
        storage: &dyn Storage,
        capacity_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Making> {
        let name = self.next_name();
        // Zeros are written piece by piece.
        let file = storage.create(&name, capacity_bytes, Blocks::Reserved)?;
        Ok(Making {
            spare: Spare {
                name,
                file,
                capacity_bytes,
                region: None,
                populated_bytes: 0,
                recycled: false,
            },
            written_bytes: match blocks {
                Blocks::Reserved => capacity_bytes,
                Blocks::Written => 0,
            },
        })
    }
}

impl Making {
    fn make_piece(&mut self) -> io::Result<()> {
        let end = (self.written_bytes + PIECE_BYTES).min(self.spare.capacity_bytes);
        while self.written_bytes < end {
            let piece_bytes = (end - self.written_bytes).min(ZEROS.len() as u64);
            let zeros = &ZEROS[..piece_bytes as usize];
            self.spare.file.write_at(self.written_bytes, zeros)?;
            self.written_bytes += piece_bytes;
        }
        self.spare.file.sync()
    }
}

/// Removes a spare, if that can be done; if not, the next opening does.
fn discard(storage: &dyn Storage, name: &str) {
    if let Err(error) = storage.remove(name) {
        tracing::debug!(name, %error, "a spare file stays behind");
    }
}

impl Shared {
    /// Makes a piece of the file that the next rotation needs, if that is near
    /// and nobody else is at it. For who has just led a group: its own record
    /// is acknowledged, and others can lead meanwhile.
    pub(crate) fn prepare_a_piece(&self) {
        let Some(blocks) = self.spares.wanted() else {
            return;
        };
        let mut state = match self.spares.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let is_done = state.failed || state.closed || state.is_prepared();
        if is_done || self.options.spare_segments_max == 0 {
            return;
        }
        let made = state.make_piece(self.storage.as_ref(), self.options.segment_bytes, blocks);
        if let Err(error) = made {
            // The rotation will tell, if it is still so then.
            tracing::debug!(%error, "no spare file");
            state.failed = true;
        }
    }

    /// See [`Wal::prepare`](crate::Wal::prepare).
    pub(crate) fn prepare(&self) -> Result<bool, CommitError> {
        let capacity_bytes = self.options.segment_bytes;
        if self.options.spare_segments_max == 0 {
            return Ok(false);
        }
        let has_file = !self.spares.state().ready.is_empty();
        let blocks = self.spares.wanted().unwrap_or(Blocks::Reserved);
        loop {
            // A rotation that is due meanwhile waits for one piece at most.
            let mut state = self.spares.state();
            let made = state.make_piece(self.storage.as_ref(), capacity_bytes, blocks);
            match made {
                Ok(true) => return Ok(!has_file),
                Ok(false) => {}
                Err(error) => return Err(self.not_prepared(error)),
            }
        }
    }

    fn not_prepared(&self, error: io::Error) -> CommitError {
        let (path, kind) = (self.storage.path(""), error.kind());
        let source = Arc::new(error);
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                CommitError::StorageFull { path, source }
            }
            _ => CommitError::Refused {
                action: "make a spare file in",
                path,
                source,
            },
        }
    }

    /// Takes the file of a dropped segment for a spare, if nobody holds it and
    /// there is use for it. Then it has lost its name, which is not yet
    /// durable.
    pub(crate) fn recycle(&self, segment: &SealedSegment) -> Option<Spare> {
        let capacity_bytes = self.options.segment_bytes;
        if segment.file_bytes != capacity_bytes {
            return None;
        }
        let name = self.spares.next_name(self.options.spare_segments_max)?;
        let (storage, old_name) = (self.storage.as_ref(), segment.name.to_string());
        // Before it loses its name: later there is no way back.
        let file = storage.open(&old_name, true).ok()?;
        // It may have been compacted since, and lacks blocks then.
        file.len_bytes().ok().filter(|len| *len == capacity_bytes)?;
        match storage.rename_unheld(&old_name, &name) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                tracing::debug!(%error, segment = %segment.name, "not used again");
                // In case that it was renamed all the same.
                discard(storage, &name);
                return None;
            }
        }
        match region_of(storage, file.as_ref(), capacity_bytes) {
            Ok(region) => Some(Spare {
                name,
                file,
                capacity_bytes,
                region,
                populated_bytes: 0,
                recycled: true,
            }),
            Err(_) => {
                discard(storage, &name);
                None
            }
        }
    }

    /// Keeps a spare whose old name is gone for good.
    pub(crate) fn keep_spare(&self, spare: Spare) {
        self.spares.keep(spare);
    }
}
