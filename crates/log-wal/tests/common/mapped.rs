//! Files in memory whose bytes are the segments' memory: what a mapping of a
//! file is, without the file.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use log_core::Region;
use log_wal::MemStorage;
use log_wal::storage::{Blocks, FoundFile, LockError, SegmentFile, Storage};

use super::Files;

#[derive(Clone, Debug, Default)]
pub(crate) struct MappedMemory {
    files: Arc<Mutex<BTreeMap<String, Arc<Memory>>>>,
    /// For what has nothing to do with files.
    rest: MemStorage,
}

/// A file's bytes, at an address that stays.
#[derive(Debug)]
struct Memory {
    words: NonNull<u64>,
    len_bytes: usize,
    holders: Arc<()>,
    /// Up to where it was populated, and in the longest of how many bytes.
    populated: Mutex<(u64, u64)>,
}

// SAFETY: whole words that any thread may free.
unsafe impl Send for Memory {}
// SAFETY: the log reads and writes different bytes at a time, or the same ones
// in order: that is what these tests are about.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(len_bytes: usize) -> Self {
        let words = Box::leak(vec![0_u64; len_bytes.div_ceil(8)].into_boxed_slice());
        Self {
            words: NonNull::from(words).cast(),
            len_bytes,
            holders: Arc::default(),
            populated: Mutex::default(),
        }
    }

    fn bytes(&self) -> *mut u8 {
        self.words.as_ptr().cast()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let words = NonNull::slice_from_raw_parts(self.words, self.len_bytes.div_ceil(8));
        // SAFETY: leaked by `new` with this length, and given back once.
        drop(unsafe { Box::from_raw(words.as_ptr()) });
    }
}

impl MappedMemory {
    pub(crate) fn files(&self) -> Files {
        let files = self.files.lock().unwrap();
        let copy = |(name, memory): (&String, &Arc<Memory>)| {
            let mut bytes = vec![0; memory.len_bytes];
            Handle::of(memory, true).read_at(0, &mut bytes).unwrap();
            (name.clone(), bytes)
        };
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

    fn find(&self, name: &str) -> io::Result<Arc<Memory>> {
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
        let memory = Arc::new(Memory::new(len_bytes as usize));
        files.insert(name.to_owned(), Arc::clone(&memory));
        Ok(Box::new(Handle::of(&memory, true)))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(Handle::of(&self.find(name)?, writable)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let memory = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), memory);
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
    memory: Arc<Memory>,
    _hold: Option<Arc<()>>,
}

impl Handle {
    fn of(memory: &Arc<Memory>, writable: bool) -> Self {
        Self {
            memory: Arc::clone(memory),
            _hold: (!writable).then(|| Arc::clone(&memory.holders)),
        }
    }
}

impl SegmentFile for Handle {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.memory.len_bytes as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let position = (position as usize).min(self.memory.len_bytes);
        let filled = buffer.len().min(self.memory.len_bytes - position);
        // SAFETY: inside, by the line above.
        let from = unsafe { self.memory.bytes().add(position) };
        // SAFETY: inside both; nobody writes these bytes meanwhile, see `Sync`.
        unsafe { from.copy_to_nonoverlapping(buffer.as_mut_ptr(), filled) };
        Ok(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(position as usize + bytes.len() <= self.memory.len_bytes);
        // SAFETY: inside, as was just checked.
        let to = unsafe { self.memory.bytes().add(position as usize) };
        // SAFETY: inside both; nobody uses these bytes meanwhile, see `Sync`.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn shrink(&self, _len_bytes: u64) -> io::Result<()> {
        panic!("mapped memory is never cut")
    }

    fn region(&self, len_bytes: usize) -> io::Result<Region> {
        assert!(len_bytes <= self.memory.len_bytes);
        let memory = NonNull::new(self.memory.bytes()).unwrap();
        let hold = Arc::clone(&self.memory.holders);
        let owner = Box::new((Arc::clone(&self.memory), hold));
        // SAFETY:
        // - valid for as long as `owner`, aligned to 8, and initialised;
        // - shared with file handles alone, see `Sync`.
        let region = unsafe { Region::from_raw_parts(memory, len_bytes, owner) };
        region.ok_or(io::ErrorKind::InvalidInput.into())
    }

    fn populate(&self, range: Range<u64>) {
        let mut populated = self.memory.populated.lock().unwrap();
        if range.start == 0 {
            *populated = (0, 0);
        }
        assert_eq!(range.start, populated.0, "piece after piece");
        *populated = (range.end, populated.1.max(range.end - range.start));
    }
}
