//! Files that somebody reads, and therefore nobody may use again.
//!
//! A reader holds a file by a shared `flock` on its handle. The lock belongs to
//! the open file, not to the process: it lasts until the last copy of the
//! handle is closed and, on Linux, the last mapping that was made of it is
//! gone. However a process ends, its locks end with it.
//!
//! Who wants to use a file again locks it alone, which fails at once if
//! somebody holds it, and renames it under that lock. A reader opens by name
//! first and locks second, so it may get the lock on a file that was renamed in
//! between: it looks whether the name still leads to its file, and if not, the
//! file was not there. As no segment's name is ever used twice, the lock and
//! that look together say: this is the file that was asked for, and it stays.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Opens a segment file for reading, and holds it: as long as the returned
/// handle is open, or a copy of it, or (on Linux) a mapping that was made of
/// it, no log of any process uses the file again. It may be renamed and
/// removed.
///
/// For who reads segment files without a [`Storage`](super::Storage), above all
/// through a mapping. Never waits.
///
/// # Errors
///
/// What the operating system says; `NotFound` also if the file is being taken
/// out of its log right now.
pub fn open_held(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match file.try_lock_shared() {
        Ok(()) => {}
        // It is being renamed.
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::NotFound.into()),
        // No locks in this file system: then nobody can use a file again.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if is_same_file(&file.metadata()?, &fs::metadata(path)?) {
        Ok(file)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// See [`Storage::rename_unheld`](super::Storage::rename_unheld).
pub(super) fn rename_unheld(from: &Path, to: &Path) -> io::Result<bool> {
    if !cfg!(target_os = "linux") {
        // Where a mapping does not keep the lock, it cannot be told.
        return Ok(false);
    }
    // For writing too, because some file systems ask for that.
    let file = File::options().read(true).write(true).open(from)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            return Ok(false);
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // A second name is somebody's copy.
    if file.metadata()?.nlink() != 1 {
        return Ok(false);
    }
    // The lock goes with the handle, behind the renaming.
    fs::rename(from, to).map(|()| true)
}

fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_in(directory: &tempfile::TempDir) -> (std::path::PathBuf, std::path::PathBuf) {
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, b"bytes").unwrap();
        (from, to)
    }

    #[test]
    fn a_held_file_keeps_its_name_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = file_in(&directory);
        let holders = [open_held(&from).unwrap(), open_held(&from).unwrap()];
        for holder in holders {
            assert!(!rename_unheld(&from, &to).unwrap(), "INV-M2");
            drop(holder);
        }
        assert!(rename_unheld(&from, &to).unwrap());
        assert!(to.exists() && !from.exists());
    }

    #[test]
    fn a_file_that_is_being_renamed_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let (from, _) = file_in(&directory);
        let alone = File::open(&from).unwrap();
        alone.try_lock().unwrap();
        let error = open_held(&from).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_lost_its_name_before_it_was_locked_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = file_in(&directory);
        let opened = File::open(&from).unwrap();
        assert!(rename_unheld(&from, &to).unwrap());
        opened.try_lock_shared().unwrap();
        fs::write(&from, b"another").unwrap();
        let (opened, named) = (opened.metadata().unwrap(), fs::metadata(&from).unwrap());
        assert!(!is_same_file(&opened, &named));
    }

    #[test]
    fn a_file_with_a_second_name_is_not_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = file_in(&directory);
        fs::hard_link(&from, directory.path().join("backup")).unwrap();
        assert!(!rename_unheld(&from, &to).unwrap(), "INV-M2");
    }
}
