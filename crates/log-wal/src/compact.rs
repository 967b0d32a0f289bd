//! Taking records out of the middle of a log.
//!
//! A sealed segment is written once more, beside itself: the records that stay
//! move together, and each of the others leaves a void frame, which keeps its
//! number. So every number still has a frame, numbers do not change, and the
//! format has nothing new: whoever reads voids reads this. The new file ends at
//! the position at which the old one did, because the next segment's header
//! says where that is. What was saved becomes the payload of a few of the voids:
//! zeros, which are never written, so that the file system gives no room to
//! them.
//!
//! The new file is synced before it takes the old one's name, so a crash leaves
//! the old file or the new one, whole (`INV-W12`). What is known of a segment
//! (name, salt, ends) is true of both: who opens either is right. Who has the
//! old one open keeps it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use log_core::{CELL_HEADER_BYTES, Lsn, PAYLOAD_BYTES_MAX, Word, cell_bytes};

use crate::error::{CommitError, CompactError, ReadError};
use crate::file_scan::FileScan;
use crate::format::{FIRST_POSITION, FrameKey};
use crate::open_files::{OpenFile, Wanted};
use crate::record::Record;
use crate::recovery::temporary_name;
use crate::report::{Compacted, SealedSegment};
use crate::segment::End;
use crate::segment_file::create_anew;
use crate::shared::Shared;
use crate::storage::{Blocks, SegmentFile};

/// How long a void is at least that stands for a hole: one frame's header, and
/// so one block, is lost for each. And at most, if records are not longer:
/// readers hold whole frames.
const HOLE_BYTES: u64 = 128 << 10;
/// What file systems give room in.
const BLOCK_BYTES: u64 = 4096;
/// How much is written at a time.
const WRITE_BYTES: usize = 256 << 10;

impl Shared {
    /// Takes the records out of `segment` that `keep` refuses.
    pub(crate) fn compact(
        &self,
        segment: &SealedSegment,
        keep: impl FnMut(&Record) -> bool,
    ) -> Result<Option<Compacted>, CompactError> {
        // Two would write the same file.
        let _alone = self.compaction.lock();
        self.group.check()?;
        if segment.base == segment.end || !self.has_sealed(segment) {
            return Ok(None);
        }
        let file = match self.open_sealed(segment.base, Wanted::RecordsFrom) {
            // It was dropped just now.
            Err(ReadError::Truncated { .. }) => return Ok(None),
            file => file?,
        };
        let plan = Plan::make(&file, keep)?;
        if plan.dropped_records == 0 {
            return Ok(None);
        }
        if plan.hole_bytes > PAYLOAD_BYTES_MAX as u64 {
            // Of a segment of many sync marks and few records of that length.
            let error = io::Error::other("its voids would be longer than a frame can be");
            return Err(refused("compact", segment.path.clone(), error).into());
        }
        let name = temporary_name(segment.name);
        let written = self.write_compacted(&file, &plan, &name);
        let renamed = written.and_then(|compacted| {
            let is_there = self.put_in_place(segment, &name)?;
            Ok(is_there.then_some(compacted))
        });
        if !matches!(renamed, Ok(Some(_)))
            && let Err(error) = self.storage.remove(&name)
        {
            // Opening removes it.
            tracing::debug!(%error, name, "a half-made segment file stays behind");
        }
        renamed
    }

    fn has_sealed(&self, segment: &SealedSegment) -> bool {
        self.catalog.find(segment.base).as_ref() == Some(segment)
    }

