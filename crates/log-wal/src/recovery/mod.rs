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

mod beyond;
mod chain;
mod check;
mod cut;
mod runs;
mod scan;
mod survey;
mod table;

use std::io;
use std::path::Path;

use log_core::{Lsn, Region};

pub use table::Row;

pub(crate) use chain::{refuse_strangers, spare_name, temporary_name};
pub(crate) use check::{Job, check_all};
pub(crate) use cut::plan;
pub(crate) use runs::{Run, damage_in};
pub(crate) use scan::{PIECE_BYTES, Prefix};
pub(crate) use survey::{Step, Survey, survey};
pub(crate) use table::{BROKEN_CHAIN, DAMAGED_FRAME};

use crate::error::{Damage, OpenError, READ};
use crate::format::{FIRST_POSITION, FrameKey, Header};
use crate::options::{RecoveryPolicy, Verify, WalOptions};
use crate::report::{CutReport, OpenReport, SealedSegment, TailState};
use crate::segment::End;
use crate::storage::Storage;
use beyond::{Beyond, beyond};
use chain::{Link, links};
use cut::cut;
use scan::prefix_into;
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
            torn_file: None,
            cut: None,
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
    let older: Vec<_> = older
        .iter()
        .zip(links.chain.iter().skip(1))
        .map(|(link, next)| Older {
            link,
            successor: &next.header,
            successor_used: used || next.header.id != newest.header.id,
        })
        .collect();
    // A seal is believed, so the cost of opening does not grow with the records.
    let is_checked = |older: &Older<'_>| verify == Verify::All || !older.is_sealed();
    let jobs: Vec<_> = older
        .iter()
        .filter(|older| is_checked(older))
        .map(|older| older.job())
        .collect();
    let mut checked = check_all(storage, &jobs).into_iter();
    for older in &older {
        let whole = match is_checked(older) {
            true => checked.next(),
            false => None,
        };
        let segment = examine_older(storage, older, whole)?;
        // Only when it was durable were frames put into the next segment.
        if !older.is_sealed() || !(older.successor_used || older.successor.truncates) {
            examined.unsure_seal = Some(UnsureSeal {
                header: older.link.header,
                end: older.end(),
            });
        }
        examined.sealed.push(segment);
    }
    examined.active = Some(active);
    Ok(examined)
}

/// The same for a writer, which may be told to cut what is damaged. Only the
/// writer calls this, with the lock.
pub(crate) fn examine_or_cut(
    storage: &dyn Storage,
    options: &WalOptions,
) -> Result<(Examined, Option<CutReport>), OpenError> {
    let refused = match examine(storage, options.verify) {
        Err(error @ (OpenError::Damaged(_) | OpenError::Foreign { .. })) => error,
        other => return Ok((other?, None)),
    };
    if options.recovery == RecoveryPolicy::Refuse {
        return Err(refused);
    }
    let Some(report) = cut(storage, options)? else {
        return Err(refused);
    };
    Ok((examine(storage, options.verify)?, Some(report)))
}

/// What the newest segment's file has in it.
struct Contents {
    region: Region,
    whole: Prefix,
    behind: Beyond,
}

impl Contents {
    fn read(storage: &dyn Storage, link: &Link) -> io::Result<Self> {
        let header = link.header;
        let file = storage.open(&link.name.to_string(), false)?;
        let mut region = region_for(header.capacity_bytes, link.file_bytes)?;
        let key = FrameKey::new(header.salt);
        // All of it at once, because reading makes data of holes.
        let end = region.len_bytes() as u64;
        let data = file.data_ranges(FIRST_POSITION..end)?;
        let whole = prefix_into(region.bytes_mut(), file.as_ref(), &data, &key, header.base)?;
        let rest = (whole.end_position, end);
        let behind = beyond(file.as_ref(), &data, &key, &header, rest)?;
        Ok(Self {
            region,
            whole,
            behind,
        })
    }

    /// Reads until nothing moves: a writer may have gone on between the look at
    /// its frames and the one behind them, and what it put there is no damage.
    fn read_steady(storage: &dyn Storage, link: &Link) -> io::Result<Self> {
        let mut seen = Self::read(storage, link)?;
        while seen.broken_promise().is_some() {
            let again = Self::read(storage, link)?;
            if again.whole == seen.whole {
                return Ok(again);
            }
            seen = again;
        }
        Ok(seen)
    }

    /// What says that more was durable than there is, and where.
    fn broken_promise(&self) -> Option<(Lsn, u64)> {
        let claim = self.behind.claim;
        claim.filter(|(claim, _)| *claim > self.whole.end && !self.whole.sealed)
    }
}

/// The newest segment, and whether it has any frames.
fn examine_newest(storage: &dyn Storage, link: &Link) -> Result<(Active, bool), OpenError> {
    let header = link.header;
    let path = storage.path(&link.name.to_string());
    let contents = Contents::read_steady(storage, link);
    let contents = contents.map_err(|error| OpenError::io(READ, &path, error))?;
    let broken_promise = contents.broken_promise();
    let Contents {
        region,
        whole,
        behind,
    } = contents;
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

/// A segment that has a successor.
struct Older<'a> {
    link: &'a Link,
    successor: &'a Header,
    successor_used: bool,
}

impl Older<'_> {
    /// By its own seal, or by the word of a truncation, which stands for one.
    fn is_sealed(&self) -> bool {
        self.link.has_seal || self.successor.truncates
    }

    /// Where it ends, says its successor; `links` has checked that this names
    /// it.
    fn end(&self) -> End {
        let said = self.successor.predecessor;
        End {
            lsn: self.successor.base,
            position: said.map_or(0, |before| before.end_position),
        }
    }

    fn job(&self) -> Job {
        Job {
            name: self.link.name,
            salt: self.link.header.salt,
            base: self.link.header.base,
            end: self.end(),
        }
    }
}

/// Judges a segment that has a successor, of which the whole frames are known
/// or not needed.
fn examine_older(
    storage: &dyn Storage,
    older: &Older<'_>,
    whole: Option<io::Result<Prefix>>,
) -> Result<SealedSegment, OpenError> {
    let (link, end) = (older.link, older.end());
    let path = storage.path(&link.name.to_string());
    let whole = whole.transpose();
    let whole = whole.map_err(|error| OpenError::io(READ, &path, error))?;
    // By frames, because a truncation may have cut a batch.
    let reaches = |whole: &Prefix| whole.frames_end == end;
    let (row, verdict) = decide(Facts {
        newest: false,
        header: true,
        sealed: older.is_sealed(),
        claims_kept: whole.as_ref().is_none_or(reaches),
        debris: false,
        successor_used: older.successor_used,
    });
    if !matches!(verdict, Verdict::Keep | Verdict::Seal) {
        let whole = whole.unwrap_or_else(|| Prefix::empty(link.header.base));
        return Err(refusal(&path, &whole, row, verdict, String::new()));
    }
    Ok(SealedSegment {
        name: link.name,
        path,
        salt: link.header.salt,
        log_uuid: link.header.log_uuid,
        base: link.header.base,
        end: end.lsn,
        end_position: end.position,
        file_bytes: link.file_bytes,
    })
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
        lost: None,
    })
}

/// Memory that can go on as the segment's region: as much as the file has, and
/// not more, whatever its header says (`INV-W10`). It is not touched yet.
fn region_for(capacity_bytes: u64, file_bytes: u64) -> io::Result<Region> {
    let len_bytes = capacity_bytes.min(file_bytes).max(FIRST_POSITION) / 8 * 8;
    let region = usize::try_from(len_bytes).ok().and_then(Region::heap);
    region.ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
