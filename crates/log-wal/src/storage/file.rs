//! Segment files in a directory of the file system.
//!
//! Files are made with all of their blocks, so that a write of frames does not
//! run out of room; and for logs that sync often of written zeros, so that it
//! changes no metadata and `fdatasync` has only the data to flush. The directory is
//! locked through an open handle (`flock`), which the system lets go when the
//! process dies, however it dies. Network file systems may not keep that
//! promise.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::held::{lock_within_a_moment, open_held, rename_unheld, shrink_unheld};
use super::{Blocks, FoundFile, LockError, SegmentFile, Storage};

/// The name of the lock file.
const LOCK: &str = "LOCK";

/// Zeros are written a page at a time: from larger pieces the page cache makes
/// large folios, and every small write later pays for a whole one (measured on
/// Linux 6.18: 0.58 us against 11.5 us for a write of 272 bytes).
const ZEROS_BYTES: usize = 4096;

/// A file with more holes is taken for one without.
#[cfg(target_os = "linux")]
const DATA_RANGES_MAX: usize = 64;

/// Segment files in a directory.
#[derive(Debug)]
pub struct FileStorage {
    directory: PathBuf,
}

impl FileStorage {
    /// The storage in `directory`, which is looked at when it is used.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The storage in `directory`, which is made, with its parents, if it is
    /// missing. Survives power loss from here on: each parent that got a new
    /// entry is synced.
    ///
    /// # Errors
    ///
    /// What the operating system says; `NotADirectory` if something else is
    /// there.
    pub fn create(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let storage = Self::at(directory);
        create_durably(&storage.directory)?;
        Ok(storage)
    }

    fn open_with(&self, name: &str, options: &OpenOptions) -> io::Result<DiskFile> {
        Ok(DiskFile(options.open(self.path(name))?))
    }
}

/// Makes a directory and its missing parents, and their names durable.
fn create_durably(directory: &Path) -> io::Result<()> {
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_durably(parent)?;
    match fs::create_dir(directory) {
        // Somebody else was faster; the name may not be durable yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    File::open(parent)?.sync_all()
}

impl Storage for FileStorage {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(self.path(LOCK)).map_err(LockError::Io)?;
        let locked = lock_within_a_moment(|| file.try_lock(), std::thread::sleep);
        locked.map_err(|error| match error {
            TryLockError::WouldBlock => LockError::Held(holder(&mut file)),
            TryLockError::Error(error) => LockError::Io(error),
        })?;
        // Only for people: who holds it is decided by the lock, not by this.
        let pid = format!("{}\n", std::process::id());
        let said = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(pid.as_bytes()));
        if let Err(error) = said {
            tracing::debug!(%error, "the lock file does not say who holds it");
        }
        Ok(Box::new(file))
    }

    fn is_locked(&self) -> io::Result<bool> {
        let file = match File::open(self.path(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            found.push(FoundFile {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_regular: entry.file_type()?.is_file(),
            });
        }
        Ok(found)
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        let file = self.open_with(name, options.read(true).write(true).create_new(true))?;
        let filled = match blocks {
            Blocks::Written => file.write_zeros(len_bytes),
            Blocks::Reserved => file.reserve(len_bytes),
        };
        if let Err(error) = filled {
            // Leave nothing behind; the first error is the one that matters.
            if let Err(left) = self.remove(name) {
                tracing::warn!(name, error = %left, "a half-made segment file stays behind");
            }
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        if !writable {
            return Ok(Box::new(DiskFile(open_held(&self.path(name))?)));
        }
        let mut options = OpenOptions::new();
        let file = self.open_with(name, options.read(true).write(true))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        rename_unheld(&self.path(from), &self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                // No such call: the standard library seeds its hash maps from
                // the best source it finds.
                Err(_) => return hash_map_seed(),
            }
        }
        u64::from_le_bytes(bytes)
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            return self.directory.clone();
        }
        self.directory.join(name)
    }
}

/// Who says, in the lock file, that it holds the lock.
fn holder(file: &mut File) -> Option<u32> {
    let mut said = String::new();
    file.take(32).read_to_string(&mut said).ok()?;
    said.trim().parse().ok()
}

fn hash_map_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// A segment file on disk.
#[derive(Debug)]
struct DiskFile(File);

