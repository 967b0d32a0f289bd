//! Everything that can be told about the files of a log, whatever state they
//! are in: what can be read, what cannot, and where the first damage is.
//!
//! [`examine`](super::examine) stops at the first damage, because it decides
//! whether a log may be trusted. A survey goes on, and changes nothing either.
//! It reads every frame, and judges each segment as examining does.

use std::io;

use log_core::Lsn;

use super::chain::{Link, names};
use super::check::{Job, check};
use super::newest::Newest;
use super::older::Older;
use super::places::{File, Place, first_lsn, limits, places};
use super::runs::{Bound, DIFFERENT_FRAME, Gap, Run, Runs, gap_damage, read_runs};
use super::scan::NO_LIMIT;
use super::table::{BROKEN_CHAIN as MISSING, Row, Verdict};
use crate::error::{Damage, Lost, OpenError, READ};
use crate::format::{FIRST_POSITION, SegmentName};
use crate::segment::End;
use crate::storage::Storage;

/// What was found, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub steps: Vec<Step>,
    pub segments: usize,
    pub log_uuid: Option<[u8; 16]>,
    /// The greatest id that any name has.
    pub greatest_id: u64,
    /// Whether segments are missing at the end, nobody knows how many.
    pub end_is_missing: bool,
    pub first_lsn: Lsn,
}

/// One step on a way through the log.
#[derive(Debug)]
pub(crate) enum Step {
    /// Frames that can be read.
    Read {
        name: SegmentName,
        salt: u64,
        run: Run,
    },
    /// Something that cannot, and where the log would end if it was cut in
    /// front of it.
    Damage { damage: Damage, keep: Option<Keep> },
}

/// The last segment of which anything is kept, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub name: SegmentName,
    pub end: End,
    pub has_seal: bool,
}

impl Survey {
    pub(crate) fn damage(&self) -> Vec<Damage> {
        let damage = |step: &Step| match step {
            Step::Damage { damage, .. } => Some(damage.clone()),
            Step::Read { .. } => None,
        };
        self.steps.iter().filter_map(damage).collect()
    }
}

/// Looks at everything.
///
/// # Errors
///
/// What no policy can pass over: a directory or a file that cannot be read, or
/// that a newer version wrote.
pub(crate) fn survey(storage: &dyn Storage) -> Result<Survey, OpenError> {
    let listed = names(storage)?.segments;
    let greatest_id = listed.iter().map(|name| name.id).max().unwrap_or_default();
    let places = places(storage, &listed)?;
    let links = places.iter().rev().filter_map(Place::link);
    let log_uuid = links.map(|link| link.header.log_uuid).next();
    let first_lsn = first_lsn(&places);
    let mut way = Way {
        storage,
        found: Survey {
            segments: places.len(),
            log_uuid,
            greatest_id,
            first_lsn,
            ..Survey::default()
        },
        newest: None,
        keep: None,
        next: first_lsn,
        open_loss: None,
    };
    way.look_at_newest(&places)?;
    for (index, (place, limit)) in places.iter().zip(limits(&places)).enumerate() {
        let before = index.checked_sub(1).and_then(|before| places.get(before));
        match &place.file {
            File::Bad(damage) | File::Strange(damage) => way.pass_bad(damage.clone()),
            File::Good(link) => {
                way.pass_tie(before, link);
                let passed = way.pass(link, &places[index + 1..], limit);
                passed.map_err(|error| way.unreadable(link, error))?;
            }
        }
    }
    Ok(way.found)
}

/// Where we have come.
struct Way<'a> {
    storage: &'a dyn Storage,
    found: Survey,
    /// What the newest segment has; `None` if its header is damaged.
    newest: Option<Newest>,
    keep: Option<Keep>,
    /// The number of the next record.
    next: Lsn,
    /// The step of a damage of which the end is not known yet.
    open_loss: Option<usize>,
}

