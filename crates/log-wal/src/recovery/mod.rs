//! Recovery: from the files of a directory to a log, or to a clear refusal.
//!
//! [`examine`] looks and changes nothing. It lists the segments, checks that
//! each is tied to the one before, gathers the facts about each, and asks the
//! table what they mean. What it returns is what a reader shows, and what a
//! writer, after the few repairs that the verdicts ask for, goes on from.
//!
//! It recovers a prefix of what was appended, batches whole (`INV-W3`), refuses
//! where acknowledged data is provably damaged (`INV-W5`), and finds the same
//! again when it is interrupted and repeated (`INV-W9`).

mod chain;
mod scan;
mod table;

use std::io;
use std::path::Path;

use log_core::{Lsn, Region};

pub use table::Row;

pub(crate) use chain::{refuse_strangers, temporary_name};
pub(crate) use scan::Prefix;
pub(crate) use table::{BROKEN_CHAIN, DAMAGED_FRAME};

use crate::error::{Damage, OpenError, READ};
use crate::format::{FIRST_POSITION, FrameKey, FrameKind, Header, SEAL_BYTES};
use crate::options::Verify;
use crate::report::{OpenReport, SealedSegment, TailState};
use crate::segment::End;
use crate::storage::{SegmentFile, Storage};
use chain::{Link, links};
use scan::{beyond, prefix};
use table::{Facts, Verdict, decide};

/// What the files of a log amount to.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Every segment but the newest, ascending.
    pub sealed: Vec<SealedSegment>,
    /// The newest segment; `None` if there is no segment at all.
    pub active: Option<Active>,
    /// The seal of the one before the newest, if it may not be durable.
    pub unsure_seal: Option<UnsureSeal>,
    /// Files that a crash left half made.
    pub leftovers: Vec<String>,
    pub ignored_files: Vec<String>,
}

/// The newest segment.
#[derive(Debug)]
pub(crate) struct Active {
    pub header: Header,
    /// Its whole file, as it was found.
    pub region: Region,
    pub file_bytes: u64,
    pub end: End,
    /// Every record below this is proven to have been durable.
    pub proven_end: Lsn,
    /// Everything before this place was, too.
    pub proven_position: u64,
    pub tail: TailState,
}

/// A seal that a crash kept from being written, or may have kept from the
/// medium.
#[derive(Debug)]
pub(crate) struct UnsureSeal {
    pub header: Header,
    pub end: End,
}

impl Examined {
    pub(crate) fn report(&self) -> OpenReport {
        let active = self.active.as_ref();
        let first = self.sealed.first().map(|segment| segment.base);
        OpenReport {
            created: active.is_none(),
            segments: self.sealed.len() + 1,
            first_lsn: first
                .or(active.map(|active| active.header.base))
                .unwrap_or_default(),
            next_lsn: active.map(|active| active.end.lsn).unwrap_or_default(),
            tail: active.map_or(TailState::Clean, |active| active.tail.clone()),
            ignored_files: self.ignored_files.clone(),
        }
    }
}

/// Looks at every segment, as closely as `verify` says. Changes nothing.
pub(crate) fn examine(storage: &dyn Storage, verify: Verify) -> Result<Examined, OpenError> {
    let mut links = links(storage)?;
    let mut examined = Examined {
        sealed: Vec::new(),
        active: None,
        unsure_seal: None,
        leftovers: std::mem::take(&mut links.leftovers),
        ignored_files: std::mem::take(&mut links.ignored_files),
    };
    let Some((newest, older)) = links.chain.split_last() else {
        return Ok(examined);
    };
    let (active, used) = examine_newest(storage, newest)?;
    for (index, link) in older.iter().enumerate() {
        let successor = &links.chain[index + 1].header;
        let successor_used = used || index + 1 < older.len();
        let (segment, sealed) = examine_older(storage, link, successor, successor_used, verify)?;
        // Only when it was durable were frames put into the next segment.
        if !sealed || !(successor_used || successor.truncates) {
            examined.unsure_seal = Some(UnsureSeal {
                header: link.header,
                end: End {
                    lsn: segment.end,
                    position: segment.end_position,
                },
            });
        }
        examined.sealed.push(segment);
    }
    examined.active = Some(active);
    Ok(examined)
}

