//! A disk in memory that can lose power, fail, fill up and rot.
//!
//! It does what POSIX promises and no more. A write is in the page cache until
//! its file is synced, and a name until the directory is; when the power goes,
//! each 512-byte sector, each length and each change of a name that was not
//! synced may have reached the medium or not, in any order. That is also how a
//! write tears. A single sector is written whole or not at all, unless it is
//! allowed to become garbage in the bytes that were being changed.
//!
//! Its files can be memory that is stored to ([`SimStorage::map_files`]): then
//! what was stored is in the page cache at once, and any sector of it may reach
//! the medium before anybody asks. So there is nothing to populate: a page that
//! is made ready early is one that may be written early.
//!
//! Nothing here is random but what one seed says: the same calls give the same
//! disk. It knows no time; a slow disk is one whose
//! [`before_each_call`](SimStorage::before_each_call) waits for something.
//!
//! It is how this crate is tested, and it is public so that a storage engine
//! on top of a log can be tested in the same way:
//!
//! ```
//! use std::sync::Arc;
//! use log_wal::storage::sim::{Chance, Failure, Fault, Operation, SimError, SimStorage};
//! use log_wal::{Lsn, Wal, WalOptions};
//!
//! for seed in 0..50 {
//!     let disk = SimStorage::new(seed);
//!     let wal = Wal::with_storage(Arc::new(disk.clone()), WalOptions::default())?;
//!     wal.append_durable(b"acknowledged")?;
//!     wal.append(b"not acknowledged")?;
//!     wal.flush()?;
//!
//!     // The power goes; the disk is found as it may be afterwards.
//!     let found = disk.power_loss(&mut Chance::seeded(seed));
//!     let wal = Wal::with_storage(Arc::new(found), WalOptions::default())?;
//!     assert!(wal.next_lsn() >= Lsn(1), "seed {seed}");
//! }
//!
//! // The second sync from here on fails.
//! let disk = SimStorage::new(1);
//! let wal = Wal::with_storage(Arc::new(disk.clone()), WalOptions::default())?;
//! disk.inject(Fault::on(Operation::Sync, Failure::Refused(SimError::Io)).after(1));
//! assert!(wal.append_durable(b"one").is_ok());
//! assert!(wal.append_durable(b"two").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod contents;
mod directory;
mod disk;
mod fault;
mod mapping;
mod power_loss;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use contents::SECTOR_BYTES;
pub use directory::DirectoryOrder;
pub use fault::{Call, Failure, Fault, Operation, SimError};
pub use mapping::{MakeMemory, Memory};
pub use power_loss::{Chance, EveryOutcome, Survival, Unsynced, What};

use super::{Blocks, FoundFile, LockError, Region, SegmentFile, Storage};
use directory::FileId;
use disk::{Disk, Effect, Handle};