    /// Writes the new file and syncs it.
    fn write_compacted(
        &self,
        old: &Arc<OpenFile>,
        plan: &Plan,
        name: &str,
    ) -> Result<Compacted, CompactError> {
        let refused = |action| {
            let path = self.storage.path(name);
            move |error| refused(action, path, error)
        };
        let mut header = [0; FIRST_POSITION as usize];
        if old.read_at(0, &mut header)? < header.len() {
            let start = End {
                lsn: old.segment.base,
                position: 0,
            };
            return Err(old.damage(start).into());
        }
        let storage = self.storage.as_ref();
        let file = create_anew(storage, name, FIRST_POSITION, Blocks::Reserved);
        let file = file.map_err(refused("create"))?;
        file.write_at(0, &header).map_err(refused("write"))?;
        let mut writer = Writer::new(file.as_ref(), &old.key, old.segment.base);
        let mut scan = FileScan::from_front(Arc::clone(old));
        let mut holes = plan.holes();
        while let Some(found) = scan.next()? {
            if !plan.keeps(found.lsn) {
                continue;
            }
            writer
                .voids_to(found.lsn, &mut holes)
                .and_then(|()| writer.record(&found.record_in(scan.frames())))
                .map_err(refused("write"))?;
        }
        let end = End {
            lsn: old.segment.end,
            position: old.segment.end_position,
        };
        let ended = writer
            .voids_to(end.lsn, &mut holes)
            .and_then(|()| writer.end(end));
        ended.map_err(refused("write"))?;
        file.sync().map_err(refused("sync"))?;
        self.progress.counters.synced();
        Ok(Compacted {
            kept_records: plan.kept_records,
            dropped_records: plan.dropped_records,
            hole_bytes: writer.hole_bytes,
        })
    }

    /// Gives the new file its name, durably. False if the segment was dropped
    /// meanwhile.
    fn put_in_place(&self, segment: &SealedSegment, name: &str) -> Result<bool, CommitError> {
        let mut is_there = false;
        // As a leader, because the directory is the leader's.
        self.group.exclusively(|| {
            is_there = self.has_sealed(segment);
            if !is_there {
                return Ok(());
            }
            let renamed = self.storage.rename(name, &segment.name.to_string());
            renamed.map_err(|error| refused("rename", self.storage.path(name), error))?;
            self.open_files.forget(segment);
            let synced = self.storage.sync_directory();
            self.progress.counters.synced();
            synced.map_err(|error| CommitError::Poisoned {
                path: self.storage.path(""),
                action: "sync",
                first_unsure: self.progress.durable_end.get(),
                source: Arc::new(error),
            })
        })?;
        Ok(is_there)
    }
}

fn refused(action: &'static str, path: std::path::PathBuf, error: io::Error) -> CommitError {
    CommitError::Refused {
        action,
        path,
        source: Arc::new(error),
    }
}

/// What stays of a segment, and how long the voids are that are left.
struct Plan {
    base: Lsn,
    /// For each number of the segment, whether its record stays.
    keeps: Vec<bool>,
    kept_records: u64,
    /// Records that do not stay, without numbers that had none.
    dropped_records: u64,
    /// What is to become payload of voids.
    spare_bytes: u64,
    /// How much of it each of them takes, as long as there is some.
    hole_bytes: u64,
}

impl Plan {
    /// Reads the whole segment, every frame verified.
    fn make(
        file: &Arc<OpenFile>,
        mut keep: impl FnMut(&Record) -> bool,
    ) -> Result<Self, CompactError> {
        let segment = &file.segment;
        let mut plan = Self {
            base: segment.base,
            keeps: Vec::new(),
            kept_records: 0,
            dropped_records: 0,
            spare_bytes: segment.end_position.saturating_sub(FIRST_POSITION),
            hole_bytes: 0,
        };
        let mut scan = FileScan::from_front(Arc::clone(file));
        while let Some(found) = scan.next()? {
            plan.pass_voids(found.lsn);
            let record = found.record_in(scan.frames());
            let keeps = keep(&record);
            plan.keeps.push(keeps);
            if keeps {
                plan.kept_records += 1;
                let bytes = cell_bytes(record.payload().len()) as u64;
                plan.spare_bytes = plan.spare_bytes.saturating_sub(bytes);
            } else {
                plan.dropped_records += 1;
            }
        }
        plan.pass_voids(segment.end);
        let voids = plan.keeps.iter().filter(|keeps| !**keeps).count() as u64;
        let headers_bytes = voids * CELL_HEADER_BYTES as u64;
        plan.spare_bytes = plan.spare_bytes.saturating_sub(headers_bytes);
        let share = plan.spare_bytes.div_ceil(voids.max(1)).next_multiple_of(8);
        plan.hole_bytes = share.max(HOLE_BYTES);
        Ok(plan)
    }

