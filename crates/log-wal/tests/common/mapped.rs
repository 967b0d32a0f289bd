//! Files in memory whose bytes are the segments' memory.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use log_wal::MemStorage;
use log_wal::storage::{Blocks, FoundFile, LockError, Region, SegmentFile, Storage};

use super::Files;
use super::memory::Memory;

#[derive(Clone, Debug, Default)]
pub(crate) struct MappedMemory {
    files: Arc<Mutex<BTreeMap<String, Arc<Inode>>>>,
    /// For what has nothing to do with files.
    rest: MemStorage,
}

#[derive(Debug)]
struct Inode {
    /// Another one when the file grows, which one that is mapped does not.
    memory: Mutex<Arc<Memory>>,
    holders: Arc<()>,
    /// Up to where it was populated, and in the longest of how many bytes.
    populated: Mutex<(u64, u64)>,
}

impl Inode {
    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.lock().unwrap())
    }
}

impl MappedMemory {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn files(&self) -> Files {
        let files = self.files.lock().unwrap();
        let copy = |(name, inode): (&String, &Arc<Inode>)| (name.clone(), inode.memory().bytes());
        files.iter().map(copy).collect()
    }

    pub(crate) fn with_files(files: Files) -> Self {
        let storage = Self::default();
        for (name, bytes) in files {
            let file = storage.create(&name, bytes.len() as u64, Blocks::Written);
            file.unwrap().write_at(0, &bytes).unwrap();
        }
        storage
    }

    /// Up to where the memory of a file was populated, and how much at a time
    /// at most.
    pub(crate) fn populated(&self, name: &str) -> (u64, u64) {
        *self.find(name).unwrap().populated.lock().unwrap()
    }

    fn find(&self, name: &str) -> io::Result<Arc<Inode>> {
        let files = self.files.lock().unwrap();
        Ok(Arc::clone(files.get(name).ok_or(io::ErrorKind::NotFound)?))
    }
}

impl Storage for MappedMemory {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        self.rest.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.rest.is_locked()
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        let files = self.files.lock().unwrap();
        let found = |name: &String| FoundFile {
            name: name.clone(),
            is_regular: true,
        };
        Ok(files.keys().map(found).collect())
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        _blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let mut files = self.files.lock().unwrap();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Arc::new(Inode {
            memory: Mutex::new(Memory::new(len_bytes as usize)),
            holders: Arc::default(),
            populated: Mutex::default(),
        });
        files.insert(name.to_owned(), Arc::clone(&inode));
        Ok(Box::new(Handle::of(inode, true)))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(Handle::of(self.find(name)?, writable)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let inode = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), inode);
        Ok(())
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        let is_held = Arc::strong_count(&self.find(from)?.holders) > 1;
        if is_held {
            return Ok(false);
        }
        self.rename(from, to).map(|()| true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files.lock().unwrap().remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn random_u64(&self) -> u64 {
        self.rest.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("(mapped memory)").join(name)
    }

    fn is_mapped(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Handle {
    inode: Arc<Inode>,
    _hold: Option<Arc<()>>,
}

impl Handle {
    fn of(inode: Arc<Inode>, writable: bool) -> Self {
        let hold = (!writable).then(|| Arc::clone(&inode.holders));
        Self { inode, _hold: hold }
    }
}

impl SegmentFile for Handle {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.inode.memory().len_bytes() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let memory = self.inode.memory();
        let position = memory.len_bytes().min(position as usize);
        let filled = buffer.len().min(memory.len_bytes() - position);
        memory.load(position, &mut buffer[..filled]);
        Ok(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut memory = self.inode.memory.lock().unwrap();
        let end = position as usize + bytes.len();
        if end > memory.len_bytes() {
            let longer = Memory::new(end);
            longer.store(0, &memory.bytes());
            *memory = longer;
        }
        memory.store(position as usize, bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn shrink(&self, _len_bytes: u64) -> io::Result<()> {
        panic!("mapped memory is never cut")
    }

    fn region(&self, len_bytes: usize) -> io::Result<Region> {
        let hold = Box::new(Arc::clone(&self.inode.holders));
        let region = self.inode.memory().region(len_bytes, hold);
        region.ok_or(io::ErrorKind::InvalidInput.into())
    }

    fn populate(&self, range: Range<u64>) {
        let mut populated = self.inode.populated.lock().unwrap();
        if range.start == 0 {
            *populated = (0, 0);
        }
        assert_eq!(range.start, populated.0, "piece after piece");
        *populated = (range.end, populated.1.max(range.end - range.start));
    }
}
