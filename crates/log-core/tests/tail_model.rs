//! A tail against the plainest model there is: a list of records.
//!
//! Random histories of one thread; what may happen between threads is for the
//! models of loom and shuttle.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::collections::VecDeque;
use std::sync::Arc;

use log_core::{CellState, Cursor, Lsn, Need, Region, Segment, Span, Word, cell_bytes};
use proptest::prelude::*;
use tail_support::*;

const REGION_BYTES: usize = 320;

#[derive(Clone, Debug)]
enum Step {
    Append { payload_bytes: usize },
    AppendInPlace { payload_bytes: usize },
    Batch { payloads_bytes: Vec<usize> },
    Abandon { payloads_bytes: Vec<usize> },
    Roll { region_units: usize },
    Mark { payload_bytes: usize },
    Release { records_kept: u64 },
    OpenCursor { behind_start: u64 },
    Read { cursor: usize, keep: bool },
    LetGo,
}

fn step() -> impl Strategy<Value = Step> {
    let length = 0..80_usize;
    let lengths = prop::collection::vec(0..40_usize, 1..4);
    prop_oneof![
        6 => length.clone().prop_map(|payload_bytes| Step::Append { payload_bytes }),
        2 => length.clone().prop_map(|payload_bytes| Step::AppendInPlace { payload_bytes }),
        3 => lengths.clone().prop_map(|payloads_bytes| Step::Batch { payloads_bytes }),
        2 => lengths.prop_map(|payloads_bytes| Step::Abandon { payloads_bytes }),
        2 => (2..40_usize).prop_map(|region_units| Step::Roll { region_units }),
        2 => length.prop_map(|payload_bytes| Step::Mark { payload_bytes }),
        2 => (0..20_u64).prop_map(|records_kept| Step::Release { records_kept }),
        2 => (0..30_u64).prop_map(|behind_start| Step::OpenCursor { behind_start }),
        6 => (0..8_usize, any::<bool>()).prop_map(|(cursor, keep)| Step::Read { cursor, keep }),
        1 => Just(Step::LetGo),
    ]
}

/// `None`: abandoned, with the number kept.
type Record = Option<Vec<u8>>;

struct Checked {
    tail: PlainTail,
    model: Vec<Record>,
    marks: usize,
    cursors: VecDeque<Cursor<()>>,
    held: Vec<(Vec<u8>, Span<()>)>,
    released: Vec<Arc<Segment<()>>>,
    free: Vec<Region>,
}

impl Checked {
    fn new() -> Self {
        Self {
            tail: tail(REGION_BYTES),
            model: Vec::new(),
            marks: 0,
            cursors: VecDeque::new(),
            held: Vec::new(),
            released: Vec::new(),
            free: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { payload_bytes } => self.append(&[payload_bytes], true),
            Step::AppendInPlace { payload_bytes } => self.append(&[payload_bytes], false),
            Step::Batch { payloads_bytes } => self.append(&payloads_bytes, true),
            Step::Abandon { payloads_bytes } => self.abandon(&payloads_bytes),
            Step::Roll { region_units } => self.roll(region_units),
            Step::Mark { payload_bytes } => self.mark(payload_bytes),
            Step::Release { records_kept } => self.release(records_kept),
            Step::OpenCursor { behind_start } => self.open_cursor(behind_start),
            Step::Read { cursor, keep } => self.read(cursor, keep),
            Step::LetGo => self.held.clear(),
        }
        let end = Lsn(self.model.len() as u64);
        assert_eq!(self.tail.reserved_end(), end, "INV-C1");
        assert_eq!(self.tail.published_end(), end, "INV-C7");
        for (bytes, span) in &self.held {
            assert_eq!(span.bytes(), bytes, "INV-C2, INV-C4: held means unchanged");
        }
    }

