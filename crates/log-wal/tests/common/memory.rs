//! Memory that a segment shares with its file: what a mapping is, without the
//! system.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_wal::storage::{Region, sim};

const WORD_BYTES: usize = size_of::<u64>();

/// Bytes at an address that stays.
#[derive(Debug)]
pub(crate) struct Memory {
    words: NonNull<AtomicU64>,
    len_bytes: usize,
}

// SAFETY: whole words that any thread may free.
unsafe impl Send for Memory {}
// SAFETY: read and written as words, atomically. The log stores to the cells
// that it has not published plainly; a copy that has half of such a store is
// what these tests are about.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeros.
    pub(crate) fn new(len_bytes: usize) -> Arc<Self> {
        let words = (0..len_bytes.div_ceil(WORD_BYTES)).map(|_| AtomicU64::new(0));
        let words = Box::leak(words.collect::<Box<[_]>>());
        Arc::new(Self {
            words: NonNull::from(words).cast(),
            len_bytes,
        })
    }

    /// Memory of a simulated disk.
    pub(crate) fn of_sim(bytes: &[u8]) -> Arc<dyn sim::Memory> {
        let memory = Self::new(bytes.len());
        memory.store(0, bytes);
        memory
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    fn words(&self) -> &[AtomicU64] {
        let words = NonNull::slice_from_raw_parts(self.words, self.len_bytes.div_ceil(WORD_BYTES));
        // SAFETY: leaked by `new` with this length, and there until the drop.
        unsafe { words.as_ref() }
    }

    /// A copy of all of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len_bytes];
        self.load(0, &mut bytes);
        bytes
    }

    /// Fills the buffer, from `position` on.
    pub(crate) fn load(&self, position: usize, buffer: &mut [u8]) {
        assert!(position + buffer.len() <= self.len_bytes);
        let mut words = self.words()[position / WORD_BYTES..].iter();
        let skipped = position % WORD_BYTES;
        let (head, rest) = buffer.split_at_mut((WORD_BYTES - skipped).min(buffer.len()));
        // Relaxed, here and below: whoever looks is ordered by the disk's lock,
        // or by the log.
        let mut next = || in_memory_order(words.next().unwrap());
        if !head.is_empty() {
            head.copy_from_slice(&next()[skipped..skipped + head.len()]);
        }
        for bytes in rest.chunks_mut(WORD_BYTES) {
            bytes.copy_from_slice(&next()[..bytes.len()]);
        }
    }

    /// Changes what lies at `position`.
    pub(crate) fn store(&self, position: usize, bytes: &[u8]) {
        assert!(position + bytes.len() <= self.len_bytes);
        let mut written = 0;
        while written < bytes.len() {
            let at = position + written;
            let (word, skipped) = (&self.words()[at / WORD_BYTES], at % WORD_BYTES);
            let length = (WORD_BYTES - skipped).min(bytes.len() - written);
            let mut changed = in_memory_order(word);
            changed[skipped..skipped + length].copy_from_slice(&bytes[written..written + length]);
            word.store(u64::from_le_bytes(changed).to_le(), Ordering::Relaxed);
            written += length;
        }
    }

    /// The first `len_bytes` as a region, which keeps `hold`.
    pub(crate) fn region(
        self: Arc<Self>,
        len_bytes: usize,
        hold: Box<dyn Any + Send + Sync>,
    ) -> Option<Region> {
        assert!(len_bytes <= self.len_bytes);
        let memory = self.words.cast();
        // SAFETY:
        // - valid for as long as its owner, aligned to 8, and initialised;
        // - everybody else uses it as atomic words, see `Sync`.
        unsafe { Region::from_raw_parts(memory, len_bytes, Box::new((self, hold))) }
    }
}

fn in_memory_order(word: &AtomicU64) -> [u8; WORD_BYTES] {
    u64::from_le(word.load(Ordering::Relaxed)).to_le_bytes()
}

impl Drop for Memory {
    fn drop(&mut self) {
        let words = NonNull::slice_from_raw_parts(self.words, self.len_bytes.div_ceil(WORD_BYTES));
        // SAFETY: leaked by `new` with this length, and given back once.
        drop(unsafe { Box::from_raw(words.as_ptr()) });
    }
}

impl sim::Memory for Memory {
    fn region(self: Arc<Self>, hold: Box<dyn Any + Send + Sync>) -> Option<Region> {
        let len_bytes = self.len_bytes;
        Self::region(self, len_bytes, hold)
    }

    fn load(&self) -> Vec<u8> {
        self.bytes()
    }

    fn store(&self, position: usize, bytes: &[u8]) {
        Self::store(self, position, bytes);
    }
}
