//! Reading what is left of a damaged log, envelopes taken off.

use std::path::Path;

use log_wal::{CutReport, OpenError, ReadError};

use crate::envelope::Record;
use crate::verify::VerifyReport;

/// Everything that can be read of a log, damaged or not, and a list of what
/// cannot.
///
/// Writes nothing and destroys nothing: the log stays as it is, and a plain
/// opening of it is refused as before. Every frame was read when it was made.
/// Not for a log that is being written.
///
/// ```
/// use log_mmap::{NewRecord, Salvage, Store, StoreOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path(), StoreOptions::default())?;
/// store.append_record(&NewRecord::new(b"payload").key(b"key"))?;
/// store.close()?;
///
/// let salvage = Salvage::open(directory.path())?;
/// assert!(salvage.report().damage.is_empty());
/// let first = salvage.iter().next().ok_or("nothing is left")??;
/// assert_eq!(first.payload(), b"payload");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Salvage {
    log: log_wal::Salvage,
    report: VerifyReport,
}

impl Salvage {
    /// Looks at every file of the log in `directory`.
    ///
    /// # Errors
    ///
    /// [`OpenError`], but for damaged, missing and foreign segments: these are
    /// in [`report`](Self::report).
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let log = log_wal::Salvage::open(directory)?;
        let report = VerifyReport::new(log.report().clone(), std::iter::empty());
        Ok(Self { log, report })
    }

    /// What can be read, and every damage with what it takes with it, ascending.
    /// Indexes are not looked at.
    #[must_use]
    pub fn report(&self) -> &VerifyReport {
        &self.report
    }

    /// What opening with
    /// [`RecoveryPolicy::CutToLastGood`](crate::RecoveryPolicy::CutToLastGood)
    /// would discard; `None` if nothing is damaged.
    #[must_use]
    pub fn cut_plan(&self) -> Option<CutReport> {
        self.log.cut_plan()
    }

    /// Reads every record that can be read, in order. Where some cannot there
    /// is one [`ReadError::Damaged`], which says what is lost; reading goes on
    /// behind it. Needs memory for one segment.
    pub fn iter(&self) -> impl Iterator<Item = Result<Record, ReadError>> + use<> {
        let records = self.log.iter();
        records.map(|record| record.and_then(Record::try_from))
    }
}
