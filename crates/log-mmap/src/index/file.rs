//! Index files beside their segment.
//!
//! Written without a sync: what a crash leaves of one is found out by its
//! checksum, and costs a rebuild. It appears under its name whole or not at
//! all, so that a reader in another process never meets half of one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use log_wal::SealedSegment;

use super::{Index, IndexFault, Times, layout, times};

/// The path of the index of the segment at `segment`.
pub(crate) fn path_beside(segment: &Path) -> PathBuf {
    segment.with_extension("index")
}

/// The path of its time index.
pub(crate) fn times_path_beside(segment: &Path) -> PathBuf {
    segment.with_extension("timeindex")
}

/// Loads the index of `sealed`, if there is one that can be believed.
pub(crate) fn load(sealed: &SealedSegment) -> Result<Index, IndexFault> {
    let path = path_beside(&sealed.path);
    layout::decode(
        &read(&path, layout::len_bytes_max(records(sealed)))?,
        sealed,
    )
}

/// The same for its time index.
pub(crate) fn load_times(sealed: &SealedSegment) -> Result<Times, IndexFault> {
    let path = times_path_beside(&sealed.path);
    times::decode(&read(&path, times::len_bytes_max(records(sealed)))?, sealed)
}

/// Puts the index of `sealed` beside it, in place of any other.
pub(crate) fn save(index: &Index, sealed: &SealedSegment) -> io::Result<()> {
    write(&path_beside(&sealed.path), &layout::encode(index, sealed))
}

/// The same for its time index.
pub(crate) fn save_times(times: &Times, sealed: &SealedSegment) -> io::Result<()> {
    let bytes = times::encode(times, sealed);
    write(&times_path_beside(&sealed.path), &bytes)
}

fn records(sealed: &SealedSegment) -> u64 {
    sealed.end.distance_from(sealed.base).unwrap_or(0)
}

/// Reads a file, and no more of it than an index of its segment can have.
fn read(path: &Path, len_bytes_max: u64) -> Result<Vec<u8>, IndexFault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => IndexFault::Missing,
        kind => IndexFault::Unreadable(kind),
    };
    // Looked at first: opening a pipe would wait for somebody to write to it.
    if !fs::symlink_metadata(path).map_err(unreadable)?.is_file() {
        return Err(IndexFault::Foreign);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(len_bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > len_bytes_max {
        return Err(IndexFault::AheadOfData);
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // Leave nothing behind; the first error is the one that matters.
        _ = fs::remove_file(&unfinished);
    }
    written
}
