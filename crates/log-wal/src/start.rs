//! From what recovery found to a log that can be written.
//!
//! The repairs are few, and each can be interrupted and repeated (`INV-W9`):
//! half-made files are removed, a seal that a crash kept from being written is
//! written, and what is about to be trusted is synced first, because the page
//! cache may show what the disk does not have yet.

use std::any::Any;
use std::io;
use std::sync::Arc;

use log_core::{Lsn, Region, Start};

use crate::catalog::Catalog;
use crate::disk::{Disk, Progress};
use crate::error::OpenError;
use crate::format::{FIRST_POSITION, Header, region_bytes};
use crate::group::Group;
use crate::open_files::OpenFiles;
use crate::options::WalOptions;
use crate::recovery::{Active, Examined, UnsureSeal};
use crate::regions::Regions;
use crate::report::TailState;
use crate::segment::{End, SegmentMeta, Tail};
use crate::segment_file::{CreateError, create_segment, region_of, write_seal};
use crate::shared::{Marks, Shared};
use crate::spares::Spares;
use crate::storage::{Blocks, LockError, SegmentFile, Storage};
use crate::sync::{AtomicU64, Mutex};

/// Becomes the only writer.
pub(crate) fn lock(storage: &dyn Storage) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    storage.lock().map_err(|error| match error {
        LockError::Held(holder) => OpenError::Locked {
            path: storage.path(""),
            holder,
        },
        LockError::Io(error) => OpenError::io("lock", &storage.path(""), error),
    })
}

/// Repairs what a crash left unfinished, and goes on from there.
pub(crate) fn start(
    storage: Arc<dyn Storage>,
    options: WalOptions,
    examined: Examined,
) -> Result<Shared, OpenError> {
    let directory = storage.path("");
    // As long as there are others this log must be the most numerous.
    if !examined.strangers.is_empty() {
        remove_all(storage.as_ref(), &examined.strangers)?;
    }
    remove_all(storage.as_ref(), &examined.leftovers)?;

    let progress = Progress::new(Lsn::ZERO);
    if let Some(unsure) = &examined.unsure_seal {
        write_seal_again(storage.as_ref(), unsure, &progress)?;
    }
    let opened = match examined.active {
        Some(active) => resume(storage.as_ref(), active)?,
        None => begin(storage.as_ref(), &options, &progress)?,
    };
    let Opened {
        header,
        region,
        file,
        file_bytes,
        end,
        proven_end,
    } = opened;
    progress.written_end.advance_to(end.lsn);
    progress.durable_end.advance_to(end.lsn);
    let positions = Start {
        base: header.base,
        first_position: FIRST_POSITION as usize,
        end: end.lsn,
        end_position: end.position as usize,
    };
    let tail = Tail::new(region, positions, SegmentMeta::new(header));
    let cursor = tail.cursor_at(end.lsn).ok_or_else(|| {
        // Cannot be: the end that was found is the end that was published.
        OpenError::io("read", &directory, io::ErrorKind::InvalidData.into())
    })?;
    Ok(Shared {
        compaction: Mutex::new(()),
        disk: Mutex::new(Disk::new(Arc::clone(&storage), cursor, file, file_bytes)),
        catalog: Catalog::new(examined.sealed),
        open_files: OpenFiles::default(),
        regions: Regions::default(),
        spares: Spares::default(),
        group: Group::default(),
        marks: Marks::new(proven_end),
        log_uuid: header.log_uuid,
        next_id: AtomicU64::new(header.id + 1),
        opened_at: end.lsn,
        progress,
        storage,
        options,
        tail,
    })
}

/// Removes files, durably. So is every name that is seen afterwards: after a
/// crash of a process it may not be so yet.
fn remove_all(storage: &dyn Storage, names: &[String]) -> Result<(), OpenError> {
    for name in names {
        let removed = storage.remove(name);
        removed.map_err(|error| OpenError::io("remove", &storage.path(name), error))?;
    }
    let synced = storage.sync_directory();
    synced.map_err(|error| OpenError::io("sync", &storage.path(""), error))
}

