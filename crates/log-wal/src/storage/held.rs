//! Files that somebody reads, and therefore nobody may use again.
//!
//! A reader holds a file by a shared `flock` on its handle. The lock belongs to
//! the open file, not to the process: it lasts until the last copy of the
//! handle is closed and, on Linux, the last mapping that was made of it is
//! gone. However a process ends, its locks end with it.
//!
//! Who wants to use a file again, or to shorten it, locks it alone, which fails
//! at once if somebody holds it, and does so under that lock. A reader opens by name
//! first and locks second, so it may get the lock on a file that was renamed in
//! between: it looks whether the name still leads to its file. If the name
//! leads nowhere, the file was not there; if it leads to another file, that one
//! is the segment, compacted, and is opened instead. As no segment's name is
//! ever used for another one, the lock and that look together say: this is the
//! file that was asked for, and it stays.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The pauses before a lock that somebody else has is tried again, in
/// milliseconds.
const PAUSES_MS: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// Tries to lock, and again for a moment if somebody else has the lock. Some
/// have it for a moment only, and must not turn anybody away:
///
/// - who asks whether a log is locked;
/// - who renames or shortens a file that nobody holds;
/// - a child of a process that has just let go of it: between fork and exec the
///   child has a copy of every handle, whatever is to be closed by exec.
pub(super) fn lock_within_a_moment(
    mut try_lock: impl FnMut() -> Result<(), TryLockError>,
    mut pause: impl FnMut(Duration),
) -> Result<(), TryLockError> {
    for pause_ms in PAUSES_MS {
        match try_lock() {
            Err(TryLockError::WouldBlock) => pause(Duration::from_millis(pause_ms)),
            other => return other,
        }
    }
    try_lock()
}

/// Opens a segment file for reading, and holds it: as long as the returned
/// handle is open, or a copy of it, or (on Linux) a mapping that was made of
/// it, no log of any process uses the file again. It may be renamed and
/// removed.
///
/// For who reads segment files without a [`Storage`](super::Storage), above all
/// through a mapping. Waits for a moment, less than a tenth of a second, if a
/// log is at work on the file.
///
/// # Errors
///
/// What the operating system says; `NotFound` also if the file is being taken
/// out of its log right now.
pub fn open_held(path: &Path) -> io::Result<File> {
    // Once more only if a whole segment was written and renamed meanwhile.
    loop {
        let file = File::open(path)?;
        match lock_within_a_moment(|| file.try_lock_shared(), std::thread::sleep) {
            Ok(()) => {}
            // It is being renamed, by somebody who has stopped half-way.
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::NotFound.into()),
            // No locks in this file system: then nobody can use a file again.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if is_same_file(&file.metadata()?, &fs::metadata(path)?) {
            return Ok(file);
        }
    }
}

/// See [`Storage::rename_unheld`](super::Storage::rename_unheld).
pub(super) fn rename_unheld(from: &Path, to: &Path) -> io::Result<bool> {
    // For writing too, because some file systems ask for that.
    let file = File::options().read(true).write(true).open(from)?;
    if !try_lock_alone(&file)? {
        return Ok(false);
    }
    // A second name is somebody's copy.
    if file.metadata()?.nlink() != 1 {
        return Ok(false);
    }
    // The lock goes with the handle, behind the renaming.
    fs::rename(from, to).map(|()| true)
}

/// Cuts a file, unless somebody holds it: who has it mapped would die of
/// reading what is gone (`INV-M2`).
pub(super) fn shrink_unheld(file: &File, len_bytes: u64) -> io::Result<()> {
    if !try_lock_alone(file)? {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let shrunk = file.set_len(len_bytes);
    // This handle stays open, and readers shall come in.
    file.unlock().and(shrunk)
}

/// Locks a file alone. False if somebody holds it, or if that cannot be told.
fn try_lock_alone(file: &File) -> io::Result<bool> {
    if !cfg!(target_os = "linux") {
        // A mapping does not keep the lock there.
        return Ok(false);
    }
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

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
    fn a_file_whose_name_another_one_takes_is_not_said_to_be_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, beside) = file_in(&directory);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    fs::write(&beside, b"compacted").unwrap();
                    fs::rename(&beside, &path).unwrap();
                }
            });
            let opened = (0..2000).find_map(|_| open_held(&path).err());
            is_done.store(true, Ordering::Relaxed);
            assert!(opened.is_none(), "{opened:?}");
        });
    }

    #[test]
    fn a_file_with_a_second_name_is_not_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = file_in(&directory);
        fs::hard_link(&from, directory.path().join("backup")).unwrap();
        assert!(!rename_unheld(&from, &to).unwrap(), "INV-M2");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_held_file_keeps_its_length_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let (path, _) = file_in(&directory);
        let writer = File::options().write(true).open(&path).unwrap();
        let holder = open_held(&path).unwrap();
        let error = shrink_unheld(&writer, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "INV-M2");
        assert_eq!(holder.metadata().unwrap().len(), 5);
        drop(holder);
        shrink_unheld(&writer, 1).unwrap();
        let found = open_held(&path).expect("the writer let go of it");
        assert_eq!(found.metadata().unwrap().len(), 1);
    }

    #[test]
    fn a_lock_that_somebody_has_for_a_moment_is_waited_for() {
        let mut tries = 0;
        let locked = lock_within_a_moment(
            || {
                tries += 1;
                match tries {
                    ..5 => Err(TryLockError::WouldBlock),
                    _ => Ok(()),
                }
            },
            |_| {},
        );
        assert!(locked.is_ok() && tries == 5);
    }

    #[test]
    fn a_lock_that_somebody_keeps_is_given_up_soon() {
        let mut waited = Duration::ZERO;
        let locked =
            lock_within_a_moment(|| Err(TryLockError::WouldBlock), |pause| waited += pause);
        assert!(matches!(locked, Err(TryLockError::WouldBlock)), "INV-W7");
        assert!(waited < Duration::from_millis(100));
    }

    #[test]
    fn a_lock_that_fails_is_not_tried_again() {
        let refused = || Err(TryLockError::Error(io::ErrorKind::Unsupported.into()));
        let locked = lock_within_a_moment(refused, |_| panic!("no pause"));
        assert!(matches!(locked, Err(TryLockError::Error(_))));
    }
}