/// The newest segment, and whether it has any frames.
fn examine_newest(storage: &dyn Storage, link: &Link) -> Result<(Active, bool), OpenError> {
    let header = link.header;
    let path = storage.path(&link.name.to_string());
    let opened = storage.open(&link.name.to_string(), false);
    let mut region = opened
        .and_then(|file| read_region(file.as_ref(), header.capacity_bytes, link.file_bytes))
        .map_err(|error| OpenError::io(READ, &path, error))?;
    let bytes = &*region.bytes_mut();
    let key = FrameKey::new(header.salt);
    let whole = prefix(bytes, &key, header.base);
    let behind = beyond(bytes, &key, &header, whole.end_position);
    let broken_promise = behind
        .claim
        .filter(|(claim, _)| *claim > whole.end && !whole.sealed);
    let is_short = link.file_bytes < header.capacity_bytes;
    let debris_end = behind.debris_end.or(is_short.then_some(link.file_bytes));

    let (row, verdict) = decide(Facts {
        newest: true,
        header: true,
        sealed: whole.sealed,
        claims_kept: broken_promise.is_none(),
        debris: debris_end.is_some(),
        successor_used: false,
    });
    let tail = match verdict {
        Verdict::Resume => TailState::Clean,
        Verdict::Cut => TailState::Truncated {
            path,
            position: whole.end_position,
            lsn: whole.end,
            bytes: debris_end
                .unwrap_or_default()
                .saturating_sub(whole.end_position),
            proven_end: whole.proven_end,
            row,
        },
        Verdict::Refuse(_) | Verdict::Keep | Verdict::Seal => {
            let said = broken_promise.map(|(claim, position)| {
                format!(
                    "; the mark at byte {position} says that records below {claim} were durable"
                )
            });
            return Err(refusal(
                &path,
                &whole,
                row,
                verdict,
                said.unwrap_or_default(),
            ));
        }
    };
    let used = whole.end_position > FIRST_POSITION || behind.debris_end.is_some();
    let active = Active {
        header,
        region,
        file_bytes: link.file_bytes,
        end: End {
            lsn: whole.end,
            position: whole.end_position,
        },
        proven_end: whole.proven_end,
        proven_position: whole.proven_position,
        tail,
    };
    Ok((active, used))
}

/// A segment that has a successor, and whether it has its seal.
fn examine_older(
    storage: &dyn Storage,
    link: &Link,
    successor: &Header,
    successor_used: bool,
    verify: Verify,
) -> Result<(SealedSegment, bool), OpenError> {
    let header = link.header;
    let path = storage.path(&link.name.to_string());
    let unreadable = |error| OpenError::io(READ, &path, error);
    // `links` has checked that the successor names this one.
    let position = successor
        .predecessor
        .map_or(0, |before| before.end_position);
    let end = End {
        lsn: successor.base,
        position,
    };
    let file = storage.open(&link.name.to_string(), false);
    let file = file.map_err(unreadable)?;
    let has_seal = has_seal(file.as_ref(), &header, end).map_err(unreadable)?;
    let sealed = has_seal || successor.truncates;
    let trusted = sealed && verify == Verify::Tail;
    let whole = if trusted {
        None
    } else {
        Some(read_prefix(file.as_ref(), header.salt, header.base, end).map_err(unreadable)?)
    };
    // By frames, because a truncation may have cut a batch.
    let reaches = |whole: &Prefix| whole.frames_end == end;
    let (row, verdict) = decide(Facts {
        newest: false,
        header: true,
        sealed,
        claims_kept: whole.as_ref().is_none_or(reaches),
        debris: false,
        successor_used,
    });
    match (verdict, whole) {
        (Verdict::Keep | Verdict::Seal, _) => {}
        (_, whole) => {
            let start = || prefix(&[], &FrameKey::new(header.salt), header.base);
            let whole = whole.unwrap_or_else(start);
            return Err(refusal(&path, &whole, row, verdict, String::new()));
        }
    }
    let segment = SealedSegment {
        name: link.name,
        path,
        salt: header.salt,
        log_uuid: header.log_uuid,
        base: header.base,
        end: end.lsn,
        end_position: end.position,
        file_bytes: link.file_bytes,
    };
    Ok((segment, sealed))
}

fn refusal(path: &Path, whole: &Prefix, row: Row, verdict: Verdict, more: String) -> OpenError {
    let reason = match verdict {
        Verdict::Refuse(reason) => reason,
        _ => "this cannot be the newest segment",
    };
    OpenError::Damaged(Damage {
        path: path.to_path_buf(),
        position: whole.end_position,
        lsn: Some(whole.end),
        row,
        reason: format!("{reason}{more}"),
    })
}

/// The file's bytes, in memory that can go on as the segment's region. Never
/// more than the file has, whatever its header says (`INV-W10`).
fn read_region(file: &dyn SegmentFile, capacity_bytes: u64, file_bytes: u64) -> io::Result<Region> {
    let len_bytes = capacity_bytes.min(file_bytes).max(FIRST_POSITION) / 8 * 8;
    let region = usize::try_from(len_bytes).ok().and_then(Region::heap);
    let mut region = region.ok_or(io::ErrorKind::OutOfMemory)?;
    file.read_at(0, region.bytes_mut())?;
    Ok(region)
}

/// Whether the segment's seal stands where its successor says.
fn has_seal(file: &dyn SegmentFile, header: &Header, end: End) -> io::Result<bool> {
    let mut bytes = [0; SEAL_BYTES];
    let filled = file.read_at(end.position, &mut bytes)?;
    let frame = FrameKey::new(header.salt).decode(&bytes[..filled], end.position, end.lsn);
    Ok(frame.is_ok_and(|frame| frame.kind == FrameKind::Seal(end.lsn)))
}

/// The whole frames of a segment, as far as its successor lets it count.
pub(crate) fn read_prefix(
    file: &dyn SegmentFile,
    salt: u64,
    base: Lsn,
    end: End,
) -> io::Result<Prefix> {
    let mut region = read_region(file, end.position, file.len_bytes()?)?;
    Ok(prefix(region.bytes_mut(), &FrameKey::new(salt), base))
}