/// The segment that appends go on in.
struct Opened {
    header: Header,
    region: Region,
    file: Box<dyn SegmentFile>,
    file_bytes: u64,
    end: End,
    proven_end: Lsn,
}

fn write_seal_again(
    storage: &dyn Storage,
    unsure: &UnsureSeal,
    progress: &Progress,
) -> Result<(), OpenError> {
    let name = unsure.header.name().to_string();
    let path = storage.path(&name);
    let file = storage.open(&name, true);
    let file = file.map_err(|error| OpenError::io("open", &path, error))?;
    write_seal(
        file.as_ref(),
        &unsure.header,
        unsure.end,
        &progress.counters,
    )
    .map_err(|error| OpenError::io("seal", &path, error))
}

/// Goes on in the newest segment.
fn resume(storage: &dyn Storage, mut active: Active) -> Result<Opened, OpenError> {
    let name = active.header.name().to_string();
    let path = storage.path(&name);
    let file = storage.open(&name, true);
    let file = file.map_err(|error| OpenError::io("open", &path, error))?;
    // What we are about to show as durable may be in the page cache only. If
    // an earlier process met a failed sync it is even called clean there, and
    // only what is written again will be synced.
    let unproven = active.proven_position as usize..active.end.position as usize;
    if let Some(bytes) = active.region.bytes_mut().get(unproven)
        && !bytes.is_empty()
    {
        file.write_at(active.proven_position, bytes)
            .map_err(|error| OpenError::io("write", &path, error))?;
    }
    file.sync()
        .map_err(|error| OpenError::io("sync", &path, error))?;
    let records_bytes = region_bytes(active.header.capacity_bytes) as usize;
    active
        .region
        .shorten(records_bytes.max(active.end.position as usize));
    // Behind a torn tail nothing is appended, and the file may be too short.
    let own_region = match active.tail {
        TailState::Clean => region_of(storage, file.as_ref(), active.header.capacity_bytes),
        TailState::Truncated { .. } => Ok(None),
    };
    let own_region = own_region.map_err(|error| OpenError::io("map", &path, error))?;
    Ok(Opened {
        header: active.header,
        region: own_region.unwrap_or(active.region),
        file,
        file_bytes: active.file_bytes,
        end: active.end,
        proven_end: active.proven_end,
    })
}

/// Makes the first segment of a new log.
fn begin(
    storage: &dyn Storage,
    options: &WalOptions,
    progress: &Progress,
) -> Result<Opened, OpenError> {
    let capacity_bytes = options.segment_bytes;
    let mut log_uuid = [0; 16];
    log_uuid[..8].copy_from_slice(&storage.random_u64().to_le_bytes());
    log_uuid[8..].copy_from_slice(&storage.random_u64().to_le_bytes());
    let header = Header {
        log_uuid,
        id: 1,
        salt: storage.random_u64(),
        base: Lsn::ZERO,
        capacity_bytes,
        recycled: false,
        truncates: false,
        predecessor: None,
    };
    let path = storage.path(&header.name().to_string());
    let created = create_segment(storage, header, Blocks::Written, &progress.counters);
    let created = created.map_err(|error| match error {
        CreateError::NoRoom(error) => OpenError::io("create", &path, error),
        CreateError::NotMapped(error) => OpenError::io("map", &path, error),
        CreateError::Broken(action, error) => OpenError::io(action, &path, error),
    })?;
    let region = created
        .region
        .or_else(|| Region::heap(region_bytes(capacity_bytes) as usize));
    let region = region
        .ok_or_else(|| OpenError::io("get memory for", &path, io::ErrorKind::OutOfMemory.into()))?;
    Ok(Opened {
        header,
        region,
        file: created.file,
        file_bytes: capacity_bytes,
        end: End {
            lsn: Lsn::ZERO,
            position: FIRST_POSITION,
        },
        proven_end: Lsn::ZERO,
    })
}
