//! The memory that a segment's cells are built in.
//!
//! A region is a fixed stretch of bytes with a stable address. It may be heap
//! memory or a mapping that somebody else made. Cells are written through raw
//! pointers, by whoever reserved them, and become readable when they are
//! published: a region itself hands out no reference, and so cannot be read
//! too early.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Word;
use crate::witness::Witness;
use crate::word::CELL_ALIGN_BYTES;

/// Regions begin at a page, so that a region and the file it mirrors can use
/// the same positions, whatever the way of writing it out.
const ALIGN_BYTES: usize = 4096;

/// The longest region: positions are kept as 31 bits of 8-byte units.
pub const REGION_BYTES_MAX: usize = (1 << 31) * CELL_ALIGN_BYTES - CELL_ALIGN_BYTES;

/// A fixed stretch of memory that cells are built in.
///
/// The bytes are whatever the memory held: zeros when fresh, old cells when
/// recycled. Nothing in this crate takes them for news.
pub struct Region {
    memory: NonNull<u8>,
    len_bytes: usize,
    witness: Witness,
    /// Keeps the memory alive, and frees it.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: a region owns its memory through `_owner`, which is `Send`; nothing
// about the memory is tied to a thread.
unsafe impl Send for Region {}
// SAFETY: `&Region` gives no access to the bytes except through the crate's
// own `unsafe` methods, whose callers have reserved (write) or seen published
// (read) the range.
unsafe impl Sync for Region {}

impl Region {
    /// Allocates a region of zeros on the heap, or returns `None` if there is
    /// no memory, `len_bytes` is no multiple of 8, or more than
    /// [`REGION_BYTES_MAX`].
    ///
    /// The pages are not touched yet: the first pass over a fresh region pays
    /// for page faults, and a recycled one does not.
    #[must_use]
    pub fn heap(len_bytes: usize) -> Option<Self> {
        if !is_region_length(len_bytes) {
            return None;
        }
        let owner = HeapMemory::zeroed(len_bytes)?;
        let memory = owner.aligned();
        // SAFETY:
        // - valid and zeroed for `len_bytes` for as long as `owner` lives;
        // - ours alone: `HeapMemory` hands its pointer to nobody else;
        // - aligned to `ALIGN_BYTES`.
        Some(unsafe { Self::from_raw_parts(memory, len_bytes, Box::new(owner))? })
    }

    /// Makes a region of memory that somebody else provides, for example of a
    /// file mapping. `None` if `len_bytes` is no multiple of 8 or more than
    /// [`REGION_BYTES_MAX`].
    ///
    /// # Safety
    ///
    /// - `memory` must be aligned to 8 bytes, and valid for reads and writes of
    ///   `len_bytes` initialised bytes until `owner` is dropped;
    /// - until then nobody in this process may access those bytes, except as
    ///   atomic words or with no access to be raced by.
    #[must_use]
    pub unsafe fn from_raw_parts(
        memory: NonNull<u8>,
        len_bytes: usize,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Option<Self> {
        if !is_region_length(len_bytes) {
            return None;
        }
        Some(Self {
            memory,
            len_bytes,
            witness: Witness::new(len_bytes),
            _owner: owner,
        })
    }

    /// Length in bytes, a multiple of 8.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Gives up everything behind the first `len_bytes`, rounded down to a
    /// multiple of 8; a larger number changes nothing.
    pub fn shorten(&mut self, len_bytes: usize) {
        let whole_units = len_bytes - len_bytes % CELL_ALIGN_BYTES;
        self.len_bytes = self.len_bytes.min(whole_units);
    }

    /// All bytes, of a region that nobody else can see.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.witness.write(0..self.len_bytes);
        // SAFETY:
        // - valid for `len_bytes` by the contract of `from_raw_parts`;
        // - unshared: `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.len_bytes) }
    }

    /// The bytes of `range`, for reading.
    ///
    /// # Safety
    ///
    /// Everything in `range` must be published (or never be written while the
    /// reference lives), and the caller must have acquired that.
    pub(crate) unsafe fn published(&self, range: std::ops::Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.len_bytes);
        self.witness.read(range.clone());
        // SAFETY: inside the region by the assertion above.
        let start = unsafe { self.memory.as_ptr().add(range.start) };
        // SAFETY:
        // - inside the region, see above, and initialised (`from_raw_parts`);
        // - unchanging: the caller's promise.
        unsafe { std::slice::from_raw_parts(start, range.len()) }
    }

