//! Everything that can be told about the files of a log, whatever state they
//! are in: what can be read, what cannot, and where the first damage is.
//!
//! [`examine`](super::examine) stops at the first damage, because it decides
//! whether a log may be trusted. A survey goes on, and changes nothing either.
//! It reads every frame.

use std::io;
use std::path::PathBuf;

use log_core::Lsn;

use super::beyond::beyond;
use super::chain::{Link, has_seal, names, open_link};
use super::check::{Job, check_all};
use super::runs::{Gap, Run, Runs, gap_damage, read_runs};
use super::table::{BROKEN_CHAIN, Facts, Verdict, decide};
use super::{BROKEN_CHAIN as MISSING, DAMAGED_FRAME};
use crate::error::{Damage, Lost, OpenError, READ};
use crate::format::{FIRST_POSITION, FrameKey, SegmentName};
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

/// A segment file: with a header of this log, or without.
enum Place {
    Good(Box<Link>),
    Bad(Damage),
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
    let log_uuid = places.iter().rev().find_map(|place| match place {
        Place::Good(link) => Some(link.header.log_uuid),
        Place::Bad(_) => None,
    });
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
        keep: None,
        next: first_lsn,
        open_loss: None,
    };
    for (index, place) in places.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| places.get(before));
        match place {
            Place::Bad(damage) => way.pass_bad(damage.clone()),
            Place::Good(link) => {
                way.pass_tie(before, link);
                way.pass(link, &places[index + 1..])?;
            }
        }
    }
    Ok(way.found)
}

impl Place {
    fn base(&self) -> Lsn {
        match self {
            Self::Good(link) => link.header.base,
            Self::Bad(damage) => damage.lsn.unwrap_or_default(),
        }
    }
}

/// Where the log begins: a name alone may say what it likes, but not a later
/// place than the first header.
fn first_lsn(places: &[Place]) -> Lsn {
    let is_good = |place: &Place| matches!(place, Place::Good(_));
    let named = places.iter().take_while(|place| !is_good(place));
    let good = places.iter().find(|place| is_good(place));
    let bases = named.chain(good).map(Place::base);
    bases.min().unwrap_or_default()
}

/// Opens every segment that is not discarded; oldest first.
fn places(storage: &dyn Storage, listed: &[SegmentName]) -> Result<Vec<Place>, OpenError> {
    let mut places = Vec::new();
    let mut discarded_from = None;
    for name in listed.iter().rev() {
        if discarded_from.is_some_and(|from| name.id >= from) {
            continue;
        }
        match open_link(storage, *name, None) {
            Ok(link) => {
                if link.header.truncates {
                    // All, if it was cut in front of its first record.
                    discarded_from = Some(link.header.predecessor.map_or(0, |kept| kept.id + 1));
                }
                places.push(Place::Good(Box::new(link)));
            }
            Err(OpenError::Damaged(damage)) => places.push(Place::Bad(damage)),
            Err(OpenError::Foreign { path, reason }) => {
                places.push(Place::Bad(foreign(path, *name, reason)));
            }
            Err(error) => return Err(error),
        }
    }
    places.reverse();
    call_strangers(storage, &mut places);
    Ok(places)
}

/// Of segments of several logs the most numerous are the log.
fn call_strangers(storage: &dyn Storage, places: &mut [Place]) {
    let uuids: Vec<_> = places
        .iter()
        .filter_map(|place| match place {
            Place::Good(link) => Some(link.header.log_uuid),
            Place::Bad(_) => None,
        })
        .collect();
    let count = |uuid: &[u8; 16]| uuids.iter().filter(|other| *other == uuid).count();
    let Some(own) = uuids.iter().max_by_key(|uuid| count(uuid)).copied() else {
        return;
    };
    for place in places {
        if let Place::Good(link) = place
            && link.header.log_uuid != own
        {
            let path = storage.path(&link.name.to_string());
            *place = Place::Bad(foreign(path, link.name, "it belongs to another log"));
        }
    }
}

