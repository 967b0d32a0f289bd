//! A sealed segment in memory: its frames, its index, and how records are found
//! by it.
//!
//! A lookup takes the index at its word only as far as a place to start from;
//! what lies at the end of the way is checked there. If the way fails and the
//! index came from a file, the index is built again and the lookup repeated:
//! so an answer never depends on an index file (`INV-M3`), and what is then
//! not found is damage of the segment itself.

use std::sync::Arc;

use log_wal::format::{Frame, FrameFault, FrameKind};
use log_wal::{Lsn, ReadError};

use crate::envelope::{Record, RecordRef, Timestamp};
use crate::frames::{Frames, Place};
use crate::index::{Index, Times, timestamp_of};
use crate::options::Checks;
use crate::segment::{IndexPolicy, Segment, note_rebuild};
use crate::sync::{Mutex, lock};
use crate::walk::Walk;

/// A segment's frames in memory, and its index.
#[derive(Debug)]
pub(crate) struct Mapped {
    segment: Arc<Segment>,
    frames: Frames,
    index: Index,
    origin: Origin,
    /// Whether a frame is checked when it is read. If not, all of them were
    /// when this was made, and the index is exact.
    is_checking: bool,
    /// The index by time, once somebody has asked for a moment.
    times: Mutex<Option<(Arc<Times>, Origin)>>,
}

/// Where an index came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    /// The lengths of the segment's frames.
    Lengths,
    /// The segment, each frame checked: if it does not lead to a record, that
    /// is not there.
    Segment,
}

impl Mapped {
    /// With an index by number, and one by time if that is known already.
    pub(crate) fn new(
        segment: &Arc<Segment>,
        frames: Frames,
        (index, times): (Index, Option<Times>),
        origin: Origin,
        checks: Checks,
    ) -> Self {
        Self {
            segment: Arc::clone(segment),
            frames,
            is_checking: checks == Checks::EachRead || !index.is_exact(),
            index,
            origin,
            times: Mutex::new(times.map(|times| (Arc::new(times), origin))),
        }
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// A walk from record `lsn` on, which is in this segment; `None` if the
    /// index does not lead there.
    #[inline]
    pub(crate) fn walk_from(self: &Arc<Self>, lsn: Lsn) -> Option<Walk> {
        let (place, _) = self.find(lsn)?;
        Some(Walk::new(Arc::clone(self), place))
    }

    /// Record `lsn`, which is in this segment; without a record if its number
    /// was given up, and `None` if the index does not lead there.
    #[inline]
    pub(crate) fn record(&self, lsn: Lsn) -> Option<Result<Option<RecordRef<'_>>, ReadError>> {
        let (_, frame) = self.find(lsn)?;
        Some(match frame.kind {
            FrameKind::Record => Frames::record(&frame).map(Some),
            _ => Ok(None),
        })
    }

    /// The same, shared: the record keeps the mapping.
    #[inline]
    pub(crate) fn record_to_keep(&self, lsn: Lsn) -> Option<Result<Option<Record>, ReadError>> {
        let found = self.record(lsn)?;
        Some(found.map(|record| record.map(|record| self.frames.share(&record))))
    }

    /// The same mapping with an index for which every frame was checked, for
    /// when the way to record `lsn` failed.
    ///
    /// # Errors
    ///
    /// Damage of the segment, if this index is such a one already.
    #[cold]
    pub(crate) fn reindexed(&self, lsn: Lsn, policy: IndexPolicy) -> Result<Arc<Self>, ReadError> {
        match self.is_final() {
            true => Err(self.damage_before(lsn)),
            false => Ok(self.segment.map_again(self.frames.clone(), policy)),
        }
    }

    /// Whether its index is what a pass over the checked frames says: there is
    /// no better one.
    pub(crate) fn is_final(&self) -> bool {
        self.origin == Origin::Segment
    }

    /// What keeps record `lsn` from being found.
    #[cold]
    pub(crate) fn damage_before(&self, lsn: Lsn) -> ReadError {
        self.segment.damaged(self.fault_before(lsn))
    }

