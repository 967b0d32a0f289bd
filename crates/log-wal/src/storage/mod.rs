//! Where segment files live, as a trait.
//!
//! The log asks for little: a directory that can be locked, listed and synced,
//! and files that are read and written at positions. Tests put other things in
//! its place, and so does who writes through a mapping.
//!
//! A file that is open for reading is *held*: its segment may be dropped from
//! the log, but its bytes stay as they are until it is let go (`INV-M2`). That
//! is what [`Storage::rename_unheld`] asks before a file is used again.
//!
//! Implementations never retry a failed sync and never hide one: after it the
//! log trusts nothing (`INV-W6`).

mod file;
mod held;
mod mem;
#[cfg(feature = "sim")]
pub mod sim;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

pub use log_core::Region;

pub use file::FileStorage;
pub use held::open_held;
pub use mem::MemStorage;

/// Something found in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its name, without the directory.
    pub name: String,
    /// Whether it is a regular file, and not a link, a directory or a device.
    pub is_regular: bool,
}

/// What state the blocks of a new file are in. Either way they are there, so
/// that a later write does not run out of room, and they read as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Zeros are written: costs as much as the data that will follow, and then
    /// a sync of that data has no metadata to write. For logs that sync often.
    Written,
    /// Only reserved: costs nothing, and then the first sync behind each write
    /// records that the blocks are in use. For logs that sync seldom. Storages
    /// that cannot reserve write zeros.
    Reserved,
}

/// Why the lock was not given.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else has it; the process, if it said so.
    Held(Option<u32>),
    /// It could not be tried.
    Io(io::Error),
}

/// A directory of segment files.
///
/// All methods may be called from any thread.
pub trait Storage: Debug + Send + Sync + 'static {
    /// Takes the lock that makes this the only writer, until the returned
    /// value is dropped or the process dies. Fails if it is taken, at once or
    /// after a moment of less than a tenth of a second, in which somebody who
    /// was leaving may have left.
    ///
    /// # Errors
    ///
    /// See [`LockError`].
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError>;

    /// Whether somebody holds the lock. Changes nothing.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn is_locked(&self) -> io::Result<bool>;

    /// Everything in the directory, in no order.
    ///
    /// # Errors
    ///
    /// What the operating system says; `NotFound` if there is no directory.
    fn list(&self) -> io::Result<Vec<FoundFile>>;

    /// Makes a new file of `len_bytes` zeros, with all of its blocks. Not yet
    /// durable, and neither is its name.
    ///
    /// # Errors
    ///
    /// What the operating system says: `StorageFull` if there is no room,
    /// `AlreadyExists` if there is such a file. No file is left behind.
    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>>;

    /// Opens a file, for writing too if `writable`.
    ///
    /// Who opens it for reading alone *holds* it until the returned file is
    /// dropped: it may be renamed and removed meanwhile, and is not used again,
    /// see [`rename_unheld`](Self::rename_unheld).
    ///
    /// # Errors
    ///
    /// What the operating system says; `NotFound` also if the file is being
    /// taken out of the log right now.
    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>>;

    /// Gives a file another name, at once. Not durable before
    /// [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Does the same if nobody holds the file, in any process, and returns
    /// true. Afterwards nobody can come to hold it by its old name. Otherwise,
    /// and if it cannot be told, does nothing and returns false.
    ///
    /// Never waits for who holds it.
    ///
    /// # Errors
    ///
    /// What the operating system says; the file still has its old name.
    fn rename_unheld(&self, _from: &str, _to: &str) -> io::Result<bool> {
        Ok(false)
    }

    /// Removes a file. Not durable before [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    ///
    /// # Errors
    ///
    /// What the operating system says. It must not be tried again.
    fn sync_directory(&self) -> io::Result<()>;

    /// A number that nobody can foretell: salts and ids come from here, so that
    /// a simulated disk can make a run repeatable.
    fn random_u64(&self) -> u64;

    /// The path of a file (`""` for the directory), for messages and for
    /// mapping.
    fn path(&self, name: &str) -> PathBuf;

    /// Whether its files are the memory that records are appended in, see
    /// [`SegmentFile::region`]; the same answer every time.
    ///
    /// Then what is published is written: it survives the death of the process
    /// when `append` returns. For that a segment's file has its header and its
    /// name before anything is appended in it, so that the append that finds
    /// the segment full waits for the syncs of a rotation, and needs room on
    /// the disk. For that, too, opening behind a torn tail fails without room.
    fn is_mapped(&self) -> bool {
        false
    }
}

/// An open segment file.
///
/// All methods may be called from any thread.
pub trait SegmentFile: Debug + Send + Sync {
    /// Its length.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Reads at `position` until the buffer is full or the file ends. Returns
    /// how many bytes that are.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Where in `range` bytes may lie that are not zero, ascending; what is
    /// between is known to be zeros. Who cannot know says all of it.
    ///
    /// Called once, before such a file is read piece by piece.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn data_ranges(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
        Ok(vec![range])
    }

    /// Writes all of `bytes` at `position`.
    ///
    /// # Errors
    ///
    /// What the operating system says; then any part may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable, and the length if it changed.
    ///
    /// # Errors
    ///
    /// What the operating system says. It must not be tried again.
    fn sync(&self) -> io::Result<()>;

    /// Makes what was written in front of `end` durable, with as much of the
    /// length as it takes to read that; what else it makes durable is its own
    /// affair. For a [mapped](Storage::is_mapped) storage, whose pages behind
    /// `end` may be ready to be stored to (see [`populate`](Self::populate)),
    /// and would not be afterwards.
    ///
    /// # Errors
    ///
    /// See [`sync`](Self::sync).
    fn sync_front(&self, _end: u64) -> io::Result<()> {
        self.sync()
    }

    /// Cuts the file to `len_bytes`, to give back what it does not need; not
    /// while somebody holds it (see [`Storage::open`]). Not called on files of a
    /// [mapped](Storage::is_mapped) storage.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` if somebody holds it, or if that cannot be told; or what
    /// the operating system says. No record depends on it.
    fn shrink(&self, len_bytes: u64) -> io::Result<()>;

    /// Memory that is the first `len_bytes` of the file: what is stored there
    /// is in the file, and [`sync`](Self::sync) makes it durable; what
    /// [`write_at`](Self::write_at) writes is in the memory.
    ///
    /// Only asked of files of a [mapped](Storage::is_mapped) storage, once
    /// each, when they are open for writing and as long as they were made. The
    /// memory *holds* the file as a reader does (see [`Storage::open`]) until
    /// it is dropped, which may be after the file was.
    ///
    /// # Errors
    ///
    /// What the operating system says; no record depends on it.
    fn region(&self, _len_bytes: usize) -> io::Result<Region> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes these bytes of the [`region`](Self::region) ready to be stored to,
    /// without changing them. Only a hint: the first store to each page is
    /// faster.
    fn populate(&self, _range: Range<u64>) {}
}
