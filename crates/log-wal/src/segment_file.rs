//! Making a segment's file: header and zeros first, then the name, so that a
//! file with a segment's name is always whole. And its seal, the last thing
//! that is ever written to it.

use std::io;
use std::sync::Arc;

use log_core::Region;

use crate::disk::Counters;
use crate::error::CommitError;
use crate::format::{
    FIRST_POSITION, FrameKey, HEADER_PAGE_BYTES, Header, SEAL_BYTES, region_bytes,
};
use crate::recovery::temporary_name;
use crate::segment::End;
use crate::shared::Shared;
use crate::spares::Spare;
use crate::storage::{Blocks, SegmentFile, Storage};

const RENAME: &str = "rename";

/// A segment's file, durable with its name.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub file: Box<dyn SegmentFile>,
    /// The memory that it provides, if its storage is mapped.
    pub region: Option<Region>,
}

/// Why a segment's file was not made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// The disk is full; nothing was changed, and it can be tried again.
    NoRoom(io::Error),
    /// The file cannot be mapped; as for a full disk.
    NotMapped(io::Error),
    /// Something failed after which nothing is sure.
    Broken(&'static str, io::Error),
}

impl Shared {
    /// Makes the file of a segment, durable with its name. Only for the group's
    /// leader.
    pub(crate) fn create_segment(
        &self,
        header: &Header,
        blocks: Blocks,
    ) -> Result<NewFile, CommitError> {
        let counters = &self.progress.counters;
        let storage = self.storage.as_ref();
        let created = match self.spares.take(header.capacity_bytes) {
            // It was synced before, but for what follows.
            Some(spare) => match name_segment(storage, spare, *header, FIRST_POSITION, counters) {
                // Somebody has tidied up.
                Err(CreateError::Broken(RENAME, error))
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    create_segment(storage, *header, blocks, counters)
                }
                named => named,
            },
            None => create_segment(storage, *header, blocks, counters),
        };
        created.map_err(|error| {
            let path = self.storage.path(&header.name().to_string());
            match error {
                CreateError::NoRoom(source) => CommitError::StorageFull {
                    path,
                    source: Arc::new(source),
                },
                CreateError::NotMapped(source) => CommitError::Refused {
                    action: "map",
                    path,
                    source: Arc::new(source),
                },
                CreateError::Broken(action, source) => CommitError::Poisoned {
                    path,
                    action,
                    first_unsure: self.progress.durable_end.get(),
                    source: Arc::new(source),
                },
            }
        })
    }
}

/// Makes a segment's file.
pub(crate) fn create_segment(
    storage: &dyn Storage,
    header: Header,
    blocks: Blocks,
    counters: &Counters,
) -> Result<NewFile, CreateError> {
    let (name, capacity_bytes) = (temporary_name(header.name()), header.capacity_bytes);
    let file = create_anew(storage, &name, capacity_bytes, blocks);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CreateError::NoRoom(error),
        _ => CreateError::Broken("create", error),
    })?;
    if blocks == Blocks::Written {
        counters.wrote(capacity_bytes);
    }
    let region = region_of(storage, file.as_ref(), capacity_bytes);
    let made = Spare {
        name,
        file,
        capacity_bytes,
        region: region.map_err(CreateError::NotMapped)?,
        populated_bytes: 0,
        recycled: false,
    };
    name_segment(storage, made, header, capacity_bytes, counters)
}

/// Makes a file, in place of one that an attempt that ran out of room half-way,
/// or a crash, has left.
pub(crate) fn create_anew(
    storage: &dyn Storage,
    name: &str,
    len_bytes: u64,
    blocks: Blocks,
) -> io::Result<Box<dyn SegmentFile>> {
    match storage.create(name, len_bytes, blocks) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage
            .remove(name)
            .and_then(|()| storage.create(name, len_bytes, blocks)),
        other => other,
    }
}

/// Gives a file that is otherwise ready its header, and then its name. In front
/// of `unsynced_end` it may have to be synced.
fn name_segment(
    storage: &dyn Storage,
    made: Spare,
    header: Header,
    unsynced_end: u64,
    counters: &Counters,
) -> Result<NewFile, CreateError> {
    let Spare { file, region, .. } = made;
    let bytes = Header {
        recycled: made.recycled,
        ..header
    }
    .encode();
    let broken = |action| move |error| CreateError::Broken(action, error);
    file.write_at(0, &bytes).map_err(broken("write"))?;
    file.write_at(HEADER_PAGE_BYTES, &bytes)
        .map_err(broken("write"))?;
    file.sync_front(unsynced_end).map_err(broken("sync"))?;
    counters.synced();
    storage
        .rename(&made.name, &header.name().to_string())
        .map_err(broken(RENAME))?;
    storage
        .sync_directory()
        .map_err(broken("sync the directory of"))?;
    counters.synced();
    Ok(NewFile { file, region })
}

/// The memory that a file provides for its records, if its storage is mapped.
pub(crate) fn region_of(
    storage: &dyn Storage,
    file: &dyn SegmentFile,
    capacity_bytes: u64,
) -> io::Result<Option<Region>> {
    if !storage.is_mapped() {
        return Ok(None);
    }
    let len_bytes = usize::try_from(region_bytes(capacity_bytes));
    let len_bytes = len_bytes.map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.region(len_bytes).map(Some)
}

/// Writes a segment's seal and syncs it.
pub(crate) fn write_seal(
    file: &dyn SegmentFile,
    header: &Header,
    end: End,
    counters: &Counters,
) -> io::Result<()> {
    debug_assert!(end.position >= FIRST_POSITION);
    let seal = FrameKey::new(header.salt).seal(end.position, end.lsn);
    file.write_at(end.position, &seal)?;
    counters.wrote(seal.len() as u64);
    file.sync_front(end.position + SEAL_BYTES as u64)?;
    counters.synced();
    Ok(())
}
