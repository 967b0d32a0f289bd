//! Memory of segments that are done with, to be used again.
//!
//! The first pass over fresh memory costs a page fault for every 4 KiB; a
//! region that was used before costs none. A region comes back only when no
//! reader holds it any more (`INV-C4`).

use std::sync::PoisonError;

use log_core::{Region, Segment};

use crate::format::region_bytes;
use crate::segment::SegmentMeta;
use crate::sync::{Arc, Mutex};

/// How many retired segments are kept for their memory. One is in use while
/// the other waits, in normal operation.
const KEPT: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct Regions {
    retired: Mutex<Vec<Arc<Segment<SegmentMeta>>>>,
}

impl Regions {
    /// Takes in segments that left the tail, the newest last. Those that
    /// readers hold, and are not kept here, go when the readers let go.
    pub(crate) fn retire(&self, segments: Vec<Arc<Segment<SegmentMeta>>>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extend(segments);
        let surplus = retired.len().saturating_sub(KEPT);
        retired.drain(..surplus);
    }

    /// Memory for a segment of `capacity_bytes`: used before if possible.
    /// `None` if there is none.
    pub(crate) fn take(&self, capacity_bytes: u64) -> Option<Region> {
        self.reuse(capacity_bytes)
            .or_else(|| Region::heap(usize::try_from(region_bytes(capacity_bytes)).ok()?))
    }

    fn reuse(&self, capacity_bytes: u64) -> Option<Region> {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..retired.len() {
            if !SegmentMeta::fits(retired[index].capacity_bytes(), capacity_bytes) {
                continue;
            }
            match Segment::into_region(retired.remove(index)) {
                Ok(region) => return Some(region),
                Err(held) => retired.insert(index, held),
            }
        }
        None
    }
}
