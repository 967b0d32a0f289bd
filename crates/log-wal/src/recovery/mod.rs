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
mod newest;
mod older;
mod places;
mod runs;
mod scan;
mod survey;
mod table;

use std::path::Path;

use log_core::{Lsn, Region};

pub use table::Row;

pub(crate) use chain::{refuse_strangers, spare_name, temporary_name};
pub(crate) use check::{Job, check_all};
pub(crate) use cut::plan;
pub(crate) use runs::{Run, damage_in};
pub(crate) use scan::{PIECE_BYTES, Prefix, Tally};
pub(crate) use survey::{Step, Survey, survey};
pub(crate) use table::{BROKEN_CHAIN, DAMAGED_FRAME};

use crate::error::{Damage, OpenError};
use crate::format::Header;
use crate::options::{RecoveryPolicy, Verify, WalOptions};
use crate::report::{CutReport, OpenReport, SealedSegment, TailState};
use crate::segment::End;
use crate::storage::Storage;
use chain::links;
use cut::cut;
use newest::examine_newest;
use older::{Older, examine_older};
use table::Verdict;

/// What the files of a log amount to.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Every segment but the newest, ascending.
    pub sealed: Vec<SealedSegment>,
    /// The newest segment; `None` if there is no segment at all.
    pub active: Option<Active>,
    /// The seal of the one before the newest, if it may not be durable.
    pub unsure_seal: Option<UnsureSeal>,
    /// Segments of other logs that a cut has discarded.
    pub strangers: Vec<String>,
    /// Files that a crash left half made, and segments that were discarded.
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
        strangers: std::mem::take(&mut links.strangers),
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
