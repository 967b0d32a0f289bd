//! Segment files as they were found, for who reads without writing.

use std::io;
use std::sync::Arc;

use log_core::Lsn;

use crate::error::ReadError;
use crate::format::SegmentName;
use crate::open_files::{OpenFile, OpenFiles, Wanted};
use crate::report::SealedSegment;
use crate::storage::Storage;

/// All segments of a log; the last one as far as it was whole.
#[derive(Debug)]
pub(crate) struct Files {
    pub storage: Arc<dyn Storage>,
    pub segments: Vec<SealedSegment>,
    open: OpenFiles,
}

impl Files {
    pub(crate) fn new(storage: Arc<dyn Storage>, segments: Vec<SealedSegment>) -> Self {
        Self {
            storage,
            segments,
            open: OpenFiles::default(),
        }
    }

    /// The segment that has record `lsn`; `None` if it is not there yet.
    pub(crate) fn open(
        &self,
        lsn: Lsn,
        wanted: Wanted,
    ) -> Result<Option<Arc<OpenFile>>, ReadError> {
        if let Some(first) = self.segments.first()
            && lsn < first.base
        {
            return Err(ReadError::Truncated {
                requested: lsn,
                first: first.base,
            });
        }
        let find = |lsn| {
            let after = self.segments.partition_point(|segment| segment.end <= lsn);
            self.segments.get(after).cloned()
        };
        let opened = self.open.open(self.storage.as_ref(), lsn, wanted, find);
        opened.map_err(|error| match self.first_of_those_left(lsn, &error) {
            Some(first) => ReadError::Truncated {
                requested: lsn,
                first,
            },
            None => error,
        })
    }

    /// Where the log begins now, if that is behind `lsn` and why its file was
    /// not found. The names say it.
    fn first_of_those_left(&self, lsn: Lsn, error: &ReadError) -> Option<Lsn> {
        let ReadError::Io { source, .. } = error else {
            return None;
        };
        if source.kind() != io::ErrorKind::NotFound {
            return None;
        }
        let left = self.storage.list().ok()?;
        let names = left.iter().filter_map(|it| SegmentName::parse(&it.name));
        // Behind what was asked for: else it is missing for another reason.
        names
            .map(|name| name.base)
            .min()
            .filter(|first| *first > lsn)
    }
}
