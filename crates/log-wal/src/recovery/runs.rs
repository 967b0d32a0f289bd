//! The whole frames of a damaged segment, in front of the damage and behind.

use std::io;
use std::path::Path;

use log_core::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES, Lsn};

use super::check::Job;
use super::scan::{Prefix, Tally, Walk};
use super::table::{DAMAGED_FRAME, Row, Verdict};
use crate::error::{DIFFERENT_BYTES, Damage, Lost};
use crate::format::{FIRST_POSITION, Frame, FrameFault, FrameKey, FrameKind};
use crate::segment::End;
use crate::storage::{SegmentFile, Storage};

/// Neighbouring whole frames; batches count whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: End,
    pub end: End,
    pub tally: Tally,
}

/// What lies between runs, or behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub start: End,
    pub end: End,
}

impl Gap {
    /// Where something is missing that has no place and no number.
    pub(super) fn nothing_at(place: End) -> Self {
        Self {
            start: place,
            end: place,
        }
    }
}

/// The runs and the gaps of one segment, each ascending. The first run begins
/// where the segment does, and may be empty; no other is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub runs: Vec<Run>,
    pub gaps: Vec<Gap>,
    /// Whether they end in a seal; not looked for where a successor says the
    /// end.
    pub sealed: bool,
}

impl Runs {
    /// Those of a segment without a gap.
    pub(super) fn all(run: Run) -> Self {
        Self {
            runs: vec![run],
            ..Self::default()
        }
    }

    /// Those of a segment that is known to have lost something, of which
    /// nothing else may tell: it lay behind all frames, and reached to `end`.
    pub(super) fn losing_up_to(mut self, end: Lsn) -> Self {
        if self.gaps.is_empty()
            && let Some(last) = self.runs.last()
        {
            let mut gap = Gap::nothing_at(last.end);
            gap.end.lsn = gap.end.lsn.max(end);
            self.gaps.push(gap);
        }
        self
    }
}

/// How much a search may spend on frames that look right and are not, in
/// lengths of the segment. Only a file that was made so reaches it; what was
/// not searched counts as lost.
const SEARCH_LENGTHS_MAX: u64 = 8;

/// How far a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// To this place, says its successor.
    At(End),
    /// As far as there are frames, but not to this record, which a later file
    /// has.
    Below(Lsn),
}

impl Bound {
    fn lsn(self) -> Lsn {
        match self {
            Self::At(end) => end.lsn,
            Self::Below(limit) => limit,
        }
    }

    /// Whether nothing is missing. By frames, because a truncation may have cut
    /// a batch.
    fn is_reached(self, whole: &Prefix) -> bool {
        match self {
            Self::At(end) => whole.frames_end == end,
            Self::Below(limit) => whole.frames_end.lsn >= limit,
        }
    }
}

/// Reads the runs of a segment up to `job.end.position`, as far as `bound` lets
/// it count. Needs memory for the segment.
pub(super) fn read_runs(storage: &dyn Storage, job: &Job, bound: Bound) -> io::Result<Runs> {
    let file = storage.open(&job.name.to_string(), false)?;
    let end_position = job.end.position.min(file.len_bytes()?);
    let bytes = read_to(file.as_ref(), end_position)?;
    Ok(find_runs(&bytes, &FrameKey::new(job.salt), job.base, bound))
}