impl DiskFile {
    fn reserve(&self, len_bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        self.reserve_by(len_bytes, || {
            fallocate(&self.0, FallocateFlags::empty(), 0, len_bytes)
        })
    }

    fn reserve_by(
        &self,
        len_bytes: u64,
        mut allocate: impl FnMut() -> Result<(), Errno>,
    ) -> io::Result<()> {
        loop {
            match allocate() {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                // The file system cannot.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.write_zeros(len_bytes),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_zeros(&self, len_bytes: u64) -> io::Result<()> {
        let zeros = vec![0; ZEROS_BYTES];
        let mut position = 0;
        while position < len_bytes {
            let piece = (len_bytes - position).min(ZEROS_BYTES as u64);
            self.0.write_all_at(&zeros[..piece as usize], position)?;
            position += piece;
        }
        Ok(())
    }
}

impl SegmentFile for DiskFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // No file is as long, and the system calls it an error to ask: a
        // position may be what a damaged file says.
        let end = position.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Ok(0);
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .0
                .read_at(&mut buffer[filled..], position + filled as u64)
            {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    #[cfg(target_os = "linux")]
    fn data_ranges(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
        use rustix::fs::{Advice, SeekFrom, fadvise, seek};
        // Reading ahead would fill the cache with the zeros of the hole behind
        // what is read, which then is no hole any more. Advice may be ignored.
        let _advised = fadvise(&self.0, 0, None, Advice::Random);
        let mut found = Vec::new();
        let mut position = range.start;
        while position < range.end && found.len() < DATA_RANGES_MAX {
            // Blocks that were only reserved are a hole until they are written,
            // also while that is in the page cache alone.
            let data = match seek(&self.0, SeekFrom::Data(position)) {
                Ok(data) => data.max(position),
                Err(Errno::NXIO) => return Ok(found),
                Err(_cannot_say) => break,
            };
            let Ok(hole) = seek(&self.0, SeekFrom::Hole(data)) else {
                break;
            };
            if data < range.end {
                found.push(data..hole.min(range.end));
            }
            position = hole.max(data + 1);
        }
        if position < range.end {
            found.push(position..range.end);
        }
        Ok(found)
    }

    /// By the bare system call: the C library's is a cancellation point, which
    /// costs more than the frame that is written (a twentieth of a microsecond).
    fn write_at(&self, mut position: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.0, bytes, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn shrink(&self, len_bytes: u64) -> io::Result<()> {
        shrink_unheld(&self.0, len_bytes)
    }
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const LEN_BYTES: u64 = 20_000;

    fn file() -> DiskFile {
        DiskFile(tempfile::tempfile().unwrap())
    }

    #[test]
    fn fault_34_without_fallocate_a_file_gets_its_blocks_by_zeros() {
        for refusal in [Errno::OPNOTSUPP, Errno::NOSYS] {
            let file = file();
            let mut answers = [Errno::INTR, refusal].into_iter();
            let reserved = file.reserve_by(LEN_BYTES, || Err(answers.next().unwrap()));
            reserved.unwrap();
            let mut bytes = vec![1; LEN_BYTES as usize + 1];
            assert_eq!(file.read_at(0, &mut bytes).unwrap() as u64, LEN_BYTES);
            bytes.pop();
            assert!(bytes.iter().all(|byte| *byte == 0));
            file.sync().unwrap();
            let blocks = file.0.metadata().unwrap().blocks();
            assert!(blocks * 512 >= LEN_BYTES, "{blocks}");
        }
    }

    #[test]
    fn behind_the_end_there_is_nothing_however_far_behind_it() {
        let file = file();
        file.write_at(0, b"some").unwrap();
        for position in [4, 1 << 40, i64::MAX as u64, u64::MAX - 7, u64::MAX] {
            assert_eq!(
                file.read_at(position, &mut [0; 16]).unwrap(),
                0,
                "{position}"
            );
        }
    }

    #[test]
    fn fault_34_what_else_fallocate_says_is_told_and_nothing_is_written() {
        let file = file();
        let error = file
            .reserve_by(LEN_BYTES, || Err(Errno::NOSPC))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.len_bytes().unwrap(), 0);
    }
}