    /// The bytes of `range`, for writing.
    ///
    /// # Safety
    ///
    /// The caller must have reserved all of `range`, not have published it, and
    /// hold no other reference to it.
    #[expect(
        clippy::mut_from_ref,
        reason = "the reservation is what makes it unique"
    )]
    pub(crate) unsafe fn reserved(&self, range: std::ops::Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= self.len_bytes);
        self.witness.write(range.clone());
        // SAFETY: inside the region by the assertion above.
        let start = unsafe { self.memory.as_ptr().add(range.start) };
        // SAFETY:
        // - inside the region, see above, and initialised (`from_raw_parts`);
        // - unshared: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
    }

    /// Stores the first word of the cell at `position`, after everything else
    /// of the cell.
    ///
    /// # Safety
    ///
    /// As for [`reserved`](Self::reserved), for the 8 bytes at `position`,
    /// which is a multiple of 8.
    pub(crate) unsafe fn store_word(&self, position: usize, word: Word) {
        // Release is for readers that follow the memory itself, as another
        // process does: who sees the word sees the cell. Threads of this
        // process order themselves by the tail's `published` instead.
        self.witness.write(position..position + 8);
        // SAFETY: the caller's promise, and `word_at` checks the bounds.
        let cell = unsafe { self.word_at(position) };
        cell.store(word.to_bits().to_le(), Ordering::Release);
    }

    /// Loads the first word of the cell at `position`.
    ///
    /// # Safety
    ///
    /// As for [`published`](Self::published), for the 8 bytes at `position`,
    /// which is a multiple of 8.
    pub(crate) unsafe fn load_word(&self, position: usize) -> Word {
        self.witness.read(position..position + 8);
        // SAFETY: the caller's promise, and `word_at` checks the bounds.
        let cell = unsafe { self.word_at(position) };
        // Relaxed: the caller has acquired the tail's `published`.
        Word::from_bits(u64::from_le(cell.load(Ordering::Relaxed)))
    }

    /// # Safety
    ///
    /// `position` must be a multiple of 8, and no plain access to the word may
    /// race with the caller's use of it.
    unsafe fn word_at(&self, position: usize) -> &AtomicU64 {
        assert!(position + 8 <= self.len_bytes);
        // SAFETY: inside the region by the assertion above.
        let word = unsafe { self.memory.as_ptr().add(position) };
        // SAFETY:
        // - aligned: the region is, and `position` is a multiple of 8;
        // - valid for as long as `self`, by the contract of `from_raw_parts`;
        // - no racing plain access: the caller's promise.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("len_bytes", &self.len_bytes)
            .finish_non_exhaustive()
    }
}

fn is_region_length(len_bytes: usize) -> bool {
    len_bytes.is_multiple_of(CELL_ALIGN_BYTES) && len_bytes <= REGION_BYTES_MAX
}

/// Heap memory of a region, and as much more as it takes to begin at a page;
/// frees it.
struct HeapMemory {
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: an allocation may be freed by any thread.
unsafe impl Send for HeapMemory {}
// SAFETY: `&HeapMemory` gives no access to the memory.
unsafe impl Sync for HeapMemory {}

impl HeapMemory {
    fn zeroed(len_bytes: usize) -> Option<Self> {
        // Not aligned to a page by the allocator, which would then fill the
        // memory with zeros itself instead of asking for fresh pages.
        let size_bytes = len_bytes.checked_add(ALIGN_BYTES)?;
        let layout = Layout::from_size_align(size_bytes, CELL_ALIGN_BYTES).ok()?;
        // SAFETY: the layout has at least one byte.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { memory, layout })
    }

    /// The first page boundary.
    fn aligned(&self) -> NonNull<u8> {
        let skipped_bytes = self.memory.align_offset(ALIGN_BYTES);
        // SAFETY: less than `ALIGN_BYTES`, which the allocation has to spare.
        unsafe { self.memory.add(skipped_bytes) }
    }
}

impl Drop for HeapMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this very layout, and freed once.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}
