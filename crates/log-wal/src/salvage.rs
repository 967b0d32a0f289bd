//! Reading what is left of a damaged log.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use log_core::Lsn;

use crate::error::{Damage, OpenError, ReadError};
use crate::format::{FrameKey, FrameKind};
use crate::reader::nothing_here;
use crate::record::Record;
use crate::recovery::{Run, Step, Survey, plan, survey};
use crate::report::{CutReport, VerifyReport};
use crate::storage::{FileStorage, Storage};

/// Everything that can be read of a log, damaged or not, and a list of what
/// cannot.
///
/// Writes nothing and destroys nothing: the log stays as it is, and a plain
/// opening of it is refused as before. Every frame was read when it was made.
/// Not for a log that is being written.
///
/// ```
/// use log_wal::{Salvage, Wal};
///
/// let directory = tempfile::tempdir()?;
/// let wal = Wal::open(directory.path())?;
/// wal.append(b"first")?;
/// wal.close()?;
///
/// let salvage = Salvage::open(directory.path())?;
/// assert!(salvage.report().damage.is_empty());
/// for item in salvage.iter() {
///     match item {
///         Ok(record) => assert_eq!(record.payload(), b"first"),
///         Err(lost) => println!("{lost}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Salvage {
    storage: Arc<dyn Storage>,
    found: Arc<Survey>,
    report: VerifyReport,
}

impl Salvage {
    /// Looks at every file of the log in `directory`.
    ///
    /// # Errors
    ///
    /// [`OpenError`], but for damaged, missing and foreign segments: these are
    /// in the report.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with_storage(Arc::new(FileStorage::at(directory.as_ref())))
    }

    /// The same in any [`Storage`].
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn with_storage(storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        let found = survey(storage.as_ref())?;
        if found.segments == 0 {
            return Err(nothing_here(storage.as_ref(), &[]));
        }
        let mut report = VerifyReport {
            segments: found.segments,
            damage: found.damage(),
            ..VerifyReport::default()
        };
        for step in &found.steps {
            if let Step::Read { run, .. } = step {
                report.add(run.tally);
            }
        }
        Ok(Self {
            storage,
            found: Arc::new(found),
            report,
        })
    }

    /// What was found: every damage with what it takes with it, ascending.
    #[must_use]
    pub fn report(&self) -> &VerifyReport {
        &self.report
    }

    /// What opening with
    /// [`RecoveryPolicy::CutToLastGood`](crate::RecoveryPolicy::CutToLastGood)
    /// would discard; `None` if nothing is damaged.
    #[must_use]
    pub fn cut_plan(&self) -> Option<CutReport> {
        plan(self.storage.as_ref(), &self.found)
    }

    /// Reads every record that can be read, in order. Where some cannot there
    /// is one [`ReadError::Damaged`], which says what is lost; reading goes on
    /// behind it. Needs memory for one segment.
    #[must_use]
    pub fn iter(&self) -> SalvageIter {
        SalvageIter {
            storage: Arc::clone(&self.storage),
            found: Arc::clone(&self.found),
            step: 0,
            frames: None,
        }
    }
}

impl IntoIterator for &Salvage {
    type Item = Result<Record, ReadError>;
    type IntoIter = SalvageIter;

    fn into_iter(self) -> SalvageIter {
        self.iter()
    }
}

/// What [`Salvage::iter`] gives.
#[derive(Debug)]
pub struct SalvageIter {
    storage: Arc<dyn Storage>,
    found: Arc<Survey>,
    step: usize,
    frames: Option<Frames>,
}

/// The frames of a run that were not read yet.
#[derive(Debug)]
struct Frames {
    key: FrameKey,
    bytes: Bytes,
    position: u64,
    lsn: Lsn,
}

impl Frames {
    fn next(&mut self) -> Option<Record> {
        loop {
            let frame = self.key.decode(&self.bytes, self.position, self.lsn).ok()?;
            let (len_bytes, lsn, next_lsn) = (frame.len_bytes(), frame.lsn, frame.next_lsn());
            let codec = frame.codec();
            let payload =
                (frame.kind == FrameKind::Record).then(|| self.bytes.slice_ref(frame.payload));
            self.bytes = self.bytes.slice(len_bytes..);
            self.position += len_bytes as u64;
            self.lsn = next_lsn;
            if let Some(payload) = payload {
                return Some(Record::new(lsn, payload).with_codec(codec));
            }
        }
    }
}

impl SalvageIter {
    fn read(&self, name: &str, salt: u64, run: &Run) -> Result<Frames, ReadError> {
        let unreadable = |error| ReadError::Io {
            path: self.storage.path(name),
            position: run.start.position,
            source: Arc::new(error),
        };
        let file = self.storage.open(name, false).map_err(unreadable)?;
        let mut bytes = vec![0; (run.end.position - run.start.position) as usize];
        file.read_at(run.start.position, &mut bytes)
            .map_err(unreadable)?;
        Ok(Frames {
            key: FrameKey::new(salt),
            bytes: bytes.into(),
            position: run.start.position,
            lsn: run.start.lsn,
        })
    }
}

impl Iterator for SalvageIter {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.frames.as_mut().and_then(Frames::next) {
                return Some(Ok(record));
            }
            self.frames = None;
            let found = Arc::clone(&self.found);
            let step = found.steps.get(self.step)?;
            self.step += 1;
            match step {
                Step::Damage { damage, .. } => return Some(Err(lost(damage))),
                Step::Read { name, salt, run } => match self.read(&name.to_string(), *salt, run) {
                    Ok(frames) => self.frames = Some(frames),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

fn lost(damage: &Damage) -> ReadError {
    ReadError::Damaged(damage.clone())
}
