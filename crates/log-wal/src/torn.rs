//! The bytes of a torn tail, kept for who wants to look at them.
//!
//! They were never acknowledged as durable, or a mark would say so and the log
//! would be refused; the segment's seal is then written over the first of them.
//! They are copied before anything is changed, so that an opening which is
//! interrupted finds them again and begins the copy anew (`INV-W9`).

use std::path::PathBuf;

use crate::error::{OpenError, READ};
use crate::recovery::{Examined, PIECE_BYTES};
use crate::report::TailState;
use crate::segment_file::create_anew;
use crate::storage::{Blocks, Storage};

/// Copies what the cut leaves behind into a file beside the segment, durable
/// but for its name: opening syncs the directory before it cuts anything.
/// `None` if nothing is cut.
pub(crate) fn keep_torn_tail(
    storage: &dyn Storage,
    examined: &Examined,
) -> Result<Option<PathBuf>, OpenError> {
    let Some(active) = &examined.active else {
        return Ok(None);
    };
    let TailState::Truncated {
        position, bytes, ..
    } = active.tail
    else {
        return Ok(None);
    };
    let segment_name = active.header.name().to_string();
    let segment_path = storage.path(&segment_name);
    let name = format!("{}.torn", segment_name.trim_end_matches(".log"));
    let path = storage.path(&name);
    let segment = storage.open(&segment_name, false);
    let segment = segment.map_err(|error| OpenError::io("open", &segment_path, error))?;
    let copy = create_anew(storage, &name, bytes, Blocks::Reserved);
    let copy = copy.map_err(|error| OpenError::io("create", &path, error))?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut copied_bytes = 0;
    while copied_bytes < bytes {
        let wanted = (bytes - copied_bytes).min(PIECE_BYTES as u64) as usize;
        let piece = &mut buffer[..wanted];
        // A file that is too short ends earlier; the rest of the copy is zeros.
        let read_bytes = segment
            .read_at(position + copied_bytes, piece)
            .map_err(|error| OpenError::io(READ, &segment_path, error))?;
        copy.write_at(copied_bytes, &piece[..read_bytes])
            .map_err(|error| OpenError::io("write", &path, error))?;
        copied_bytes += wanted as u64;
    }
    copy.sync()
        .map_err(|error| OpenError::io("sync", &path, error))?;
    Ok(Some(path))
}
