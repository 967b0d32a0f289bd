//! The sealed segments that were read last, open.
//!
//! Reading one record takes less time than opening its file. So the files that
//! were read last stay open, and what is known of the way to their records with
//! them; a bounded number of them, whatever the length of the log. An open file
//! is *held* (see [`Storage::open`]): it is not used again before it is let go,
//! and so it is let go when its segment leaves the log.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};

use log_core::Lsn;
use rustix::io::Errno;

use crate::error::{DIFFERENT_BYTES, Damage, ReadError};
use crate::file_scan::FileScan;
use crate::format::FrameKey;
use crate::report::SealedSegment;
use crate::segment::End;
use crate::storage::{SegmentFile, Storage};
use crate::sync::{Mutex, MutexGuard};
use crate::waypoints::{Way, Waypoints};

/// How many stay open, of those that single records are read from. Waypoints are a 500th of what they lead through.
const OPEN_MAX: usize = 64;

/// A sealed segment that is read.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub segment: SealedSegment,
    pub key: FrameKey,
    file: Box<dyn SegmentFile>,
    waypoints: Arc<OnceLock<Waypoints>>,
}

impl OpenFile {
    /// The way to record `lsn`. Goes through the whole file if nobody did
    /// before.
    pub(crate) fn way_to(self: &Arc<Self>, lsn: Lsn) -> Way {
        if lsn <= self.segment.base {
            return Way::default();
        }
        let survey = || FileScan::from_front(Arc::clone(self)).survey();
        self.waypoints.get_or_init(survey).to(lsn)
    }

    pub(crate) fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let read = self.file.read_at(position, buffer);
        read.map_err(|error| unreadable(self.segment.path.clone(), position, error))
    }

    pub(crate) fn damage(&self, place: End) -> ReadError {
        let path = &self.segment.path;
        Damage::in_sealed(path, place.position, Some(place.lsn), DIFFERENT_BYTES).into()
    }
}

fn unreadable(path: PathBuf, position: u64, error: io::Error) -> ReadError {
    ReadError::Io {
        path,
        position,
        source: Arc::new(error),
    }
}

fn are_handles_used_up(error: &io::Error) -> bool {
    let used_up = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    used_up.contains(&error.raw_os_error())
}

/// What is read of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One record, and soon another one.
    Record,
    /// All from a record on. Who goes through whole segments opens many, and
    /// comes to each of them once: they are not kept.
    RecordsFrom,
}

/// One that stays open.
#[derive(Debug)]
struct Kept {
    base: Lsn,
    end: Lsn,
    /// `None` before it is read.
    file: Option<Arc<OpenFile>>,
    waypoints: Arc<OnceLock<Waypoints>>,
    /// Greater than that of those that were used before.
    used: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles {
    kept: Mutex<KeptFiles>,
}

#[derive(Debug, Default)]
struct KeptFiles {
    /// Ascending by base.
    files: Vec<Kept>,
    uses: u64,
    /// How often another file took the place of a segment's.
    replaced: u64,
}

impl OpenFiles {
    /// The open segment that has record `lsn`: which one, says `find`. `None`
    /// if it says that there is none.
    pub(crate) fn open(
        &self,
        storage: &dyn Storage,
        lsn: Lsn,
        wanted: Wanted,
        find: impl Fn(Lsn) -> Option<SealedSegment>,
    ) -> Result<Option<Arc<OpenFile>>, ReadError> {
        let (segment, known, file, mut kept) = loop {
            let mut kept = self.kept();
            let known = match kept.touch(lsn) {
                Some(Kept {
                    file: Some(open), ..
                }) => return Ok(Some(Arc::clone(open))),
                Some(Kept { waypoints, .. }) => Arc::clone(waypoints),
                None => Arc::default(),
            };
            let replaced = kept.replaced;
            drop(kept);
            let Some(segment) = find(lsn) else {
                return Ok(None);
            };
            let file = self.open_file(storage, &segment);
            let kept = self.kept();
            // Or it may be the old file, which is not to stay open.
            if kept.replaced == replaced {
                break (segment, known, file, kept);
            }
        };
        // It may have been dropped from the log meanwhile. Asked with the lock
        // held, so that `let_go` comes later if it has not.
        if find(lsn).is_none() {
            return Ok(None);
        }
        let opened = Arc::new(OpenFile {
            file: file.map_err(|error| unreadable(segment.path.clone(), 0, error))?,
            key: FrameKey::new(segment.salt),
            waypoints: known,
            segment,
        });
        if wanted == Wanted::Record || lsn > opened.segment.base {
            kept.keep(&opened.segment, &opened.waypoints, Some(&opened));
        }
        Ok(Some(opened))
    }

    /// Opens a segment's file, if need be in place of those that are kept.
    fn open_file(
        &self,
        storage: &dyn Storage,
        segment: &SealedSegment,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let open = || storage.open(&segment.name.to_string(), false);
        open().or_else(|error| match are_handles_used_up(&error) {
            true => {
                self.kept().files.iter_mut().for_each(|it| it.file = None);
                open()
            }
            false => Err(error),
        })
    }

    /// Takes in what is known of the way through a segment.
    pub(crate) fn know(&self, segment: &SealedSegment, waypoints: Waypoints) {
        let known = Arc::new(OnceLock::from(waypoints));
        self.kept().keep(segment, &known, None);
    }

    /// Closes the files of segments that end at or before `lsn`. Who reads one
    /// keeps it until it is done.
    pub(crate) fn let_go(&self, lsn: Lsn) {
        self.kept().files.retain(|kept| kept.end > lsn);
    }

    /// Closes the file of a segment: another one has its name now.
    pub(crate) fn forget(&self, segment: &SealedSegment) {
        let mut kept = self.kept();
        kept.replaced += 1;
        kept.files.retain(|kept| kept.base != segment.base);
    }

    fn kept(&self) -> MutexGuard<'_, KeptFiles> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptFiles {
    /// The one that has record `lsn`.
    fn touch(&mut self, lsn: Lsn) -> Option<&Kept> {
        let after = self.files.partition_point(|kept| kept.base <= lsn);
        let kept = self.files.get_mut(after.checked_sub(1)?)?;
        if lsn >= kept.end {
            return None;
        }
        self.uses += 1;
        kept.used = self.uses;
        Some(kept)
    }

    fn keep(
        &mut self,
        segment: &SealedSegment,
        waypoints: &Arc<OnceLock<Waypoints>>,
        file: Option<&Arc<OpenFile>>,
    ) {
        let (base, end) = (segment.base, segment.end);
        // Without a record it is never looked for.
        if base == end {
            return;
        }
        self.uses += 1;
        let kept = Kept {
            base,
            end,
            file: file.cloned(),
            waypoints: Arc::clone(waypoints),
            used: self.uses,
        };
        match self.files.binary_search_by_key(&base, |kept| kept.base) {
            Ok(index) => self.files[index] = kept,
            Err(index) => self.files.insert(index, kept),
        }
        if self.files.len() > OPEN_MAX {
            let by_use = self.files.iter().enumerate().min_by_key(|(_, it)| it.used);
            if let Some((oldest, _)) = by_use {
                self.files.remove(oldest);
            }
        }
    }
}
