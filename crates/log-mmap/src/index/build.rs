//! Makes both indexes by one pass over their segment.

use log_wal::Lsn;
use log_wal::format::{Frame, FrameKind};

use super::bends::Bends;
use super::steps::Steps;
use super::{Entry, Index, Times};
use crate::envelope::{self, Timestamp};
use crate::frames::{Frames, Place};

/// A moment is asked for more seldom than a number, and its entries are twice
/// as long: one for so many intervals.
const TIME_INTERVALS: u64 = 4;

/// The indexes of a segment, and whether it has no damage.
#[derive(Debug)]
pub(crate) struct Built {
    pub index: Index,
    pub times: Times,
    /// Every frame up to the end of the segment is whole.
    pub is_whole: bool,
}

/// Indexes all whole frames of a segment. Behind damage the first whole frame
/// has an entry of its own, so that everything that can be read is found.
pub(crate) fn build(frames: &Frames, interval_bytes: u32) -> Built {
    let mut builder = Builder::new(frames, interval_bytes);
    let mut place = frames.first();
    while place.position < frames.end().position {
        match frames.at(place) {
            Ok(frame) => {
                builder.frame(place, &frame);
                place = place.behind(&frame);
            }
            Err(_) => {
                builder.damage();
                let Some(next) = frames.whole_behind(place) else {
                    break;
                };
                place = next;
            }
        }
    }
    builder.is_whole &= place == frames.end();
    builder.finish(frames.end(), true)
}

/// The same by the lengths of frames alone, for a segment that this process has
/// just written: what is not as it was written is found out by who reads it.
/// `None` if they do not lead to the end.
pub(crate) fn build_by_lengths(frames: &Frames, interval_bytes: u32) -> Option<Built> {
    let mut builder = Builder::new(frames, interval_bytes);
    let mut place = frames.first();
    while place != frames.end() {
        let frame = frames.at_unchecked(place).ok()?;
        builder.frame(place, &frame);
        place = place.behind(&frame);
    }
    Some(builder.finish(frames.end(), false))
}

/// The timestamp of the record in a frame, if it has one.
pub(crate) fn timestamp_of(frame: &Frame<'_>) -> Option<Timestamp> {
    match frame.kind {
        FrameKind::Record => envelope::timestamp(frame.codec(), frame.payload),
        _ => None,
    }
}

struct Builder {
    base: Lsn,
    interval_bytes: u32,
    entries: Vec<Entry>,
    records: usize,
    bends: Bends,
    steps: Steps<Place>,
    /// The greatest timestamp so far.
    greatest: Option<Timestamp>,
    /// Records from this position on get an entry, and one by time.
    due_position: u64,
    time_due_position: u64,
    is_whole: bool,
}

impl Builder {
    fn new(frames: &Frames, interval_bytes: u32) -> Self {
        Self {
            base: frames.first().lsn,
            interval_bytes,
            entries: Vec::new(),
            records: 0,
            bends: Bends::default(),
            steps: Steps::default(),
            greatest: None,
            due_position: 0,
            time_due_position: 0,
            is_whole: true,
        }
    }

    fn frame(&mut self, place: Place, frame: &Frame<'_>) {
        if frame.word.is_numbered() {
            self.record(place, timestamp_of(frame));
        }
    }

    fn record(&mut self, place: Place, timestamp: Option<Timestamp>) {
        let interval_bytes = u64::from(self.interval_bytes);
        if let Some(entry) = Entry::new(self.base, place) {
            self.records += 1;
            self.bends.note(entry);
            if place.position >= self.due_position {
                self.due_position = place.position + interval_bytes;
                self.entries.push(entry);
            }
        }
        if place.position >= self.time_due_position
            && let Some(greatest) = self.greatest
        {
            self.time_due_position = place.position + TIME_INTERVALS * interval_bytes;
            self.steps.note(greatest, place);
        }
        self.greatest = self.greatest.max(timestamp);
    }

    fn damage(&mut self) {
        self.is_whole = false;
        self.due_position = 0;
    }

