//! Reading one record by its number.

use bytes::Bytes;
use log_core::Lsn;

use crate::error::ReadError;
use crate::file_scan::FileScan;
use crate::found::Found;
use crate::open_files::Wanted;
use crate::record::Record;
use crate::shared::Shared;

impl Shared {
    /// Record `lsn`. In memory first and on disk second: a segment is in the
    /// catalog before it leaves memory.
    pub(crate) fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        // Before the look into memory: what is published and not there has left.
        if lsn >= self.tail.published_end() {
            return Ok(None);
        }
        if let Some(span) = self.tail.span_of(lsn) {
            let key = span.segment().meta().key.clone();
            let frames = Bytes::from_owner(span);
            let mut position = 0;
            // Sync marks may lie in front of it.
            while let Ok(frame) = key.decode_unchecked(&frames[position..], lsn) {
                let found = Found::new(&frame, position);
                if found.is_record() {
                    return Ok(Some(found.record_in(&frames)));
                }
                position += found.len_bytes;
            }
            return Ok(None);
        }
        FileScan::from(self.open_sealed(lsn, Wanted::Record)?, lsn)?.one()
    }
}
