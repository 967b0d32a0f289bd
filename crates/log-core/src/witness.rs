//! What the model checker watches in place of raw memory.
//!
//! Loom sees only what passes through its own cells, and a region is raw
//! memory. So each 8-byte unit of a region has a witness: a loom cell that is
//! written and read whenever the unit is. A missing ordering between a write
//! and a read of memory then shows as a race on the witness. In a normal build
//! it is nothing.

use std::ops::Range;

#[cfg(not(log_loom))]
#[derive(Debug)]
pub(crate) struct Witness;

#[cfg(not(log_loom))]
impl Witness {
    pub(crate) fn new(_len_bytes: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn read(&self, _range: Range<usize>) {}

    #[inline(always)]
    pub(crate) fn write(&self, _range: Range<usize>) {}
}

#[cfg(log_loom)]
#[derive(Debug)]
pub(crate) struct Witness(Vec<crate::sync::UnsafeCell<()>>);

#[cfg(log_loom)]
impl Witness {
    pub(crate) fn new(len_bytes: usize) -> Self {
        Self(
            (0..len_bytes / 8)
                .map(|_| crate::sync::UnsafeCell::new(()))
                .collect(),
        )
    }

    pub(crate) fn read(&self, range: Range<usize>) {
        for unit in &self.0[range.start / 8..range.end.div_ceil(8)] {
            unit.with(|_| ());
        }
    }

    pub(crate) fn write(&self, range: Range<usize>) {
        for unit in &self.0[range.start / 8..range.end.div_ceil(8)] {
            unit.with_mut(|_| ());
        }
    }
}
