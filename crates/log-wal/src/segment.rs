//! What the log keeps with each segment.

use log_core::Lsn;

use crate::format::{FrameKey, Header, SegmentName, region_bytes};

/// A segment's header, with the key that its frames are made with.
#[derive(Debug)]
pub(crate) struct SegmentMeta {
    pub header: Header,
    pub key: FrameKey,
}

impl SegmentMeta {
    pub(crate) fn new(header: Header) -> Self {
        let key = FrameKey::new(header.salt);
        Self { header, key }
    }

    pub(crate) fn name(&self) -> SegmentName {
        self.header.name()
    }

    /// Whether a region of this length was made for a file of this capacity.
    pub(crate) fn fits(region_len_bytes: usize, capacity_bytes: u64) -> bool {
        region_len_bytes as u64 == region_bytes(capacity_bytes)
    }
}

impl Header {
    /// The name that its file should have.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        SegmentName {
            base: self.base,
            id: self.id,
        }
    }
}

/// The log's segments, each tied to the one before.
pub(crate) type Tail = log_core::Tail<SegmentMeta>;

/// Where a run of records ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub lsn: Lsn,
    pub position: u64,
}
