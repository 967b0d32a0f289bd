//! Directories for the files of one turn.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::fs::statfs;
use tempfile::TempDir;

/// Names a directory to lay files in, on the disk to be measured.
const VARIABLE: &str = "BENCH_DIRECTORY";

/// `f_type` of file systems that forget everything; statfs(2).
const TMPFS: i64 = 0x0102_1994;

/// A fresh directory that goes away when it is dropped: below
/// `BENCH_DIRECTORY`, or else below the target directory.
///
/// # Panics
///
/// If it cannot be made, or lies in memory: a sync there costs nothing and
/// means nothing.
#[must_use]
pub fn directory() -> TempDir {
    let made = parent().and_then(|parent| {
        fs::create_dir_all(&parent)?;
        if i128::from(statfs(&parent)?.f_type) == i128::from(TMPFS) {
            return Err(io::Error::other("a file system in memory"));
        }
        TempDir::new_in(parent)
    });
    made.unwrap_or_else(|error| panic!("no directory for files, see {VARIABLE}: {error}"))
}

fn parent() -> io::Result<PathBuf> {
    if let Some(chosen) = env::var_os(VARIABLE) {
        return Ok(chosen.into());
    }
    let executable = env::current_exe()?;
    let beside = executable.parent().unwrap_or(&executable);
    Ok(beside.join("bench-files"))
}
