//! Maps segment files. All `unsafe` code of this crate is here.
//!
//! A mapping is shared memory with whoever can write to the file, so it is
//! sound only as long as nobody does. What makes it so:
//!
//! - Us: only sealed segments are mapped, and nothing of ours writes to,
//!   truncates or recycles a sealed file while a mapping holds it
//!   (`open_held`, `INV-M2`).
//! - Other processes of ours: a writer holds the directory's lock (`INV-W7`)
//!   and keeps to the same rule; readers never write.
//! - Strangers cannot be excluded from here; the crate's front page asks the
//!   operator to keep them away. What they did before a file was mapped is
//!   found by its length and its checksums.
//!
//! The mapping belongs to the [`Bytes`] that is returned and to every slice of
//! it, and goes away with the last of them: not with the segment, the catalog
//! or the log (`INV-M5`). Unlinking the file does not disturb it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};

use bytes::{BufMut, Bytes, BytesMut};
use log_wal::storage::{Region, open_held};
#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{MmapOptions, MmapRaw};

/// Why a file could not be mapped.
#[derive(Debug)]
pub(crate) enum MapError {
    /// The file is shorter than what is said to lie in it.
    Short { found_bytes: u64 },
    /// The operating system refused.
    Io(io::Error),
}

impl From<io::Error> for MapError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Maps the first `len_bytes` of a sealed segment file, read-only.
///
/// No file handle is kept; the mapping itself holds the file. The bytes are not
/// looked at yet.
pub(crate) fn map_sealed(path: &Path, len_bytes: u64) -> Result<Bytes, MapError> {
    let file = open_held(path)?;
    let found_bytes = file.metadata()?.len();
    if found_bytes < len_bytes {
        return Err(MapError::Short { found_bytes });
    }
    let len = usize::try_from(len_bytes).map_err(too_long)?;
    // SAFETY: the mapped bytes must not change while the mapping lives.
    // - By us they do not: the file is sealed, and held by the mapping, so
    //   that nobody uses it again (INV-M2).
    // - By other processes of ours they do not: only the holder of the
    //   directory's lock writes (INV-W7), and not to sealed files that are
    //   held.
    // - By strangers they must not: asked of the operator, see the front page.
    // The mapping must also lie within the file, or reading it is a signal:
    // - it does, by the length that was checked on this very handle.
    let map = unsafe { MmapOptions::new().len(len).map(&file) }?;
    Ok(Bytes::from_owner(map))
}

/// Bytes of the words that a [`LiveMap`] is read by.
const WORD_BYTES: usize = size_of::<u64>();

/// A segment file, mapped read-only while somebody may be writing to it.
///
/// There is no reference to its bytes, because they can change at any moment.
/// They are read word by word, atomically, into memory of the reader's own, and
/// only what is checked there counts.
#[derive(Debug)]
pub(crate) struct LiveMap {
    memory: MmapRaw,
    /// As much as may be read, a multiple of [`WORD_BYTES`].
    len_bytes: usize,
}

impl LiveMap {
    /// Maps a segment file that is [held](open_held), as long as it is now. The
    /// mapping goes on holding it, and shows what is written to it later.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let len_bytes = usize::try_from(file.metadata()?.len()).map_err(too_long)?;
        let memory = MmapOptions::new().len(len_bytes).map_raw_read_only(file)?;
        Ok(Self {
            memory,
            len_bytes: len_bytes / WORD_BYTES * WORD_BYTES,
        })
    }

    /// How many bytes can be read.
    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The word at `position`, a multiple of eight bytes, and the right to see
    /// what was written before it was stored. `None` beyond the end.
    #[inline]
    pub(crate) fn load(&self, position: usize) -> Option<u64> {
        let bits = self.word(position)?.load(Ordering::Relaxed);
        // Acquire, by a fence because memory that cannot be written may be
        // loaded from relaxed only. Pairs with the Release in log-core's
        // `Region::store_word`, in this process or another: who sees the word
        // sees the cell. Where frames come by `pwrite` nothing pairs, and the
        // checksum says whether all of the frame is there.
        fence(Ordering::Acquire);
        Some(u64::from_le(bits))
    }

    /// Appends the bytes of `from..to`, multiples of eight bytes, to `copy`;
    /// no more than there are.
    pub(crate) fn copy(&self, from: usize, to: usize, copy: &mut BytesMut) {
        copy.reserve(to.saturating_sub(from));
        for position in (from..to).step_by(WORD_BYTES) {
            let Some(word) = self.word(position) else {
                return;
            };
            // Relaxed: ordered behind the `load` of the words that say how much
            // there is to copy. In memory order, as the bytes lie in the file.
            copy.put_slice(&u64::from_le(word.load(Ordering::Relaxed)).to_le_bytes());
        }
    }

    #[inline]
    fn word(&self, position: usize) -> Option<&AtomicU64> {
        let behind = position.checked_add(WORD_BYTES)?;
        if behind > self.len_bytes || !position.is_multiple_of(WORD_BYTES) {
            return None;
        }
        // SAFETY: inside the mapping by the bounds above.
        let word = unsafe { self.memory.as_mut_ptr().add(position) };
        // SAFETY:
        // - aligned: a mapping begins at a page, and `position` is checked;
        // - valid for as long as the mapping, which `self` owns and lends: the
        //   file had these bytes when it was mapped, and nobody cuts a file
        //   that is held (INV-M2);
        // - loaded from only, and relaxed: the memory cannot be written;
        // - no racing plain access in this process: a writer here has another
        //   mapping of the same file, and stores the words that others read
        //   early atomically; what it stores plainly is read behind those
        //   words. Old bytes of an earlier use of the file may be read while
        //   they are overwritten; such a copy fails its checksum. The file is
        //   held, so that nobody uses it again.
        Some(unsafe { AtomicU64::from_ptr(word.cast()) })
    }
}

