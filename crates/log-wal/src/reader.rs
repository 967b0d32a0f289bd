//! Reading a log without writing it: beside a running writer, or from a medium
//! that cannot be written.

use std::io;
use std::path::Path;
use std::sync::Arc;

use log_core::Lsn;

use crate::error::{Damage, OpenError, ReadError};
use crate::file_scan::FileScan;
use crate::files::Files;
use crate::format::FIRST_POSITION;
use crate::iter::Iter;
use crate::open_files::Wanted;
use crate::options::Verify;
use crate::record::Record;
use crate::recovery::{Examined, Job, Prefix, check_all, damage_in, examine};
use crate::report::{OpenReport, SealedSegment, SegmentInfo, SegmentState, VerifyReport};
use crate::segment::End;
use crate::storage::{FileStorage, Storage};

/// How often an opening beside a running writer is tried again. A busy one with
/// small segments rotates during most of them; damage is the same twice, and
/// is found at the second.
const TRIES: usize = 256;

/// A log as it was found, open for reading.
///
/// Takes no lock and writes nothing, so it works beside a running writer and on
/// a read-only medium. Shows a prefix of the log: what was handed to the
/// operating system when it was opened. Open another one to see more.
///
/// ```
/// use log_wal::{Lsn, Wal, WalReader};
///
/// let directory = tempfile::tempdir()?;
/// let wal = Wal::open(directory.path())?;
/// wal.append(b"first")?;
/// wal.flush()?;
///
/// let reader = WalReader::open(directory.path())?;
/// assert_eq!(reader.next_lsn(), Lsn(1));
/// let first = reader.iter().next().ok_or("the log is empty")??;
/// assert_eq!(first.payload(), b"first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WalReader {
    report: OpenReport,
    files: Arc<Files>,
}

impl WalReader {
    /// Opens the log in `directory`.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; [`OpenError::NoLog`] if there is none.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        Self::with_storage(Arc::new(FileStorage::at(directory)))
    }

    /// The same in any [`Storage`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn with_storage(storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        let examined = examine_steady(storage.as_ref())?;
        let Some(active) = &examined.active else {
            return Err(nothing_here(storage.as_ref(), &examined.ignored_files));
        };
        let report = examined.report();
        let name = active.header.name();
        let last = SealedSegment {
            name,
            path: storage.path(&name.to_string()),
            salt: active.header.salt,
            log_uuid: active.header.log_uuid,
            base: active.header.base,
            end: active.end.lsn,
            end_position: active.end.position,
            file_bytes: active.file_bytes,
        };
        let segments = examined.sealed.into_iter().chain([last]).collect();
        Ok(Self {
            report,
            files: Arc::new(Files::new(storage, segments)),
        })
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The number of the first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.report.first_lsn
    }

    /// One past the last record that was whole when the log was opened.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.report.next_lsn
    }

    /// Whether somebody has the log open for writing now.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        // If it cannot be told, nobody was seen.
        self.files.storage.is_locked().unwrap_or(false)
    }

    /// The sealed segments, ascending and without a gap.
    #[must_use]
    pub fn sealed(&self) -> Vec<SealedSegment> {
        match self.files.segments.split_last() {
            Some((_active, sealed)) => sealed.to_vec(),
            None => Vec::new(),
        }
    }

    /// Every segment, ascending; the last one is active.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let mut infos: Vec<_> = self
            .files
            .segments
            .iter()
            .cloned()
            .map(SegmentInfo::from)
            .collect();
        if let Some(last) = infos.last_mut() {
            last.state = SegmentState::Active;
        }
        infos
    }

    /// Reads from the first record. Every checksum is verified.
    #[must_use]
    pub fn iter(&self) -> Iter {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn`, see [`Iter`].
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Iter {
        Iter::of_files(Arc::clone(&self.files), lsn)
    }

    /// Reads record `lsn`, its checksum verified. `None` if it was not there
    /// when the log was opened, or its number was given up.
    ///
    /// Touches some 4 KiB of its segment, except for the first record that is
    /// wanted of one: that reads all of it. Segments that were read last stay
    /// open, 64 of them at most.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; [`ReadError::Truncated`] if it lies before
    /// [`first_lsn`](Self::first_lsn).
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        match self.files.open(lsn, Wanted::Record)? {
            Some(file) => FileScan::from(file, lsn)?.one(),
            None => Ok(None),
        }
    }

    /// Checks every frame of every segment. Reads all of the log, with several
    /// threads if it is large; they end with the call.
    #[must_use]
    pub fn verify(&self) -> VerifyReport {
        let mut report = VerifyReport {
            segments: self.files.segments.len(),
            ..VerifyReport::default()
        };
        let jobs: Vec<_> = self.files.segments.iter().map(job).collect();
        let checked = check_all(self.files.storage.as_ref(), &jobs);
        for (segment, whole) in self.files.segments.iter().zip(checked) {
            self.note(segment, whole, &mut report);
        }
        report
    }

    /// Adds to the report what was found of a segment.
    fn note(&self, segment: &SealedSegment, whole: io::Result<Prefix>, report: &mut VerifyReport) {
        let job = job(segment);
        let found = whole.and_then(|whole| {
            if whole.frames_end == job.end {
                return Ok((vec![whole.frames_tally], Vec::new()));
            }
            let (runs, damage) = damage_in(self.files.storage.as_ref(), &job)?;
            Ok((runs.iter().map(|run| run.tally).collect(), damage))
        });
        match found {
            Ok((tallies, damage)) => {
                tallies.into_iter().for_each(|tally| report.add(tally));
                report.damage.extend(damage);
            }
            Err(error) => {
                let reason = format!("it cannot be read: {error}");
                let (position, lsn) = (FIRST_POSITION, Some(segment.base));
                let damage = Damage::in_sealed(&segment.path, position, lsn, reason);
                report.damage.push(damage);
            }
        }
    }
}

fn job(segment: &SealedSegment) -> Job {
    Job {
        name: segment.name,
        salt: segment.salt,
        base: segment.base,
        end: End {
            lsn: segment.end,
            position: segment.end_position,
        },
    }
}

/// Examines until the answer is one that a running writer cannot have caused.
///
/// A writer may rotate, or write a group, between two of our looks, and what we
/// see then never was on the disk at one time. If it was that, the next
/// examination finds something else.
fn examine_steady(storage: &dyn Storage) -> Result<Examined, OpenError> {
    let mut last_refusal = None;
    for _ in 0..TRIES {
        match examine(storage, Verify::Tail) {
            Err(OpenError::Damaged(damage)) if last_refusal.as_ref() != Some(&damage) => {
                last_refusal = Some(damage);
            }
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    examine(storage, Verify::Tail)
}

pub(crate) fn nothing_here(storage: &dyn Storage, ignored_files: &[String]) -> OpenError {
    let path = storage.path("");
    match ignored_files.first() {
        Some(example) => OpenError::NotALog {
            path,
            example: example.clone(),
        },
        None => OpenError::NoLog { path },
    }
}