fn read_to(file: &dyn SegmentFile, end_position: u64) -> io::Result<Vec<u8>> {
    let len_bytes = usize::try_from(end_position).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; len_bytes];
    let filled = file.read_at(0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// The runs in `bytes`, which are the file from its start.
fn find_runs(bytes: &[u8], key: &FrameKey, base: Lsn, bound: Bound) -> Runs {
    let mut found = Runs::default();
    let mut start = End {
        lsn: base,
        position: FIRST_POSITION,
    };
    let mut to_spend = bytes.len() as u64 * SEARCH_LENGTHS_MAX;
    loop {
        let mut walk = Walk::between(start, bound.lsn());
        while let Some(rest) = bytes.get(walk.position as usize..)
            && walk.step(rest, key)
        {}
        let whole = walk.whole;
        let is_complete = bound.is_reached(&whole);
        let run = match is_complete {
            true => whole.run_of_frames(start),
            false => whole.run(start),
        };
        let end = run.end;
        if end.position > start.position || found.runs.is_empty() {
            found.runs.push(run);
        }
        found.sealed = whole.sealed && matches!(bound, Bound::Below(_));
        if is_complete || found.sealed {
            return found;
        }
        let gap = Search {
            end,
            bad_position: walk.position,
            limit: bound.lsn(),
        };
        match (gap.search(bytes, key, base, &mut to_spend), bound) {
            (Some(next), _) => {
                found.gaps.push(Gap {
                    start: end,
                    end: next,
                });
                start = next;
            }
            (None, Bound::At(bound)) => {
                let file_end = bytes.len() as u64;
                found.gaps.push(Gap {
                    start: end,
                    end: End {
                        lsn: bound.lsn,
                        position: bound.position.min(file_end).max(end.position),
                    },
                });
                return found;
            }
            (None, Bound::Below(_)) => return found,
        }
    }
}

/// Where whole frames may begin again.
struct Search {
    /// Of the whole frames in front.
    end: End,
    /// Of the bad frame behind them.
    bad_position: u64,
    limit: Lsn,
}

impl Search {
    /// The next place where a whole frame begins that is not inside a batch.
    fn search(&self, bytes: &[u8], key: &FrameKey, base: Lsn, to_spend: &mut u64) -> Option<End> {
        let first = self.bad_position as usize + CELL_ALIGN_BYTES;
        for at in (first..bytes.len()).step_by(CELL_ALIGN_BYTES) {
            let (rest, position) = (&bytes[at..], at as u64);
            let len_bytes = match key.decode_unchecked(rest, base) {
                Ok(frame) => frame.len_bytes() as u64,
                Err(_) => continue,
            };
            match key.decode_anywhere(rest, position, base) {
                Ok(frame) if begins_anew(&frame) && self.is_possible(&frame, position) => {
                    return Some(End {
                        lsn: frame.lsn,
                        position,
                    });
                }
                Ok(_) => {}
                Err(FrameFault::Absent | FrameFault::TooLong | FrameFault::Damaged) => {
                    *to_spend = to_spend.checked_sub(len_bytes)?;
                }
            }
        }
        None
    }

    /// Whether so many records can have been in the gap.
    fn is_possible(&self, frame: &Frame<'_>, position: u64) -> bool {
        let room = (position - self.end.position) / CELL_HEADER_BYTES as u64;
        let lost = frame.lsn.distance_from(self.end.lsn);
        frame.lsn <= self.limit && lost.is_some_and(|lost| lost <= room)
    }
}

fn begins_anew(frame: &Frame<'_>) -> bool {
    match frame.kind {
        FrameKind::Record | FrameKind::Void => frame.word.begins_batch(),
        FrameKind::SyncMark(_) | FrameKind::Seal(_) => true,
    }
}

/// A gap, as a damage of the file at `path`.
pub(crate) fn gap_damage(path: &Path, gap: Gap, (row, verdict): (Row, Verdict)) -> Damage {
    let reason = match verdict {
        Verdict::Refuse(reason) => reason,
        _ => DIFFERENT_BYTES,
    };
    Damage {
        path: path.to_path_buf(),
        position: gap.start.position,
        lsn: Some(gap.start.lsn),
        row,
        reason: reason.to_owned(),
        lost: Lost::new(Some(gap.end.lsn), gap.end.position - gap.start.position),
    }
}

/// How frames are judged that are not what was written, whoever meets them.
pub(super) const DIFFERENT_FRAME: (Row, Verdict) =
    (DAMAGED_FRAME, Verdict::Refuse(DIFFERENT_BYTES));

/// Every damage of a segment of which it is known how far it goes.
pub(crate) fn damage_in(storage: &dyn Storage, job: &Job) -> io::Result<(Vec<Run>, Vec<Damage>)> {
    let path = storage.path(&job.name.to_string());
    let found = read_runs(storage, job, Bound::At(job.end))?;
    let damage = |gap: &Gap| gap_damage(&path, *gap, DIFFERENT_FRAME);
    Ok((found.runs, found.gaps.iter().map(damage).collect()))
}
