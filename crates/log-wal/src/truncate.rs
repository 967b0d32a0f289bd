//! Discarding records from the end of a log.
//!
//! One new file does it: a segment whose header says that its predecessor ends
//! earlier than it did. Before that file has its name the log is as it was, and
//! from then on it is as asked for; nothing that was discarded is overwritten,
//! so who still reads it reads what was there, and nothing of it can come back
//! (`INV-W8`). Then the log is opened again, on the spot.

use std::io;
use std::sync::Arc;

use log_core::Lsn;

use crate::error::{AppendError, CommitError, TruncateError};
use crate::file_scan::FileScan;
use crate::format::{Header, Predecessor};
use crate::open_files::Wanted;
use crate::options::{Level, Verify};
use crate::recovery::examine;
use crate::shared::Shared;
use crate::start::start;
use crate::storage::Blocks;

impl Shared {
    /// The same log, ending at `end`; `None` if it ends there already.
    pub(crate) fn truncated_after(&self, end: Lsn) -> Result<Option<Shared>, TruncateError> {
        let (first, next) = (self.first_lsn(), self.tail.published_end());
        if end < first || end > next {
            return Err(TruncateError::OutOfRange { end, first, next });
        }
        self.group.check()?;
        if end == next {
            return Ok(None);
        }
        // What stays must be durable before a header says that it is there.
        self.commit(next, Level::Durable)?;
        let predecessor = self.cut_at(end)?;
        self.group.exclusively(|| {
            self.begin_after(predecessor)?;
            // Futures of this log must not write to files that are not its own.
            self.retire();
            Ok(())
        })?;
        let storage = self.storage.clone();
        let examined = examine(storage.as_ref(), Verify::Tail);
        let reopened = examined.and_then(|found| start(storage, self.options.clone(), found));
        Ok(Some(reopened?))
    }

    /// The segment that `end` lies in, as the predecessor of one that begins
    /// there.
    fn cut_at(&self, end: Lsn) -> Result<Predecessor, TruncateError> {
        if let Some(cursor) = self.tail.cursor_at(end) {
            return Ok(Predecessor {
                id: cursor.segment().meta().header.id,
                end,
                end_position: cursor.position() as u64,
            });
        }
        let file = self.open_sealed(end, Wanted::RecordsFrom)?;
        let id = file.segment.name.id;
        let scan = FileScan::proven_from(file, end)?;
        Ok(Predecessor {
            id,
            end,
            end_position: scan.position(),
        })
    }

    fn begin_after(&self, predecessor: Predecessor) -> Result<(), CommitError> {
        let id = self.unused_id().ok_or_else(|| CommitError::Refused {
            action: "begin a segment in",
            path: self.storage.path(""),
            source: Arc::new(io::Error::other(AppendError::NumbersExhausted)),
        })?;
        let header = Header {
            log_uuid: self.log_uuid,
            // Taken only if the file is made: then the log is opened again.
            id,
            salt: self.storage.random_u64(),
            base: predecessor.end,
            capacity_bytes: self.options.segment_bytes,
            recycled: false,
            truncates: true,
            predecessor: Some(predecessor),
        };
        self.create_segment(&header, Blocks::Written).map(drop)
    }
}
