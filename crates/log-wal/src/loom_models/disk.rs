//! A storage for models: each call is one step, in front of which the threads
//! may be switched; what was synced is known, and the next write or sync can be
//! made to fail.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::storage::{Blocks, FoundFile, LockError, MemStorage, SegmentFile, Storage};

/// What is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fails {
    Write,
    Sync,
}

/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct LoomDisk {
    files: MemStorage,
    state: Arc<Mutex<State>>,
    steps: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    /// Of each file, what its last sync found.
    synced: Vec<Vec<u8>>,
    fails: Option<Fails>,
    has_failed: bool,
    calls_after_failure: usize,
}

impl LoomDisk {
    pub(super) fn fail_next(&self, fails: Fails) {
        self.state().fails = Some(fails);
    }

    /// How often something was written, synced or renamed after the failure.
    pub(super) fn calls_after_failure(&self) -> usize {
        self.state().calls_after_failure
    }

    /// Whether these bytes lay in a file when it was synced last.
    pub(super) fn is_durable(&self, bytes: &[u8]) -> bool {
        let is_in = |file: &Vec<u8>| file.windows(bytes.len()).any(|window| window == bytes);
        self.state().synced.iter().any(is_in)
    }

    /// Lets loom switch threads.
    fn look(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Before each call that changes something.
    fn step(&self, kind: Option<Fails>) -> io::Result<()> {
        self.look();
        let mut state = self.state();
        state.calls_after_failure += usize::from(state.has_failed);
        if kind.is_some() && state.fails == kind {
            state.fails = None;
            state.has_failed = true;
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }

    // Of the standard library, and never held where loom might switch.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        let mut state = self.state();
        state.synced.push(Vec::new());
        Box::new(LoomFile {
            disk: self.clone(),
            index: state.synced.len() - 1,
            file,
        })
    }
}

impl Storage for LoomDisk {
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
        self.step(None)?;
        Ok(self.file(self.files.create(name, len_bytes, blocks)?))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        self.look();
        Ok(self.file(self.files.open(name, writable)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(None)?;
        self.files.rename(from, to)
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        self.step(None)?;
        self.files.rename_unheld(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(None)?;
        self.files.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.step(None)
    }

    fn random_u64(&self) -> u64 {
        self.files.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }
}

#[derive(Debug)]
struct LoomFile {
    disk: LoomDisk,
    index: usize,
    file: Box<dyn SegmentFile>,
}

impl SegmentFile for LoomFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.look();
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.step(Some(Fails::Write))?;
        self.file.write_at(position, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step(Some(Fails::Sync))?;
        let mut bytes = vec![0; self.file.len_bytes()? as usize];
        self.file.read_at(0, &mut bytes)?;
        self.disk.state().synced[self.index] = bytes;
        Ok(())
    }

    fn shrink(&self, len_bytes: u64) -> io::Result<()> {
        self.disk.step(None)?;
        self.file.shrink(len_bytes)
    }
}
