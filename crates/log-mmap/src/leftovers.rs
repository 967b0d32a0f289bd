//! Index files of segments that are gone.
//!
//! A segment goes first and its index files after it, so a crash between the
//! two leaves index files without a segment. They do no harm, and the next
//! writer removes them. A failure to is no error: it is tried again at the next
//! opening.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use log_wal::format::SegmentName;

use crate::segment::Segment;

/// What stands in place of `.log` in the names of a segment's index files,
/// finished and unfinished.
const SUFFIXES: [&str; 4] = [".index", ".index.new", ".timeindex", ".timeindex.new"];

/// Removes the index files of segments that are no part of the log any more.
pub(crate) fn remove_indexes<'a>(gone: impl IntoIterator<Item = &'a Segment>) {
    for segment in gone {
        remove_indexes_of(segment.name(), segment.path());
    }
}

/// Removes the index files of the segment with this name, whose file is at
/// `path`.
pub(crate) fn remove_indexes_of(name: SegmentName, path: &Path) {
    let name = name.to_string();
    let stem = name.trim_end_matches(".log");
    for suffix in SUFFIXES {
        remove(&path.with_file_name(format!("{stem}{suffix}")));
    }
}

/// Removes every index file in `directory` that has no segment beside it.
pub(crate) fn remove_orphans(directory: &Path) {
    if let Err(error) = try_remove_orphans(directory) {
        tracing::debug!(%error, "not looked for index files without a segment");
    }
}

fn try_remove_orphans(directory: &Path) -> io::Result<()> {
    let mut segments = HashSet::new();
    let mut indexes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file_name = entry?.file_name();
        let Some(name) = file_name.to_str() else {
            continue;
        };
        match index_of(name) {
            Some(segment) => indexes.push((segment, file_name)),
            None => segments.extend(SegmentName::parse(name)),
        }
    }
    indexes.retain(|(segment, _)| !segments.contains(segment));
    for (_, name) in indexes {
        remove(&directory.join(name));
    }
    Ok(())
}

/// The segment that a file of this name is an index of.
fn index_of(name: &str) -> Option<SegmentName> {
    let stem = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    SegmentName::parse(&format!("{}.log", stem?))
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::debug!(path = %path.display(), "index file removed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "an index file without a segment stays");
        }
    }
}