type Watcher = Arc<dyn Fn(&Call<'_>) + Send + Sync>;

/// A disk in memory that can lose power, fail, fill up and rot; see the
/// [module](self).
///
/// Clones are handles to the same disk. [`power_loss`](Self::power_loss) and
/// [`process_death`](Self::process_death) give another disk, as it would be
/// found, and leave this one as it is, so that one moment can be continued in
/// many ways.
#[derive(Clone)]
pub struct SimStorage {
    disk: Arc<Mutex<Disk>>,
    watcher: Arc<Mutex<Option<Watcher>>>,
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage")
            .field("steps", &self.steps())
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimStorage {
    /// An empty disk. [`random_u64`](Storage::random_u64) follows from the
    /// seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Disk::new(seed))
    }

    /// A disk on which these files were found.
    #[must_use]
    pub fn with_files(seed: u64, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::of(Disk::with_files(seed, files))
    }

    fn of(disk: Disk) -> Self {
        Self {
            disk: Arc::new(Mutex::new(disk)),
            watcher: Arc::default(),
        }
    }

    /// A copy of every file, as the operating system shows it.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut disk = locked(&self.disk);
        disk.spill();
        disk.files()
    }

    /// How many steps were made: calls that change something or sync it. The
    /// power can go before each.
    #[must_use]
    pub fn steps(&self) -> u64 {
        locked(&self.disk).steps
    }

    /// Switches the power off when `steps` steps were made in all: every later
    /// call fails and does nothing.
    pub fn power_off_at(&self, steps: u64) {
        locked(&self.disk).power_off_at(steps);
    }

    /// Whether a call has found the power off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        locked(&self.disk).is_off()
    }

    /// The disk as it is found after the power went now: unlocked, without
    /// faults or watcher, and as large as this one. What becomes of everything
    /// unsynced is for `survival` to say.
    #[must_use]
    pub fn power_loss(&self, survival: &mut dyn Survival) -> Self {
        let mut disk = locked(&self.disk);
        disk.spill();
        Self::of(disk.after_power_loss(survival))
    }

    /// The disk as it is found after the process died now, and the operating
    /// system did not: it shows everything that was written, and nothing more
    /// is synced than before.
    #[must_use]
    pub fn process_death(&self) -> Self {
        let mut disk = locked(&self.disk);
        disk.spill();
        Self::of(disk.after_process_death())
    }

    /// Adds a fault. The first one that strikes at a call decides.
    pub fn inject(&self, fault: Fault) {
        locked(&self.disk).faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        locked(&self.disk).faults.clear();
    }

    /// Limits the room for files, whose lengths are rounded up to 4 KiB.
    /// What needs more fails with `StorageFull`. `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        locked(&self.disk).capacity_bytes = bytes;
    }

    /// How names may be lost. Default [`DirectoryOrder::Journaled`].
    pub fn set_directory_order(&self, order: DirectoryOrder) {
        locked(&self.disk).directory_order = order;
    }

    /// From now on the files are the memory that records are appended in, see
    /// [`Storage::is_mapped`]; also on the disks that are found after this one.
    /// Before a file is opened, since a storage is mapped or it is not.
    ///
    /// Each sector of that memory which was stored to may be on the medium or
    /// not when the power goes, whether anybody asked for it or not. This crate
    /// has no `unsafe` code, so that the memory comes from whoever asks for it.
    pub fn map_files(&self, make: MakeMemory) {
        locked(&self.disk).make_memory = Some(make);
    }

    /// Whether a sector that was being written when the power went can come
    /// back with neither its old nor its new bytes, in the bytes that would
    /// have changed. Default false.
    pub fn allow_garbage(&self, allowed: bool) {
        locked(&self.disk).allow_garbage = allowed;
    }

    /// Calls this before each call, in the calling thread, with no lock held:
    /// to count, to wait (a slow disk), or to do what another thread might do
    /// in this very moment.
    pub fn before_each_call(&self, watcher: impl Fn(&Call<'_>) + Send + Sync + 'static) {
        *locked(&self.watcher) = Some(Arc::new(watcher));
    }

    /// Stops calling what [`before_each_call`](Self::before_each_call) was
    /// given.
    pub fn unwatch(&self) {
        *locked(&self.watcher) = None;
    }

    /// Damages a file on the medium and in the page cache alike: bit rot, a
    /// misdirected write, a stranger. False if there is no such file.
    pub fn damage(&self, file: &str, damage: impl Fn(&mut [u8])) -> bool {
        locked(&self.disk).damage(file, damage)
    }

    /// Says what is about to happen, and finds out whether it may.
    fn call(&self, call: &Call<'_>) -> io::Result<Effect> {
        let watcher = locked(&self.watcher).clone();
        if let Some(watcher) = watcher {
            watcher(call);
        }
        locked(&self.disk).begin(call)
    }

    fn on_directory(&self, operation: Operation, file: &str) -> io::Result<Effect> {
        self.call(&Call {
            operation,
            file,
            position: 0,
            bytes: &[],
        })
    }

    fn file(&self, file: FileId, handle: Handle) -> Box<dyn SegmentFile> {
        Box::new(SimFile {
            storage: self.clone(),
            file,
            _handle: handle,
        })
    }
}

/// Lets go of the lock when it is dropped.
struct Held(Arc<Mutex<Disk>>);

impl Drop for Held {
    fn drop(&mut self) {
        locked(&self.0).is_locked = false;
    }
}

