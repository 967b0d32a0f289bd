//! Real files that are mapped, as the tests of the write-ahead log want them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_mmap::MappedStorage;
use log_wal::storage::{Blocks, FoundFile, LockError, SegmentFile, Storage};
use tempfile::TempDir;

/// Where files are in memory, if there is such a place: what these tests are
/// about is the mapping, and not the disk.
const IN_MEMORY: &str = "/dev/shm";

/// No file of the log.
const LOCK: &str = "LOCK";

/// A directory that goes away with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct MappedFiles {
    storage: Arc<MappedStorage>,
    _directory: Arc<TempDir>,
}

impl MappedFiles {
    pub(crate) fn new() -> Self {
        let directory = match Path::new(IN_MEMORY).is_dir() {
            true => tempfile::tempdir_in(IN_MEMORY).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        Self {
            storage: Arc::new(MappedStorage::at(directory.path())),
            _directory: Arc::new(directory),
        }
    }

    pub(crate) fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let storage = Self::new();
        for (name, bytes) in files {
            fs::write(storage.path(&name), bytes).unwrap();
        }
        storage
    }

    /// Every file of the log, as the system shows it.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.list().unwrap().into_iter().map(|found| found.name);
        let names = names.filter(|name| name != LOCK);
        names
            .map(|name| (name.clone(), fs::read(self.path(&name)).unwrap()))
            .collect()
    }
}

impl Storage for MappedFiles {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        self.storage.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.storage.is_locked()
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        self.storage.list()
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        self.storage.create(name, len_bytes, blocks)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        self.storage.open(name, writable)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        self.storage.rename_unheld(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.storage.sync_directory()
    }

    fn random_u64(&self) -> u64 {
        self.storage.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.storage.path(name)
    }

    fn is_mapped(&self) -> bool {
        self.storage.is_mapped()
    }
}
