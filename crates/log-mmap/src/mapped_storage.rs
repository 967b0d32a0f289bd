//! Segment files that are the memory which records are appended in.
//!
//! The active segment's region is a mapping of its file. So a record is in the
//! operating system's hands the moment it is published, without a call: it
//! survives the death of the process, and other processes see it. Making it
//! durable is `fdatasync`, which writes the pages that were stored to.
//!
//! A store cannot fail, it can only end the process. So what could make it fail
//! is done before: every block of the file is there before it is mapped, also
//! of one that was copied here with holes. Errors of the disk show in the sync
//! that writes the pages, as they do otherwise.

use std::any::Any;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use log_wal::FileStorage;
use log_wal::storage::{Blocks, FoundFile, LockError, Region, SegmentFile, Storage};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::map::{RegionMap, map_region};

/// The unit of `st_blocks`, whatever the file system's blocks are.
const STAT_BLOCK_BYTES: u64 = 512;

/// Segment files in a directory, appended to through a mapping.
///
/// With it, [`append`](log_wal::Wal::append) returns when a record is
/// *written*: it survives `kill -9`, and readers in other processes see it.
/// The first touch of each page costs a page fault, unless the file was made
/// ahead of need ([`Wal::prepare`](log_wal::Wal::prepare)), and again after each
/// sync of the page; the append that finds a segment full waits for it to be
/// synced, and for its successor's file.
///
/// Everything else is [`FileStorage`]'s, and so are the files: a log may be
/// opened with the one today and with the other tomorrow. Not for network file
/// systems.
///
/// ```
/// use std::sync::Arc;
/// use log_mmap::{Lsn, MappedStorage, WalOptions};
/// use log_wal::Wal;
///
/// # let directory = tempfile::tempdir()?;
/// let storage = MappedStorage::create(directory.path())?;
/// let wal = Wal::with_storage(Arc::new(storage), WalOptions::default())?;
/// wal.append(b"survives the process")?;
/// assert_eq!(wal.watermarks().written_end, Lsn(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MappedStorage {
    files: FileStorage,
}

impl MappedStorage {
    /// The storage in `directory`, which is looked at when it is used.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let files = FileStorage::at(directory);
        Self { files }
    }

    /// The storage in `directory`, which is made if it is missing, see
    /// [`FileStorage::create`].
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn create(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let files = FileStorage::create(directory)?;
        Ok(Self { files })
    }

    /// The file with a handle to map it by.
    fn mappable(&self, name: &str, file: Box<dyn SegmentFile>) -> io::Result<Box<dyn SegmentFile>> {
        let handle = File::options()
            .read(true)
            .write(true)
            .open(self.files.path(name))?;
        Ok(Box::new(MappedFile {
            file,
            handle,
            region_map: OnceLock::new(),
        }))
    }
}