impl Way<'_> {
    fn look_at_newest(&mut self, places: &[Place]) -> Result<(), OpenError> {
        if let Some(link) = places.last().and_then(Place::link) {
            let read = Newest::read_steady(self.storage, link);
            let (newest, _) = read.map_err(|error| self.unreadable(link, error))?;
            self.newest = Some(newest);
        }
        Ok(())
    }

    fn unreadable(&self, link: &Link, error: io::Error) -> OpenError {
        OpenError::io(READ, &self.storage.path(&link.name.to_string()), error)
    }

    fn note(&mut self, damage: Damage) {
        let keep = self.keep;
        self.found.steps.push(Step::Damage { damage, keep });
    }

    /// A file that nothing is known of but its name: what it had ends where
    /// the next one begins.
    fn pass_bad(&mut self, mut damage: Damage) {
        let file = damage.path.file_name().unwrap_or_default();
        let file = self.storage.open(&file.to_string_lossy(), false);
        let bytes = file.and_then(|file| file.len_bytes()).unwrap_or_default();
        damage.lsn = Some(self.next);
        damage.lost = Lost::new(None, bytes);
        self.open_loss.get_or_insert(self.found.steps.len());
        self.note(damage);
        self.found.end_is_missing = true;
    }

    /// Compares where a segment begins with where we are.
    fn pass_tie(&mut self, before: Option<&Place>, link: &Link) {
        let base = link.header.base;
        if let Some(step) = self.open_loss.take() {
            self.end_loss(step, base);
        } else if let Some(before) = before.and_then(Place::link)
            && !link.follows(before)
        {
            self.note_missing(before, link);
        }
        self.found.end_is_missing = false;
        self.next = self.next.max(base);
    }

    /// What bad files had ends at `base`. Of several in a row the first stands
    /// for all.
    fn end_loss(&mut self, first_step: usize, base: Lsn) {
        let end = base.max(self.next);
        for (index, step) in self.found.steps.iter_mut().enumerate().skip(first_step) {
            if let Step::Damage { damage, .. } = step {
                if index > first_step {
                    damage.lsn = Some(end);
                }
                if let Some(lost) = &mut damage.lost {
                    lost.end = Some(end);
                }
            }
        }
    }

    fn note_missing(&mut self, before: &Link, link: &Link) {
        let named = link.header.predecessor.map_or(0, |said| said.id);
        self.note(Damage {
            path: self.storage.path(&link.name.to_string()),
            position: 0,
            lsn: Some(self.next),
            row: MISSING,
            reason: format!(
                "it follows segment {named}, but the segment before it in the directory is {}",
                before.header.id
            ),
            lost: Lost::new(Some(link.header.base.max(self.next)), 0),
        });
    }

    fn pass(&mut self, link: &Link, behind: &[Place], limit: Lsn) -> io::Result<()> {
        let newest = self.newest;
        if let Some(newest) = newest.filter(|_| behind.is_empty()) {
            return self.pass_newest(link, &newest);
        }
        let next = behind.first().and_then(Place::link);
        match next.filter(|next| next.follows(link)) {
            Some(next) => self.pass_older(&Older {
                link: &link.with_seal(self.storage, &next.header)?,
                successor: &next.header,
                successor_used: behind.len() > 1 || newest.is_some_and(|it| it.is_used()),
            }),
            None => self.pass_unbound(link, limit),
        }
    }

    /// The newest segment goes as far as its frames do.
    fn pass_newest(&mut self, link: &Link, newest: &Newest) -> io::Result<()> {
        let found = match newest.broken_promise() {
            Some((claim, _)) => read_runs(self.storage, &whole_file(link), Bound::Below(NO_LIMIT))?
                .losing_up_to(claim),
            None => Runs::all(newest.whole.run(first_frame(link))),
        };
        let judged = newest.judge();
        self.pass_runs(link, newest.whole.sealed, &found, judged);
        if newest.whole.sealed {
            let path = self.storage.path(&link.name.to_string());
            let mut damage = gap_damage(&path, Gap::nothing_at(newest.end()), judged);
            damage.lost = Lost::new(None, 0);
            self.note(damage);
            self.found.end_is_missing = true;
        }
        Ok(())
    }

    /// A segment that its successor says the end of.
    fn pass_older(&mut self, older: &Older<'_>) -> io::Result<()> {
        let (link, job) = (older.link, older.job());
        let whole = check(self.storage, &job, &mut Vec::new())?;
        let mut found = match older.is_whole(&whole) {
            true => Runs::all(whole.run_of_frames(first_frame(link))),
            false => read_runs(self.storage, &job, Bound::At(job.end))?,
        };
        let judged = older.judge(Some(&whole));
        if matches!(judged, (_, Verdict::Refuse(_))) {
            // Nothing else, if it is the seal.
            found = found.losing_up_to(link.header.base);
        }
        self.pass_runs(link, older.is_sealed(), &found, judged);
        Ok(())
    }

    /// What follows is damaged, or is not its successor, and says nothing of
    /// where it ends; but no record is in two files.
    fn pass_unbound(&mut self, link: &Link, limit: Lsn) -> io::Result<()> {
        let found = read_runs(self.storage, &whole_file(link), Bound::Below(limit))?;
        self.pass_runs(link, found.sealed, &found, DIFFERENT_FRAME);
        Ok(())
    }

    fn pass_runs(&mut self, link: &Link, has_seal: bool, found: &Runs, judged: (Row, Verdict)) {
        let path = self.storage.path(&link.name.to_string());
        let mut gaps = found.gaps.iter().peekable();
        for run in &found.runs {
            while let Some(gap) = gaps.next_if(|gap| gap.start.position < run.start.position) {
                self.note(gap_damage(&path, *gap, judged));
            }
            self.found.steps.push(Step::Read {
                name: link.name,
                salt: link.header.salt,
                run: *run,
            });
            self.keep = Some(Keep {
                name: link.name,
                end: run.end,
                has_seal,
            });
            self.next = self.next.max(run.end.lsn);
        }
        for gap in gaps {
            self.note(gap_damage(&path, *gap, judged));
            self.next = self.next.max(gap.end.lsn);
        }
    }
}

fn first_frame(link: &Link) -> End {
    End {
        lsn: link.header.base,
        position: FIRST_POSITION,
    }
}

/// All of a file.
fn whole_file(link: &Link) -> Job {
    Job {
        name: link.name,
        salt: link.header.salt,
        base: link.header.base,
        end: End {
            lsn: link.header.base,
            position: link.records_end(),
        },
    }
}
