//! Segment files in memory: for tests, and for logs that may vanish.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Blocks, FoundFile, LockError, SegmentFile, Storage};

/// A file's bytes, and a share for each who holds it.
#[derive(Debug, Default)]
struct Inode {
    bytes: Mutex<Vec<u8>>,
    holders: Arc<()>,
}

type Contents = Arc<Inode>;

/// Files in memory. Clones share them, so that a log can be closed and opened
/// again; nothing survives the process.
#[derive(Clone, Debug, Default)]
pub struct MemStorage {
    files: Arc<Mutex<BTreeMap<String, Contents>>>,
    locked: Arc<AtomicBool>,
    randoms: Arc<AtomicU64>,
}

impl MemStorage {
    /// A storage without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of every file, by name.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = locked(&self.files);
        files
            .iter()
            .map(|(name, contents)| (name.clone(), locked(&contents.bytes).clone()))
            .collect()
    }

    /// A storage with these files, as if they had been found so.
    #[must_use]
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let contents = |bytes| {
            Arc::new(Inode {
                bytes: Mutex::new(bytes),
                holders: Arc::default(),
            })
        };
        let files = files
            .into_iter()
            .map(|(name, bytes)| (name, contents(bytes)));
        Self {
            files: Arc::new(Mutex::new(files.collect())),
            ..Self::default()
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of the storage's lock when it is dropped.
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `lock`: the next holder sees what
        // this one did.
        self.0.store(false, Ordering::Release);
    }
}

impl Storage for MemStorage {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        if self.locked.swap(true, Ordering::Acquire) {
            return Err(LockError::Held(Some(std::process::id())));
        }
        Ok(Box::new(Held(Arc::clone(&self.locked))))
    }

    fn is_locked(&self) -> io::Result<bool> {
        // Acquire for order with the holder, though nothing follows from it.
        Ok(self.locked.load(Ordering::Acquire))
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        let names = locked(&self.files).keys().cloned().collect::<Vec<_>>();
        let found = |name| FoundFile {
            name,
            is_regular: true,
        };
        Ok(names.into_iter().map(found).collect())
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        _blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let mut files = locked(&self.files);
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let contents = Contents::default();
        locked(&contents.bytes).resize(len_bytes as usize, 0);
        files.insert(name.to_owned(), Arc::clone(&contents));
        Ok(Box::new(MemFile {
            contents,
            _hold: None,
        }))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        let files = locked(&self.files);
        let contents = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemFile {
            contents: Arc::clone(contents),
            _hold: (!writable).then(|| Arc::clone(&contents.holders)),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = locked(&self.files);
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        let mut files = locked(&self.files);
        let contents = files.get(from).ok_or(io::ErrorKind::NotFound)?;
        // Nobody comes to hold it while the names are locked.
        if Arc::strong_count(&contents.holders) > 1 {
            return Ok(false);
        }
        let contents = Arc::clone(contents);
        files.remove(from);
        files.insert(to.to_owned(), contents);
        Ok(true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = locked(&self.files).remove(name);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn random_u64(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014) over a counter: different every
        // time, and the same in every run, so that a failing test repeats.
        let step = self.randoms.fetch_add(1, Ordering::Relaxed) + 1;
        let mut mixed = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("(memory)").join(name)
    }
}

/// A file in memory.
#[derive(Debug)]
struct MemFile {
    contents: Contents,
    /// For who opened it for reading.
    _hold: Option<Arc<()>>,
}

impl SegmentFile for MemFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(locked(&self.contents.bytes).len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let contents = locked(&self.contents.bytes);
        let rest = contents.get(position as usize..).unwrap_or_default();
        let filled = rest.len().min(buffer.len());
        buffer[..filled].copy_from_slice(&rest[..filled]);
        Ok(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut contents = locked(&self.contents.bytes);
        let end = position as usize + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[position as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn shrink(&self, len_bytes: u64) -> io::Result<()> {
        locked(&self.contents.bytes).truncate(len_bytes as usize);
        Ok(())
    }
}
