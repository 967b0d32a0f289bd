//! Maps a sealed segment file. All `unsafe` code of this crate is here.
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

use std::io;
use std::path::Path;

use bytes::Bytes;
use log_wal::storage::open_held;
use memmap2::MmapOptions;

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
    let len = usize::try_from(len_bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "larger than the address space"))?;
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