fn foreign(path: PathBuf, name: SegmentName, reason: &str) -> Damage {
    Damage {
        path,
        position: 0,
        lsn: Some(name.base),
        row: BROKEN_CHAIN,
        reason: reason.to_owned(),
        lost: None,
    }
}

/// Where we have come.
struct Way<'a> {
    storage: &'a dyn Storage,
    found: Survey,
    keep: Option<Keep>,
    /// The number of the next record.
    next: Lsn,
    /// The step of a damage of which the end is not known yet.
    open_loss: Option<usize>,
}

impl Way<'_> {
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
        let header = &link.header;
        if let Some(step) = self.open_loss.take()
            && let Some(Step::Damage { damage, .. }) = self.found.steps.get_mut(step)
            && let Some(lost) = &mut damage.lost
        {
            lost.end = Some(header.base.max(self.next));
            for step in &mut self.found.steps[step + 1..] {
                // Of several bad files in a row the first stands for all.
                if let Step::Damage { damage, .. } = step {
                    damage.lsn = Some(header.base);
                    if let Some(lost) = &mut damage.lost {
                        lost.end = Some(header.base);
                    }
                }
            }
        } else if let Some(Place::Good(before)) = before
            && !is_tied(before, link)
        {
            let named = header.predecessor.map_or(0, |said| said.id);
            self.note(Damage {
                path: self.storage.path(&link.name.to_string()),
                position: 0,
                lsn: Some(self.next),
                row: MISSING,
                reason: format!(
                    "it follows segment {named}, but the segment before it in the directory is {}",
                    before.header.id
                ),
                lost: Lost::new(Some(header.base.max(self.next)), 0),
            });
        }
        self.found.end_is_missing = false;
        self.next = self.next.max(header.base);
    }

    fn pass(&mut self, link: &Link, behind: &[Place]) -> Result<(), OpenError> {
        let path = self.storage.path(&link.name.to_string());
        let unreadable = |error: io::Error| OpenError::io(READ, &path, error);
        let successor = match behind.first() {
            Some(Place::Good(next)) if is_tied(link, next) => Some(next),
            _ => None,
        };
        let said = successor.and_then(|next| next.header.predecessor);
        let job = Job {
            name: link.name,
            salt: link.header.salt,
            base: link.header.base,
            end: End {
                lsn: said.map_or(link.header.base, |said| said.end),
                position: said.map_or(records_end(link), |said| said.end_position),
            },
        };
        let whole = check_all(self.storage, &[job]).pop();
        let whole = whole.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        let whole = whole.map_err(unreadable)?;
        let file = self.storage.open(&link.name.to_string(), false);
        let file = file.map_err(unreadable)?;
        let sealed = match said {
            Some(said) => {
                has_seal(file.as_ref(), &link.header, said).map_err(unreadable)?
                    || successor.is_some_and(|next| next.header.truncates)
            }
            None => whole.sealed,
        };
        let key = FrameKey::new(link.header.salt);
        let rest = (whole.end_position, records_end(link));
        let all = file.data_ranges(FIRST_POSITION..rest.1.max(FIRST_POSITION));
        let all = all.map_err(unreadable)?;
        let is_newest = behind.is_empty();
        let claim = match is_newest {
            true => beyond(file.as_ref(), &all, &key, &link.header, rest).map_err(unreadable)?,
            false => super::beyond::Beyond::default(),
        };
        let claims_kept = match (said, is_newest) {
            (Some(_), _) => whole.frames_end == job.end,
            (None, true) => sealed || claim.claim.is_none_or(|(claim, _)| claim <= whole.end),
            // What follows is damaged and says nothing.
            (None, false) => true,
        };
        let successor_used = match successor {
            Some(next) => behind.len() > 1 || self.is_used(next).map_err(unreadable)?,
            None => behind.len() > 1,
        };
        let (row, verdict) = decide(Facts {
            newest: is_newest,
            header: true,
            sealed,
            claims_kept,
            debris: false,
            successor_used,
        });
        let has_gaps = !claims_kept || !is_newest && said.is_none() && !sealed;
        let mut found = match has_gaps {
            true => read_runs(self.storage, &job, said.is_some()).map_err(unreadable)?,
            false => Runs::default(),
        };
        if found.runs.is_empty() {
            let end = match claims_kept && said.is_some() {
                true => whole.frames_end,
                false => End {
                    lsn: whole.end,
                    position: whole.end_position,
                },
            };
            found.runs.push(Run {
                start: End {
                    lsn: link.header.base,
                    position: FIRST_POSITION,
                },
                end,
                payload_bytes: whole.payload_bytes,
            });
        }
        let row = if said.is_none() && !is_newest {
            DAMAGED_FRAME
        } else {
            row
        };
        let reason = match verdict {
            Verdict::Refuse(reason) => reason,
            _ => "the bytes are not what was written",
        };
        self.pass_runs(link, sealed, &found, |gap| {
            gap_damage(&path, gap, row, reason)
        });
        let end_of_file = self.keep.map_or(job.end, |keep| keep.end);
        if let Verdict::Refuse(reason) = verdict
            && found.gaps.is_empty()
            && (said.is_some() || is_newest)
        {
            // The seal alone: damaged (H), or without what must follow (E). Or
            // nothing but a mark tells of what was there.
            let claimed = claim.claim.map_or(end_of_file.lsn, |(claim, _)| claim);
            let at = Gap {
                start: end_of_file,
                end: End {
                    lsn: claimed.max(end_of_file.lsn),
                    position: end_of_file.position,
                },
            };
            let mut damage = gap_damage(&path, at, row, reason);
            if is_newest && sealed {
                damage.lost = Lost::new(None, 0);
                self.found.end_is_missing = true;
            }
            self.note(damage);
        }
        Ok(())
    }

    /// Whether the newest segment has frames, whole or not.
    fn is_used(&self, newest: &Link) -> io::Result<bool> {
        let file = self.storage.open(&newest.name.to_string(), false)?;
        let key = FrameKey::new(newest.header.salt);
        let all = (FIRST_POSITION, records_end(newest));
        let data = file.data_ranges(all.0..all.1)?;
        let found = beyond(file.as_ref(), &data, &key, &newest.header, all)?;
        Ok(found.debris_end.is_some())
    }

    fn pass_runs(
        &mut self,
        link: &Link,
        has_seal: bool,
        found: &Runs,
        damage: impl Fn(Gap) -> Damage,
    ) {
        let mut gaps = found.gaps.iter().peekable();
        let keep = |end| Keep {
            name: link.name,
            end,
            has_seal,
        };
        self.keep = Some(keep(End {
            lsn: link.header.base,
            position: FIRST_POSITION,
        }));
        for run in &found.runs {
            while let Some(gap) = gaps.next_if(|gap| gap.start.position < run.start.position) {
                self.note(damage(*gap));
            }
            self.found.steps.push(Step::Read {
                name: link.name,
                salt: link.header.salt,
                run: *run,
            });
            self.keep = Some(keep(run.end));
            self.next = self.next.max(run.end.lsn);
        }
        for gap in gaps {
            self.note(damage(*gap));
            self.next = self.next.max(gap.end.lsn);
        }
    }
}

/// Where the place for frames ends, whatever the header says (`INV-W10`).
fn records_end(link: &Link) -> u64 {
    let within = link.header.capacity_bytes.min(link.file_bytes);
    within.max(FIRST_POSITION) / 8 * 8
}

fn is_tied(before: &Link, link: &Link) -> bool {
    link.header
        .predecessor
        .is_some_and(|said| said.id == before.header.id && said.end >= before.header.base)
}
