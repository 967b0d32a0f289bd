//! What a log should hold: a vector of records, and what was promised of them.

use std::ops::RangeInclusive;

use log_wal::{Lsn, Wal, Watermarks};

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub payload: Vec<u8>,
    /// Whether the log may end behind it: it is the last of its batch.
    pub ends_batch: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub records: Vec<Appended>,
    pub written_end: u64,
    pub durable_end: u64,
    /// Where the log may begin.
    pub first: RangeInclusive<u64>,
    /// Where a truncation was about to cut when it failed.
    pub cut: Option<u64>,
    made: u64,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            records: Vec::new(),
            written_end: 0,
            durable_end: 0,
            first: 0..=0,
            cut: None,
            made: 0,
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.records.len() as u64
    }

    /// A payload that no other record has, if it is long enough to tell.
    pub(crate) fn payload(&mut self, len_bytes: usize) -> Vec<u8> {
        self.made += 1;
        let id = self.made.to_le_bytes();
        // Zeros are what an unwritten disk shows.
        let filler = if self.made.is_multiple_of(4) {
            0
        } else {
            id[0]
        };
        let mut payload = vec![filler; len_bytes];
        for (byte, id) in payload.iter_mut().zip(id) {
            *byte = id;
        }
        payload
    }

    pub(crate) fn push(&mut self, payload: Vec<u8>, ends_batch: bool) {
        self.records.push(Appended {
            payload,
            ends_batch,
        });
    }

    /// What an open log shows is durable.
    pub(crate) fn opened(&mut self, wal: &Wal) {
        self.truncate(wal.next_lsn().0);
        self.first = wal.first_lsn().0..=wal.first_lsn().0;
    }

    /// The log ends here; batches may be cut.
    pub(crate) fn truncate(&mut self, end: u64) {
        self.records.truncate(end as usize);
        if let Some(last) = self.records.last_mut() {
            last.ends_batch = true;
        }
        self.written_end = end;
        self.durable_end = end;
        self.cut = None;
    }

    /// Takes note of what the log says that it has promised.
    pub(crate) fn acknowledge(&mut self, marks: Watermarks) {
        let Watermarks {
            reserved_end,
            published_end,
            written_end,
            durable_end,
        } = marks;
        let ends = [durable_end, written_end, published_end, reserved_end];
        assert!(ends.is_sorted(), "{marks:?}");
        assert_eq!(published_end.0, self.end(), "INV-C7");
        self.written_end = self.written_end.max(written_end.0);
        self.durable_end = self.durable_end.max(durable_end.0);
    }

    /// Whether a log may be found with these ends, when the records below
    /// `promised` had to be there.
    pub(crate) fn check_ends(&self, wal: &Wal, promised: u64) {
        let (first, end) = (wal.first_lsn().0, wal.next_lsn().0);
        assert!(
            self.first.contains(&first),
            "INV-F2: it begins at {first}, not in {:?}",
            self.first
        );
        if self.cut == Some(end) {
            return;
        }
        assert!(
            end >= promised,
            "INV-W1: {promised} records were acknowledged, {end} are there"
        );
        assert!(
            end <= self.end(),
            "INV-W3: {} records were appended, {end} are there",
            self.end()
        );
        let last = end
            .checked_sub(1)
            .and_then(|at| self.records.get(at as usize));
        assert!(
            last.is_none_or(|last| last.ends_batch),
            "INV-W3: a batch is cut at {end}"
        );
    }

    /// Whether a record is the one that was appended under its number.
    pub(crate) fn check_record(&self, lsn: Lsn, payload: &[u8]) {
        let appended = self.records.get(lsn.0 as usize);
        let is_right = appended.is_some_and(|appended| appended.payload == payload);
        assert!(is_right, "INV-W3, INV-W8: record {lsn} is {payload:02x?}");
    }
}