impl Storage for SimStorage {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        let mut disk = locked(&self.disk);
        if disk.is_locked {
            return Err(LockError::Held(Some(std::process::id())));
        }
        disk.is_locked = true;
        Ok(Box::new(Held(Arc::clone(&self.disk))))
    }

    fn is_locked(&self) -> io::Result<bool> {
        Ok(locked(&self.disk).is_locked)
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        let effect = self.on_directory(Operation::List, "")?;
        let names = locked(&self.disk).names();
        let found = |name| FoundFile {
            name,
            is_regular: true,
        };
        effect.after(names.into_iter().map(found).collect())
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        _blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let effect = self.on_directory(Operation::Create, name)?;
        let (file, handle) = locked(&self.disk).create(name, len_bytes)?;
        effect.after(self.file(file, handle))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        let effect = self.on_directory(Operation::Open, name)?;
        let (file, handle) = locked(&self.disk).open(name, writable)?;
        effect.after(self.file(file, handle))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let effect = self.on_directory(Operation::Rename, from)?;
        if !effect.is_ignored() {
            locked(&self.disk).rename(from, to)?;
        }
        effect.after(())
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        let effect = self.on_directory(Operation::Rename, from)?;
        let mut disk = locked(&self.disk);
        if disk.is_held(from)? {
            return effect.after(false);
        }
        if !effect.is_ignored() {
            disk.rename(from, to)?;
        }
        effect.after(true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let effect = self.on_directory(Operation::Remove, name)?;
        if !effect.is_ignored() {
            locked(&self.disk).remove(name)?;
        }
        effect.after(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let effect = self.on_directory(Operation::SyncDirectory, "")?;
        if !effect.is_ignored() {
            locked(&self.disk).sync_directory();
        }
        effect.after(())
    }

    fn random_u64(&self) -> u64 {
        locked(&self.disk).random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("(simulated disk)").join(name)
    }

    fn is_mapped(&self) -> bool {
        locked(&self.disk).make_memory.is_some()
    }
}

/// An open file. It stays what it is when it is renamed or removed.
#[derive(Debug)]
struct SimFile {
    storage: SimStorage,
    file: FileId,
    /// Tells the disk that the file is still in use.
    _handle: Handle,
}

impl SimFile {
    fn call(&self, operation: Operation, position: u64, bytes: &[u8]) -> io::Result<Effect> {
        let file = self.disk().name_of(self.file).to_owned();
        self.storage.call(&Call {
            operation,
            file: &file,
            position,
            bytes,
        })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        locked(&self.storage.disk)
    }
}

impl SegmentFile for SimFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk().contents(self.file).shown().len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let effect = self.call(Operation::Read, position, &[])?;
        let disk = self.disk();
        let shown = disk.contents(self.file).shown();
        let rest = usize::try_from(position)
            .ok()
            .and_then(|at| shown.get(at..));
        let rest = rest.unwrap_or_default();
        let filled = rest.len().min(buffer.len());
        buffer[..filled].copy_from_slice(&rest[..filled]);
        effect.after(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let effect = self.call(Operation::Write, position, bytes)?;
        let done = match effect {
            Effect::Half(_) => bytes.len() / 2,
            _ if effect.is_ignored() => 0,
            _ => bytes.len(),
        };
        self.disk().write(self.file, position, &bytes[..done])?;
        effect.after(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_front(u64::MAX)
    }

    fn sync_front(&self, end: u64) -> io::Result<()> {
        let effect = self.call(Operation::Sync, end, &[])?;
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let mut disk = self.disk();
        match effect {
            Effect::LosesPages => disk.contents_mut(self.file).lose_dirty_pages(end),
            _ if effect.is_ignored() => {}
            _ => disk.contents_mut(self.file).sync_front(end),
        }
        effect.after(())
    }

    fn shrink(&self, len_bytes: u64) -> io::Result<()> {
        let effect = self.call(Operation::Shrink, len_bytes, &[])?;
        let mut disk = self.disk();
        if disk.is_mapped(self.file) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if !effect.is_ignored() {
            disk.shrink(self.file, len_bytes);
        }
        effect.after(())
    }

    fn region(&self, len_bytes: usize) -> io::Result<Region> {
        let effect = self.call(Operation::Map, 0, &[])?;
        let region = self.disk().map(self.file, len_bytes)?;
        effect.after(region)
    }
}