    /// Takes in that the numbers in front of `lsn` have no record.
    fn pass_voids(&mut self, lsn: Lsn) {
        let ahead = lsn.distance_from(self.base).unwrap_or_default() as usize;
        self.keeps.resize(ahead.max(self.keeps.len()), false);
    }

    fn keeps(&self, lsn: Lsn) -> bool {
        let ahead = lsn.distance_from(self.base).unwrap_or_default() as usize;
        self.keeps.get(ahead).is_some_and(|keeps| *keeps)
    }

    /// The lengths of the voids' payloads, one after the other.
    fn holes(&self) -> impl FnMut() -> u64 + use<> {
        let (mut left, most) = (self.spare_bytes, self.hole_bytes);
        move || {
            let next = left.min(most);
            left -= next;
            next
        }
    }
}

/// Writes frames one behind the other.
struct Writer<'a> {
    file: &'a dyn SegmentFile,
    key: &'a FrameKey,
    /// Frames that were not written yet, and where they belong.
    frames: Vec<u8>,
    frames_position: u64,
    next: Lsn,
    /// What was left out, in whole blocks.
    hole_bytes: u64,
}

impl<'a> Writer<'a> {
    fn new(file: &'a dyn SegmentFile, key: &'a FrameKey, base: Lsn) -> Self {
        Self {
            file,
            key,
            frames: Vec::new(),
            frames_position: FIRST_POSITION,
            next: base,
            hole_bytes: 0,
        }
    }

    fn position(&self) -> u64 {
        self.frames_position + self.frames.len() as u64
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let (position, start) = (self.position(), self.frames.len());
        let payload = record.payload();
        let word = self
            .key
            .record_word(payload.len(), record.codec(), (true, true));
        self.frames.resize(start + word.cell_bytes(), 0);
        let cell = &mut self.frames[start..];
        let fill = |place: &mut [u8]| place.copy_from_slice(payload);
        let (word, ()) = self
            .key
            .fill_record(cell, position, record.lsn(), word, fill);
        self.end_frame(start, word);
        self.flush_if_much()
    }

    /// Voids for all numbers in front of `lsn`.
    fn voids_to(&mut self, lsn: Lsn, holes: &mut impl FnMut() -> u64) -> io::Result<()> {
        while self.next < lsn {
            let hole_bytes = holes();
            let (position, start) = (self.position(), self.frames.len());
            let word = Word::new(hole_bytes as u32);
            self.frames.resize(start + word.cell_bytes(), 0);
            let cell = &mut self.frames[start..];
            let word = self.key.build_void(cell, position, self.next, word);
            self.end_frame(start, word);
            match hole_bytes {
                0 => self.flush_if_much()?,
                _ => self.leave_out(position + CELL_HEADER_BYTES as u64..self.position())?,
            }
        }
        Ok(())
    }

    fn end_frame(&mut self, start: usize, word: Word) {
        self.frames[start..][..8].copy_from_slice(&word.to_bits().to_le_bytes());
        self.next = Lsn(self.next.0 + 1);
    }

    fn flush_if_much(&mut self) -> io::Result<()> {
        match self.frames.len() < WRITE_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Does not write the zeros that lie last.
    fn leave_out(&mut self, zeros: Range<u64>) -> io::Result<()> {
        let kept = self.frames.len() - (zeros.end - zeros.start) as usize;
        self.frames.truncate(kept);
        self.flush()?;
        self.frames_position = zeros.end;
        let first_block = zeros.start.next_multiple_of(BLOCK_BYTES);
        let blocks_end = zeros.end / BLOCK_BYTES * BLOCK_BYTES;
        self.hole_bytes += blocks_end.saturating_sub(first_block);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.frames.is_empty() {
            self.file.write_at(self.frames_position, &self.frames)?;
        }
        self.frames_position = self.position();
        self.frames.clear();
        Ok(())
    }

    /// Seals the segment where it was sealed before.
    fn end(&mut self, end: End) -> io::Result<()> {
        if (self.next, self.position()) != (end.lsn, end.position) {
            // Its frames take more room than before. They cannot.
            return Err(io::Error::other("the compacted segment has another length"));
        }
        self.frames.extend(self.key.seal(end.position, end.lsn));
        // An odd length, as no new file has: this one lacks blocks, and must not
        // be used again.
        self.frames.push(0);
        self.flush()
    }
}