    fn append(&mut self, lengths: &[usize], may_roll: bool) {
        let base = self.model.len() as u64;
        let batch: Vec<_> = (base..)
            .zip(lengths)
            .map(|(number, length)| payload(number, *length))
            .collect();
        let recycled = &mut self.free;
        let place = if may_roll {
            let prepared = self.tail.reserve_or_roll(need(lengths), || {
                next(recycled.pop().unwrap_or_else(|| region(REGION_BYTES)))
            });
            Some(prepared.expect("every step fits a region"))
        } else {
            self.tail.reserve(need(lengths))
        };
        if let Some(place) = place {
            assert_eq!(fill(place, &batch), Lsn(base), "INV-C1");
            self.model.extend(batch.into_iter().map(Some));
        }
    }

    fn abandon(&mut self, lengths: &[usize]) {
        if let Some(mut place) = self.tail.reserve(need(lengths)) {
            place.bytes_mut().fill(0x5A);
            drop(place);
            self.model.extend(lengths.iter().map(|_| None));
        }
    }

    fn roll(&mut self, region_units: usize) {
        let before = self.tail.open_segment();
        let rolled = self.tail.roll(|| fresh(region_units * 8)).unwrap();
        assert_eq!(rolled, before.base() < Lsn(self.model.len() as u64));
        assert_eq!(before.end().is_some(), rolled);
    }

    fn mark(&mut self, payload_bytes: usize) {
        let next_lsn = self.model.len() as u64;
        let mark = self.tail.insert_unnumbered(payload_bytes, |cell, place| {
            assert_eq!(place.lsn, Lsn(next_lsn));
            assert_eq!(cell.len(), cell_bytes(payload_bytes));
            cell.fill(0);
            Word::new(payload_bytes as u32).with_kind(0xFF)
        });
        self.marks += usize::from(mark.is_some());
    }

    fn release(&mut self, records_kept: u64) {
        let end = self.model.len() as u64;
        let up_to = Lsn(end.saturating_sub(records_kept));
        let first = self.tail.first_lsn();
        self.released.extend(self.tail.release_before(up_to));
        assert!(self.tail.first_lsn() >= first);
        assert!(self.tail.first_lsn() <= first.max(up_to));
        for segment in std::mem::take(&mut self.released) {
            match Segment::into_region(segment) {
                // Shorter ones would not hold every step.
                Ok(region) if region.len_bytes() == REGION_BYTES => self.free.push(region),
                Ok(_) => {}
                Err(segment) => self.released.push(segment),
            }
        }
    }

    fn open_cursor(&mut self, behind_start: u64) {
        let lsn = Lsn(self.tail.first_lsn().0 + behind_start);
        let cursor = self.tail.cursor_at(lsn);
        let exists = lsn.0 <= self.model.len() as u64;
        assert_eq!(cursor.is_some(), exists);
        self.cursors.extend(cursor);
        if self.cursors.len() > 4 {
            self.cursors.pop_front();
        }
    }

    fn read(&mut self, cursor: usize, keep: bool) {
        let Some(cursor) = self.cursors.get_mut(cursor) else {
            return;
        };
        let next = cursor.next_lsn();
        let Some(span) = self.tail.next_span(cursor) else {
            let behind = next < self.tail.first_lsn();
            assert!(behind || next == self.tail.published_end());
            return;
        };
        assert_eq!(span.base(), next, "INV-C1: a cursor leaves nothing out");
        for found in records(&span) {
            match &self.model[found.lsn.0 as usize] {
                Some(payload) => assert_eq!(&found.payload, payload, "INV-C2"),
                None => assert_eq!(found.state, CellState::Void),
            }
        }
        if keep {
            self.held.push((span.bytes().to_vec(), span));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_tail_is_a_list_of_records(steps in prop::collection::vec(step(), 1..150)) {
        let mut checked = Checked::new();
        for step in steps {
            checked.take(step);
        }
    }

    #[test]
    fn a_need_is_refused_or_made_of_whole_cells(records in 0..5_u32, bytes in 0..100_usize) {
        let whole = records > 0 && bytes.is_multiple_of(8) && bytes >= 16 * records as usize;
        prop_assert_eq!(Need::new(records, bytes).is_some(), whole);
    }
}
