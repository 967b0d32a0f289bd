//! Cutting a damaged log in front of the first damage.
//!
//! By the same step that truncates a log: one new segment, whose header says
//! that its predecessor ends where the damage begins. Before that file has its
//! name the log is as damaged as it was, and from then on it is whole and
//! shorter; what was discarded cannot come back (`INV-W8`), whichever files are
//! still there. The next step of opening removes them.

use std::io;

use log_core::Lsn;

use super::survey::{Keep, Step, Survey, survey};
use crate::disk::Progress;
use crate::error::{OpenError, READ};
use crate::format::{FIRST_POSITION, Header, Predecessor};
use crate::options::WalOptions;
use crate::recovery::scan::PIECE_BYTES;
use crate::report::{CutReport, Discarded};
use crate::segment_file::{CreateError, create_segment};
use crate::storage::{Blocks, Storage};

/// Ids that are left out when the newest segments are missing: if one of them
/// is found later and put back, it is discarded, and not taken for a part of
/// the log.
const IDS_LEFT_OUT: u64 = 1024;

/// Cuts the log in front of its first damage. `None` if it has none.
pub(crate) fn cut(
    storage: &dyn Storage,
    options: &WalOptions,
) -> Result<Option<CutReport>, OpenError> {
    let found = survey(storage)?;
    let Some(report) = plan(storage, &found) else {
        return Ok(None);
    };
    let keep = found.steps.iter().find_map(|step| match step {
        Step::Damage { keep, .. } => Some(*keep),
        Step::Read { .. } => None,
    });
    let keep = keep.flatten();
    if let Some(keep) = keep {
        make_durable(storage, keep)?;
    }
    begin_after(storage, options, &found, keep)?;
    tracing::warn!(end = %report.end, "damaged log cut");
    Ok(Some(report))
}

/// What cutting would discard. `None` if there is no damage.
pub(crate) fn plan(storage: &dyn Storage, found: &Survey) -> Option<CutReport> {
    let first = found
        .steps
        .iter()
        .position(|step| matches!(step, Step::Damage { .. }))?;
    let Some(Step::Damage { keep, .. }) = found.steps.get(first) else {
        return None;
    };
    let mut discarded: Vec<Discarded> = Vec::new();
    for step in &found.steps[first..] {
        let (path, lsn, end, bytes, records) = match step {
            Step::Read { name, run, .. } => (
                storage.path(&name.to_string()),
                run.start.lsn,
                Some(run.end.lsn),
                run.end.position - run.start.position,
                run.tally.records,
            ),
            Step::Damage { damage, .. } => (
                damage.path.clone(),
                damage.lsn.unwrap_or_default(),
                damage.lost.as_ref().and_then(|lost| lost.end),
                damage.lost.as_ref().map_or(0, |lost| lost.bytes),
                0,
            ),
        };
        match discarded.last_mut() {
            Some(last) if last.path == path => {
                last.end = end;
                last.bytes += bytes;
                last.whole_records += records;
            }
            _ => discarded.push(Discarded {
                path,
                lsn,
                end,
                bytes,
                whole_records: records,
            }),
        }
    }
    Some(CutReport {
        end: keep.map_or(found.first_lsn, |keep| keep.end.lsn),
        path: keep.map(|keep| storage.path(&keep.name.to_string())),
        position: keep.map_or(0, |keep| keep.end.position),
        damage: found.damage(),
        discarded,
    })
}

/// Makes durable what is kept, before a header says that it is there. What has
/// no seal may be in the page cache only, and even be called clean there.
fn make_durable(storage: &dyn Storage, keep: Keep) -> Result<(), OpenError> {
    let name = keep.name.to_string();
    let path = storage.path(&name);
    let file = storage.open(&name, true);
    let file = file.map_err(|error| OpenError::io("open", &path, error))?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut position = FIRST_POSITION;
    while !keep.has_seal && position < keep.end.position {
        let wanted = (keep.end.position - position).min(PIECE_BYTES as u64) as usize;
        let piece = &mut buffer[..wanted];
        file.read_at(position, piece)
            .map_err(|error| OpenError::io(READ, &path, error))?;
        file.write_at(position, piece)
            .map_err(|error| OpenError::io("write", &path, error))?;
        position += wanted as u64;
    }
    file.sync()
        .map_err(|error| OpenError::io("sync", &path, error))
}

/// Makes the segment that the log goes on in.
fn begin_after(
    storage: &dyn Storage,
    options: &WalOptions,
    found: &Survey,
    keep: Option<Keep>,
) -> Result<(), OpenError> {
    let left_out = match found.end_is_missing {
        true => IDS_LEFT_OUT,
        false => 0,
    };
    let used_up = || {
        let error = io::Error::other("the record numbers or segment ids of this log are used up");
        OpenError::io("begin a segment in", &storage.path(""), error)
    };
    let id = found.greatest_id.checked_add(1 + left_out);
    let id = id.ok_or_else(used_up)?;
    let base = keep.map_or(found.first_lsn, |keep| keep.end.lsn);
    let header = Header {
        log_uuid: found.log_uuid.unwrap_or_else(|| {
            let halves = [storage.random_u64(), storage.random_u64()];
            (u128::from(halves[0]) << 64 | u128::from(halves[1])).to_le_bytes()
        }),
        id,
        salt: storage.random_u64(),
        base,
        capacity_bytes: options.segment_bytes,
        recycled: false,
        truncates: true,
        predecessor: keep.map(|keep| Predecessor {
            id: keep.name.id,
            end: base,
            end_position: keep.end.position,
        }),
    };
    if !header.is_consistent() {
        return Err(used_up());
    }
    let counters = Progress::new(Lsn::ZERO).counters;
    let path = storage.path(&header.name().to_string());
    let created = create_segment(storage, header, Blocks::Written, &counters);
    created.map(drop).map_err(|error| match error {
        CreateError::NoRoom(error) => OpenError::io("create", &path, error),
        CreateError::NotMapped(error) => OpenError::io("map", &path, error),
        CreateError::Broken(action, error) => OpenError::io(action, &path, error),
    })
}
