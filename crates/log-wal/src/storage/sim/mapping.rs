//! Files that are appended to through memory.
//!
//! Nothing tells when memory is stored to. So it is compared with what the page
//! cache showed last, before each call and when the power goes: each sector
//! that differs was written meanwhile, unasked and unsynced, as a page of a
//! mapping is that the system may bring to the medium at any time.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Weak};

use log_core::Region;

use super::contents::SECTOR_BYTES;
use super::directory::FileId;
use super::disk::Handle;

/// Memory that stands for a mapping of a file, see
/// [`SimStorage::map_files`](super::SimStorage::map_files).
///
/// It is looked at while others may be storing to it: whoever implements this
/// answers for what that means.
pub trait Memory: Debug + Send + Sync {
    /// The same bytes as a region, which keeps `hold` until it is dropped.
    /// Asked for once. `None` if there can be no such region.
    fn region(self: Arc<Self>, hold: Box<dyn Any + Send + Sync>) -> Option<Region>;

    /// Copies all of it, as long as it was made.
    fn load(&self) -> Vec<u8>;

    /// Changes what lies at `position`, which is inside.
    fn store(&self, position: usize, bytes: &[u8]);
}

/// Makes memory that holds these bytes.
pub type MakeMemory = fn(&[u8]) -> Arc<dyn Memory>;

/// The front of a file, and the memory that stands for it.
#[derive(Debug)]
pub(super) struct Mapping {
    pub file: FileId,
    memory: Arc<dyn Memory>,
    /// What the file showed when it was last compared.
    known: Vec<u8>,
    /// Gone when the region is.
    region: Weak<()>,
}

impl Mapping {
    /// The mapping, and the region that `hold` goes with.
    pub(super) fn new(
        file: FileId,
        known: Vec<u8>,
        make: MakeMemory,
        hold: Handle,
    ) -> Option<(Self, Region)> {
        let memory = make(&known);
        let is_there = Arc::new(());
        let mapping = Self {
            file,
            memory: Arc::clone(&memory),
            known,
            region: Arc::downgrade(&is_there),
        };
        let region = memory.region(Box::new((is_there, hold)))?;
        Some((mapping, region))
    }

    /// Whether anybody can still store to it.
    pub(super) fn is_live(&self) -> bool {
        self.region.strong_count() > 0
    }

    /// The memory as it is now, and which of its sectors changed meanwhile.
    pub(super) fn look(&mut self) -> (&[u8], Vec<Range<usize>>) {
        let old = std::mem::replace(&mut self.known, self.memory.load());
        let starts = (0..old.len()).step_by(SECTOR_BYTES);
        let sectors = starts.map(|start| start..old.len().min(start + SECTOR_BYTES));
        let changed = sectors.filter(|at| old[at.clone()] != self.known[at.clone()]);
        let changed = changed.collect();
        (&self.known, changed)
    }

    /// The file shows other bytes at `position`, as far as it is mapped.
    pub(super) fn written(&mut self, position: usize, bytes: &[u8]) {
        let room = self.known.len().saturating_sub(position);
        let bytes = &bytes[..bytes.len().min(room)];
        if !bytes.is_empty() {
            self.known[position..position + bytes.len()].copy_from_slice(bytes);
            self.memory.store(position, bytes);
        }
    }
}