    fn finish(mut self, end: Place, is_checked: bool) -> Built {
        if let Some(greatest) = self.greatest {
            self.steps.note(greatest, end);
        }
        Built {
            is_whole: self.is_whole,
            times: Times {
                interval_bytes: self.interval_bytes,
                steps: self.steps,
            },
            index: Index {
                base: self.base,
                interval_bytes: self.interval_bytes,
                entries: self.entries,
                corners: self.bends.finish(self.records),
                is_exact: self.is_whole && is_checked,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::made;

    const BASE: Lsn = Lsn(7);

    fn places(index: &Index) -> Vec<Place> {
        index
            .entries
            .iter()
            .map(|entry| entry.place(index.base).unwrap())
            .collect()
    }

    #[test]
    fn an_interval_of_zero_gives_every_record_an_entry() {
        let payloads: [&[u8]; 5] = [b"a", b"bb", b"", b"dddd", b"e"];
        let frames = made::frames(made::segment(BASE, &payloads), BASE, 5);
        let built = build(&frames, 0);
        assert!(built.is_whole);
        assert_eq!(built.index.len(), 5, "records only: the mark has none");
        for place in places(&built.index) {
            assert!(frames.at(place).is_ok_and(|frame| frame.word.is_numbered()));
        }
    }

    #[test]
    fn entries_lie_an_interval_apart_and_no_record_more_than_that_behind_one() {
        let payloads = vec![&b"sixteen of them."[..]; 1000];
        let frames = made::frames(made::segment(BASE, &payloads), BASE, 1000);
        for interval_bytes in [1, 32, 33, 500, 4096, u32::MAX] {
            let built = build(&frames, interval_bytes);
            let places = places(&built.index);
            assert_eq!(places[0], frames.first(), "the first record has one");
            for pair in places.windows(2) {
                let apart = pair[1].position - pair[0].position;
                assert!(
                    apart >= u64::from(interval_bytes),
                    "{interval_bytes}: {apart}"
                );
            }
            for ahead in 0..1000 {
                let lsn = Lsn(BASE.0 + ahead);
                let floor = built.index.floor(lsn).unwrap();
                let place = frames.skip_to(floor, lsn).unwrap();
                let walked = place.position - floor.position;
                assert!(
                    walked <= u64::from(interval_bytes),
                    "{interval_bytes}: {walked}"
                );
            }
        }
    }

    #[test]
    fn whatever_is_whole_behind_damage_is_found() {
        let payloads = vec![&b"sixteen of them."[..]; 50];
        let file = made::segment(BASE, &payloads);
        let whole = made::frames(file.clone(), BASE, 50);
        for damaged in 0..50 {
            let lsn = Lsn(BASE.0 + damaged);
            let place = whole.skip_to(whole.first(), lsn).unwrap();
            for byte in [0, 2, 4, 8, 12, 20] {
                let mut file = file.clone();
                file[place.position as usize + byte] ^= 0x20;
                let frames = made::frames(file, BASE, 50);
                let built = build(&frames, 200);
                assert!(!built.is_whole, "record {damaged} byte {byte}");
                for ahead in (0..50).filter(|ahead| *ahead != damaged) {
                    let lsn = Lsn(BASE.0 + ahead);
                    let floor = built.index.floor(lsn).unwrap();
                    let found = frames
                        .skip_to(floor, lsn)
                        .map(|place| frames.at(place).is_ok());
                    assert_eq!(
                        found,
                        Some(true),
                        "record {ahead}, byte {byte} of {damaged} bad"
                    );
                }
            }
        }
    }

    #[test]
    fn lengths_alone_make_the_index_that_checked_frames_do() {
        let lengths = [3, 3, 3, 3, 40, 0, 41, 3, 3, 3];
        let payloads = lengths.map(|length| &[7_u8; 41][..length]);
        let frames = made::frames(made::segment(BASE, &payloads), BASE, 10);
        for interval_bytes in [0, 50, 4096] {
            let checked = build(&frames, interval_bytes);
            let built = build_by_lengths(&frames, interval_bytes).unwrap();
            assert_eq!(
                (&built.index, &built.times),
                (&checked.index, &checked.times)
            );
            assert!(checked.index.is_exact() && !built.index.is_exact());
        }
    }

    #[test]
    fn lengths_that_lead_nowhere_make_no_index() {
        let payloads = [&b"sixteen of them."[..]; 4];
        let whole = made::segment(BASE, &payloads);
        for byte in [0, 1, 3, 5] {
            let mut file = whole.clone();
            let second = made::frames(whole.clone(), BASE, 4);
            let second = second.skip_to(second.first(), Lsn(8)).unwrap();
            file[second.position as usize + byte] ^= 0x60;
            let frames = made::frames(file, BASE, 4);
            assert!(build_by_lengths(&frames, 0).is_none(), "byte {byte}");
        }
    }

    /// Whatever the lengths are, in whatever order: an exact index is sure only
    /// of what is so.
    #[test]
    fn what_an_exact_index_is_sure_of_is_so() {
        let mut seed = 1_u64;
        let mut sure = 0;
        for round in 0..200 {
            let lengths: Vec<usize> = (0..120)
                .map(|at| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let changes = round % 4 > 0 && (seed >> 40).is_multiple_of(1 + round);
                    if changes {
                        (seed >> 33) as usize % 40
                    } else {
                        at / 50 * 8
                    }
                })
                .collect();
            let payloads: Vec<_> = lengths.iter().map(|it| &[7_u8; 100][..*it]).collect();
            let frames = made::frames(made::segment(BASE, &payloads), BASE, 120);
            let index = build(&frames, 96).index;
            for ahead in 0..120 {
                let lsn = Lsn(BASE.0 + ahead);
                let place = frames.skip_to(frames.first(), lsn).unwrap();
                if let Some(guess) = index.guess(lsn).filter(|it| it.is_sure) {
                    assert_eq!(guess.place, place, "round {round}, record {ahead}");
                    sure += 1;
                }
            }
        }
        assert!(sure > 10_000, "{sure}");
    }

    #[test]
    fn a_segment_without_records_has_an_index_without_entries() {
        let frames = made::frames(made::segment(BASE, &[]), BASE, 0);
        let built = build(&frames, 0);
        assert!(built.is_whole);
        assert_eq!(built.index.len(), 0);
        assert_eq!(built.index.floor(BASE), None);
    }

    #[test]
    fn a_segment_that_ends_before_its_end_is_not_whole() {
        let frames = made::frames(made::segment(BASE, &[b"one", b"two"]), BASE, 3);
        assert!(!build(&frames, 0).is_whole, "it is said to have three");
    }
}
