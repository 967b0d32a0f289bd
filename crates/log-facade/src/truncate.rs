//! Cutting the end of a log: what is discarded is gone for everybody.
//!
//! The engine does it atomically. What is left to do here is to see to those
//! who know numbers behind the cut, which will be given to other records:
//! cursors are set back, durably and before anything is discarded, so that a
//! crash in between costs a consumer no record; subscriptions are told (see
//! `cuts`); and snapshots, which promise to show the same for as long as they
//! are held, forbid it.

use std::sync::Arc;

use crate::error::TruncateError;
use crate::housekeeper::Housekeeper;
use crate::shared::Shared;
use crate::{Level, Log, Lsn};

impl Log {
    /// Discards every record from `end` on, for good: `end` is the number that
    /// the next record will have. May cut through a batch. Does nothing if the
    /// log ends there.
    ///
    /// Atomic: after a crash at any moment the log has all of its old records,
    /// or none of the discarded ones (`INV-W8`). Needs the log to itself: no
    /// [`Snapshot`](crate::Snapshot) may be held. Blocks for several syncs, and
    /// for reading one segment; whoever follows the log meanwhile waits, tasks
    /// too. The engine's [`stats`](Self::stats) begin anew.
    ///
    /// What becomes of those who know discarded records:
    ///
    /// - A [`Record`](crate::Record) that is held stays valid.
    /// - A [`Cursor`](crate::Cursor) that stands behind `end` is set back to it,
    ///   durably, before anything is discarded. A handle from before the cut
    ///   [confirms nothing](crate::CursorError::Discarded) from `end` on; ask
    ///   for the cursor again.
    /// - A [`Subscription`](crate::Subscription) that has delivered some of
    ///   them is [told](crate::NextError::Discarded), and goes on at `end`.
    ///   Others just go on.
    /// - A [`LogReader`](crate::LogReader) that was opened before shows them for
    ///   as long as their files are there, and then fails.
    ///
    /// ```
    /// use log_facade::{Log, Lsn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let mut log = Log::open(directory.path())?;
    /// log.append_batch(&[b"agreed", b"not agreed"])?;
    /// log.truncate_after(Lsn(1))?;
    /// assert_eq!(log.append(b"agreed later")?, Lsn(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        let door = Arc::clone(self.parts().1);
        self.with_housekeeper_stopped(|shared| {
            door.alone(shared, |shared| {
                let shared = Arc::get_mut(shared).ok_or(TruncateError::InUse)?;
                shared.truncate_after(end)
            })
        })
    }

    /// Does something for which nobody else may hold the log.
    fn with_housekeeper_stopped(
        &mut self,
        work: impl FnOnce(&mut Arc<Shared>) -> Result<(), TruncateError>,
    ) -> Result<(), TruncateError> {
        let (shared, housekeeper) = self.parts_mut();
        let had_one = housekeeper.take().is_some();
        let worked = work(shared);
        if had_one {
            match Housekeeper::start(shared) {
                Ok(started) => *housekeeper = started,
                // What went wrong first is told.
                Err(error) => return worked.and(Err(TruncateError::Housekeeper(error))),
            }
        }
        worked
    }
}

impl Shared {
    fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        self.admit(Level::Published)?;
        let (first, next) = (self.engine.first_lsn(), self.engine.next_lsn());
        if !(first..=next).contains(&end) {
            return Err(TruncateError::OutOfRange { end, first, next });
        }
        if end == next {
            return Ok(());
        }
        let truncation = self.engine.truncation();
        let truncation = truncation.ok_or(TruncateError::NotSupported)?;
        // First: a crash between the two only has consumers see some records
        // again.
        self.cursors.set_back(end..=next)?;
        truncation.truncate_after(end)?;
        self.note_cut(end);
        Ok(())
    }
}