    /// No whole frame of the record at `place` lies there.
    #[cold]
    pub(crate) fn damaged(&self, place: Place) -> ReadError {
        self.segment.damaged(place)
    }

    /// The frame at `place`, which the index or the frame in front is sure of
    /// unless frames are checked.
    #[inline]
    pub(crate) fn frame(&self, place: Place) -> Result<Frame<'_>, FrameFault> {
        match self.is_checking {
            true => self.frames.at(place),
            false => self.frames.at_unchecked(place),
        }
    }

    /// The frame of record `lsn`, and where it lies.
    ///
    /// Either it passes its checksum now, which covers salt, position and
    /// number: so it is that record, whatever led here, and what is passed on
    /// the way need not be checked. Or all frames have passed before, and the
    /// way is made of these.
    #[inline]
    fn find(&self, lsn: Lsn) -> Option<(Place, Frame<'_>)> {
        // Where it lies if all of the interval are as long as one another, as
        // records often are: that saves walking from one to the next.
        if let Some(guess) = self.index.guess(lsn)
            && (self.is_checking || guess.is_sure)
            && let Ok(frame) = self.frame(guess.place)
            && frame.word.is_numbered()
        {
            return Some((guess.place, frame));
        }
        let place = self.frames.skip_to(self.start_for(lsn), lsn)?;
        Some((place, self.frame(place).ok()?))
    }

    #[inline]
    fn start_for(&self, lsn: Lsn) -> Place {
        self.index.floor(lsn).unwrap_or_else(|| self.frames.first())
    }

    /// The first place on the way to record `lsn` where no whole frame lies.
    #[cold]
    fn fault_before(&self, lsn: Lsn) -> Place {
        let mut place = self.start_for(lsn);
        while let Ok(frame) = self.frames.at(place) {
            place = place.behind(&frame);
        }
        place
    }

    /// The number of the first record at or after `moment`; `None` if it has
    /// none.
    pub(crate) fn at_or_after(
        &self,
        moment: Timestamp,
        policy: IndexPolicy,
    ) -> Result<Option<Lsn>, ReadError> {
        let (times, origin) = self.times(policy);
        let found = self.walk_to(moment, &times);
        if origin == Origin::Segment || matches!(found, Ok(Some(_))) {
            return found;
        }
        // It is not there, or the way there is not: the file is to blame, or
        // the segment is damaged.
        let times = self.build_times(policy);
        self.walk_to(moment, &times)
    }

    fn walk_to(&self, moment: Timestamp, times: &Times) -> Result<Option<Lsn>, ReadError> {
        if times.greatest() < Some(moment) {
            return Ok(None);
        }
        let first = self.frames.first();
        let mut place = times.before(moment).unwrap_or(first);
        while place != self.frames.end() {
            let frame = self.frame(place).map_err(|_| self.damaged(place))?;
            if timestamp_of(&frame) >= Some(moment) {
                return Ok(Some(place.lsn));
            }
            place = place.behind(&frame);
        }
        Ok(None)
    }

    /// The index by time, loaded or built if nobody has asked for it yet.
    fn times(&self, policy: IndexPolicy) -> (Arc<Times>, Origin) {
        let mut slot = lock(&self.times);
        let times = slot.get_or_insert_with(|| match self.segment.load_times() {
            Ok(times) => (Arc::new(times), Origin::File),
            Err(fault) => {
                note_rebuild(&self.segment.times_path(), fault);
                let built = self.segment.build_both(&self.frames, policy);
                (Arc::new(built.times), Origin::Segment)
            }
        });
        times.clone()
    }

    #[cold]
    fn build_times(&self, policy: IndexPolicy) -> Arc<Times> {
        let mut slot = lock(&self.times);
        let path = self.segment.times_path();
        tracing::warn!(path = %path.display(), "a lookup by time failed; building the index again");
        let built = self.segment.build_both(&self.frames, policy);
        let times = Arc::new(built.times);
        *slot = Some((Arc::clone(&times), Origin::Segment));
        times
    }
}