/// Maps the first `len_bytes` of a file as the memory that records are appended
/// in: what is stored there is in the file.
///
/// All of it must have its blocks (see [`MappedStorage`](crate::MappedStorage)):
/// a store into a hole that the disk has no room for is a signal.
pub(crate) fn map_region(file: &File, len_bytes: usize) -> io::Result<(Region, RegionMap)> {
    if file.metadata()?.len() < len_bytes as u64 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let map = Arc::new(MmapOptions::new().len(len_bytes).map_raw(file)?);
    let region_map = RegionMap(Arc::downgrade(&map));
    // No advice: without the kernel's reading ahead (`MADV_RANDOM`) each first
    // store to a page and each sync take a third longer; and populating it here
    // makes the append that rotates wait seven times as long.
    let memory = NonNull::new(map.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
    // SAFETY:
    // - valid and initialised for `len_bytes`, which the file has, for as long
    //   as `map` lives: nobody cuts a file that is held (INV-M2);
    // - aligned: a mapping begins at a page;
    // - nobody else in this process accesses these bytes but by other mappings
    //   of the same file, which are read atomically (`LiveMap`), or made when
    //   all of it is sealed (`map_sealed`), and by calls to the system.
    let region = unsafe { Region::from_raw_parts(memory, len_bytes, Box::new(map)) };
    let region = region.ok_or(io::ErrorKind::InvalidInput)?;
    Ok((region, region_map))
}

/// The mapping behind a region, for as long as there is the region.
#[derive(Debug)]
pub(crate) struct RegionMap(Weak<MmapRaw>);

impl RegionMap {
    /// Has the system find the pages of `range`, and make them writable, so
    /// that no store has to. Changes no byte. Older systems do not know how.
    pub(crate) fn populate(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if let Some(map) = self.0.upgrade() {
            let advised = map.advise_range(Advice::PopulateWrite, range.start, range.len());
            if let Err(error) = advised {
                tracing::trace!(%error, "not populated");
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// Syncs the first `len_bytes` of the file as `fdatasync` does all of it,
    /// which would write the populated pages behind, and make each the cause
    /// of another page fault. `None` if it cannot.
    pub(crate) fn sync_front(&self, len_bytes: usize) -> Option<io::Result<()>> {
        // Elsewhere `msync` may stop at the disk's own cache.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let map = self.0.upgrade()?;
        (len_bytes <= map.len()).then(|| map.flush_range(0, len_bytes))
    }
}

fn too_long(_: std::num::TryFromIntError) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "larger than the address space")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use log_wal::storage::{FileStorage, Storage};

    #[test]
    fn what_is_mapped_is_what_lies_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"0123456789").unwrap();
        assert_eq!(map_sealed(&path, 10).unwrap(), b"0123456789"[..]);
        assert_eq!(
            map_sealed(&path, 4).unwrap(),
            b"0123"[..],
            "no more than was asked for"
        );
    }

    #[test]
    fn a_file_that_is_too_short_is_never_mapped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"012345678").unwrap();
        let error = map_sealed(&path, 10).unwrap_err();
        assert!(
            matches!(error, MapError::Short { found_bytes: 9 }),
            "{error:?}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mapping_holds_its_file_without_a_handle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 10_000]).unwrap();
        let storage = FileStorage::at(directory.path());
        let slice = map_sealed(&path, 10_000).unwrap().slice(..10);
        assert!(!storage.rename_unheld("file", "other").unwrap(), "INV-M2");
        drop(slice);
        assert!(storage.rename_unheld("file", "other").unwrap());
    }

    #[test]
    fn a_slice_outlives_the_file_and_everything_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 10_000]).unwrap();
        let slice = map_sealed(&path, 10_000).unwrap().slice(5_000..);
        directory.close().unwrap();
        assert_eq!(
            slice,
            [7; 5_000][..],
            "INV-M5: unlinked, and still readable"
        );
    }
}
