//! The index as a file beside its segment.
//!
//! Written without a sync: what a crash leaves of it is found out by its
//! checksum, and costs a rebuild. It appears under its name whole or not at
//! all, so that a reader in another process never meets half of one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use log_wal::SealedSegment;

use super::{Index, IndexFault, layout};

/// The path of the index of the segment at `segment`.
pub(crate) fn path_beside(segment: &Path) -> PathBuf {
    segment.with_extension("index")
}

/// Loads the index of `sealed`, if there is one that can be believed. Reads no
/// more than an index of this segment can have.
pub(crate) fn load(sealed: &SealedSegment) -> Result<Index, IndexFault> {
    let path = path_beside(&sealed.path);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => IndexFault::Missing,
        kind => IndexFault::Unreadable(kind),
    };
    // Looked at first: opening a pipe would wait for somebody to write to it.
    if !fs::symlink_metadata(&path).map_err(unreadable)?.is_file() {
        return Err(IndexFault::Foreign);
    }
    let records = sealed.end.distance_from(sealed.base).unwrap_or(0);
    let len_bytes_max = layout::len_bytes_max(records);
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(unreadable)?;
    file.take(len_bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > len_bytes_max {
        return Err(IndexFault::AheadOfData);
    }
    layout::decode(&bytes, sealed)
}

/// Puts the index of `sealed` beside it, in place of any other.
pub(crate) fn save(index: &Index, sealed: &SealedSegment) -> io::Result<()> {
    let path = path_beside(&sealed.path);
    let unfinished = path.with_extension("index.new");
    let saved = fs::write(&unfinished, layout::encode(index, sealed))
        .and_then(|()| fs::rename(&unfinished, &path));
    if saved.is_err() {
        // Leave nothing behind; the first error is the one that matters.
        _ = fs::remove_file(&unfinished);
    }
    saved
}