impl Storage for MappedStorage {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        self.files.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.files.is_locked()
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        self.files.list()
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.files.create(name, len_bytes, blocks)?;
        self.mappable(name, file)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.files.open(name, writable)?;
        match writable {
            true => self.mappable(name, file),
            false => Ok(file),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        self.files.rename_unheld(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }

    fn random_u64(&self) -> u64 {
        self.files.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    fn is_mapped(&self) -> bool {
        true
    }
}

/// A segment file that can be appended to through a mapping.
#[derive(Debug)]
struct MappedFile {
    file: Box<dyn SegmentFile>,
    /// Another handle of the same file, which the mapping is made of.
    handle: File,
    region_map: OnceLock<RegionMap>,
}

impl SegmentFile for MappedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(position, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn sync_front(&self, end: u64) -> io::Result<()> {
        let by_range = match (self.region_map.get(), usize::try_from(end)) {
            (Some(map), Ok(end)) => map.sync_front(end),
            _ => None,
        };
        by_range.unwrap_or_else(|| self.sync())
    }

    fn shrink(&self, _len_bytes: u64) -> io::Result<()> {
        // INV-M2: somebody may have it mapped, above all ourselves.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn region(&self, len_bytes: usize) -> io::Result<Region> {
        // The mapping keeps this lock when the handle is gone.
        match self.handle.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            // No locks in this file system: then nobody can use a file again.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        reserve(&self.handle, len_bytes as u64)?;
        let (region, region_map) = map_region(&self.handle, len_bytes)?;
        // It is asked for once.
        self.region_map.get_or_init(|| region_map);
        Ok(region)
    }

    fn populate(&self, range: Range<u64>) {
        let range = usize::try_from(range.start)..usize::try_from(range.end);
        if let (Some(map), (Ok(start), Ok(end))) = (self.region_map.get(), (range.start, range.end))
        {
            map.populate(start..end);
        }
    }
}

/// Makes sure that the first `len_bytes` of a file have their blocks.
fn reserve(file: &File, len_bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len_bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return check_blocks(file, len_bytes),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same where blocks cannot be reserved: a file that was made here was
/// written, and a file with holes is refused.
fn check_blocks(file: &File, len_bytes: u64) -> io::Result<()> {
    match file.metadata()?.blocks() * STAT_BLOCK_BYTES >= len_bytes {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the file has holes, and this file system cannot fill them; open it without mapped writing",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_33_a_file_with_holes_gets_its_blocks_before_it_is_mapped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        assert!(check_blocks(&file, 1 << 20).is_err());
        let storage = MappedStorage::at(directory.path());
        let file = storage.open("file", true).unwrap();
        let region = file.region(1 << 20).unwrap();
        assert_eq!(region.len_bytes(), 1 << 20);
        check_blocks(&File::open(&path).unwrap(), 1 << 20).unwrap();
    }

    /// Page faults of this thread that needed no disk.
    #[cfg(target_os = "linux")]
    fn minor_faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = stat.rsplit(") ").next().unwrap();
        behind_name.split(' ').nth(7).unwrap().parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_populated_is_unchanged_and_stored_to_without_page_faults() {
        const PAGES: usize = 512;
        let directory = tempfile::tempdir().unwrap();
        let storage = MappedStorage::at(directory.path());
        let len_bytes = PAGES * 4096;
        let file = storage
            .create("file", len_bytes as u64, Blocks::Reserved)
            .unwrap();
        file.write_at(5000, b"old").unwrap();
        file.sync().unwrap();
        let mut region = file.region(len_bytes).unwrap();
        file.populate(0..len_bytes as u64);
        file.sync_front(4096).unwrap();
        let before = minor_faults();
        let bytes = region.bytes_mut();
        for page in 1..PAGES {
            bytes[page * 4096] = 7;
        }
        let faults = minor_faults() - before;
        assert!(faults < PAGES as u64 / 4, "{faults} for {PAGES} pages");
        assert_eq!(bytes[5000..5003], *b"old");
        file.sync_front(len_bytes as u64).unwrap();
        let mut found = [0];
        assert_eq!(file.read_at(4096 * 9, &mut found).unwrap(), 1);
        assert_eq!(found, [7]);
    }

    #[test]
    fn what_lies_beyond_the_memory_is_synced_too() {
        let directory = tempfile::tempdir().unwrap();
        let storage = MappedStorage::at(directory.path());
        let file = storage.create("file", 8192, Blocks::Reserved).unwrap();
        file.sync_front(100).expect("without memory");
        let region = file.region(4096).unwrap();
        file.write_at(4096, b"seal").unwrap();
        file.sync_front(4100).expect("beyond its memory");
        drop(region);
        file.sync_front(100).expect("its memory is gone");
    }

    #[test]
    fn a_file_that_is_too_short_is_not_mapped() {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join("file")).unwrap();
        let storage = MappedStorage::at(directory.path());
        let error = storage
            .open("file", true)
            .unwrap()
            .region(4096)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_is_not_used_again_while_its_memory_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let storage = MappedStorage::at(directory.path());
        let file = storage.create("file", 8192, Blocks::Reserved).unwrap();
        let mut region = file.region(4096).unwrap();
        drop(file);
        assert!(!storage.rename_unheld("file", "other").unwrap(), "INV-M2");
        region.bytes_mut().fill(7);
        drop(region);
        assert!(storage.rename_unheld("file", "other").unwrap());
        let mut found = [0; 8];
        let file = storage.open("other", false).unwrap();
        assert_eq!(file.read_at(4088, &mut found).unwrap(), 8);
        assert_eq!(found, [7; 8], "what was stored is in the file");
    }
}
