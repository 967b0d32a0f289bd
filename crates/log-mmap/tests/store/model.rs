//! Whatever is done to a log, reading it gives what a map would.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::support::{index_paths, options, time_index_paths};
use log_mmap::{Checks, Lsn, NewRecord, ReadError, Reader, Record, SegmentState, Store, Timestamp};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Batch(Vec<usize>),
    Rotate,
    Flush,
    Sync,
    Index,
    /// Drop what lies below a record.
    Drop(prop::sample::Index),
    /// Discard what lies from a record on.
    Truncate(prop::sample::Index),
    /// Keep the newest record of each key below a record, or not even that if
    /// it only says that the key is gone.
    Compact {
        before: prop::sample::Index,
        keeps_tombstones: bool,
    },
    Reopen {
        index_interval_bytes: u32,
        checks: Checks,
    },
    /// Remember the index files there are, and put them back.
    SaveIndexes,
    RestoreIndexes,
    /// An index file loses its end, or everything.
    DamageIndex {
        which: prop::sample::Index,
        kept: prop::sample::Index,
    },
    Read(prop::sample::Index),
    ReadRange(prop::sample::Index, prop::sample::Index),
    ReadSlice(prop::sample::Index, usize),
    /// The first record at or after a moment.
    Find(u64),
}

/// Timestamps are below this.
const MOMENTS: u64 = 101;

/// How many keys there are.
const KEYS: usize = 5;

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![2 => Just(0), 6 => 0..300_usize, 2 => 300..6000_usize];
    let checks = prop_oneof![Just(Checks::EachRead), Just(Checks::OncePerMapping)];
    let interval = prop_oneof![Just(0), Just(300), Just(4096)];
    prop_oneof![
        8 => length.clone().prop_map(Step::Append),
        3 => prop::collection::vec(length, 0..6).prop_map(Step::Batch),
        2 => Just(Step::Rotate),
        1 => Just(Step::Flush),
        1 => Just(Step::Sync),
        1 => Just(Step::Index),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        2 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(before, keeps_tombstones)| Step::Compact { before, keeps_tombstones }),
        1 => (interval, checks).prop_map(|(index_interval_bytes, checks)| Step::Reopen {
            index_interval_bytes,
            checks,
        }),
        1 => Just(Step::SaveIndexes),
        1 => Just(Step::RestoreIndexes),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(which, kept)| Step::DamageIndex { which, kept }),
        4 => any::<prop::sample::Index>().prop_map(Step::Read),
        2 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(start, end)| Step::ReadRange(start, end)),
        1 => (any::<prop::sample::Index>(), 0..40_usize)
            .prop_map(|(start, limit)| Step::ReadSlice(start, limit)),
        4 => (0..=MOMENTS).prop_map(Step::Find),
    ]
}

/// A log, and what should be in it.
struct Pair<'a> {
    directory: &'a Path,
    store: Option<Store>,
    model: BTreeMap<u64, Vec<u8>>,
    /// The timestamps of those that have one.
    times: BTreeMap<u64, Timestamp>,
    /// The keys of those that have one. Without a payload they are tombstones.
    keys: BTreeMap<u64, [u8; 1]>,
    first: u64,
    end: u64,
    /// Counts payloads, so that no two are the same.
    made: usize,
    /// Index files as they once were.
    saved_indexes: Vec<(PathBuf, Vec<u8>)>,
}

impl<'a> Pair<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            store: Some(Store::open(directory, options(300)).unwrap()),
            model: BTreeMap::new(),
            times: BTreeMap::new(),
            keys: BTreeMap::new(),
            first: 0,
            end: 0,
            made: 0,
            saved_indexes: Vec::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn new_payload(&mut self, length: usize) -> Vec<u8> {
        self.made += 1;
        let payload: Vec<u8> = (0..length).map(|at| (at * 7 + self.made) as u8).collect();
        self.model.insert(self.end, payload.clone());
        // In no order, and not all have one.
        if !self.made.is_multiple_of(4) {
            let timestamp = Timestamp(self.made as u64 * 37 % MOMENTS);
            self.times.insert(self.end, timestamp);
        }
        if !self.made.is_multiple_of(3) {
            self.keys.insert(self.end, [(self.made % KEYS) as u8]);
        }
        self.end += 1;
        payload
    }

    fn new_record<'p>(&'p self, lsn: u64, payload: &'p [u8]) -> NewRecord<'p> {
        let mut record = NewRecord::new(payload);
        if let Some(timestamp) = self.times.get(&lsn) {
            record = record.timestamp(*timestamp);
        }
        if let Some(key) = self.keys.get(&lsn) {
            record = record.key(key);
        }
        record
    }

    /// A number that the log has, or its end, or one beyond.
    fn lsn(&self, at: prop::sample::Index) -> u64 {
        at.index(self.end as usize + 2) as u64
    }

    fn take(&mut self, step: Step) {
        let end = Lsn(self.end);
        match step {
            Step::Append(length) => {
                let payload = self.new_payload(length);
                let record = self.new_record(end.0, &payload);
                assert_eq!(self.store().append_record(&record).unwrap(), end);
            }
            Step::Batch(lengths) => {
                let payloads: Vec<_> = lengths.iter().map(|l| self.new_payload(*l)).collect();
                let records = (end.0..).zip(&payloads);
                let records: Vec<_> = records
                    .map(|(lsn, payload)| self.new_record(lsn, payload))
                    .collect();
                let lsns = self.store().append_records(&records).unwrap();
                assert_eq!(lsns, end..Lsn(self.end));
            }
            Step::Rotate => drop(self.store().rotate().unwrap()),
            Step::Flush => assert_eq!(self.store().flush().unwrap(), end),
            Step::Sync => assert_eq!(self.store().sync().unwrap(), end),
            Step::Index => drop(self.store().index_sealed().unwrap()),
            Step::Drop(at) => self.drop_before(self.lsn(at)),
            Step::Truncate(at) => self.truncate_after(self.lsn(at)),
            Step::Compact {
                before,
                keeps_tombstones,
            } => self.compact_before(self.lsn(before), keeps_tombstones),
            Step::Reopen {
                index_interval_bytes,
                checks,
            } => {
                self.store.take().unwrap().close().unwrap();
                let options = options(index_interval_bytes).checks(checks);
                self.store = Some(Store::open(self.directory, options).unwrap());
            }
            Step::SaveIndexes => {
                let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
                self.saved_indexes = self.indexes().into_iter().map(read).collect();
            }
            Step::RestoreIndexes => {
                for (path, bytes) in &self.saved_indexes {
                    fs::write(path, bytes).unwrap();
                }
            }
            Step::DamageIndex { which, kept } => self.damage_index(which, kept),
            Step::Read(at) => self.check_read(self.lsn(at)),
            Step::ReadRange(start, end) => self.check_range(self.lsn(start)..self.lsn(end)),
            Step::ReadSlice(start, limit) => self.check_slice(self.lsn(start), limit),
            Step::Find(moment) => self.check_find(Timestamp(moment)),
        }
    }

    fn indexes(&self) -> Vec<PathBuf> {
        let mut indexes = index_paths(self.directory);
        indexes.extend(time_index_paths(self.directory));
        indexes
    }

    fn damage_index(&self, which: prop::sample::Index, kept: prop::sample::Index) {
        let indexes = self.indexes();
        if indexes.is_empty() {
            return;
        }
        let path = which.get(&indexes);
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..kept.index(bytes.len() + 1)]).unwrap();
    }

    fn drop_before(&mut self, lsn: u64) {
        let before = self.store().segments().len();
        let dropped = self.store().drop_before(Lsn(lsn)).unwrap();
        assert_eq!(self.store().segments().len(), before - dropped);
        let first = self.store().first_lsn().0;
        assert!(first <= lsn.max(self.first), "INV-F2: {first} of {lsn}");
        self.first = first;
        self.model = self.model.split_off(&first);
        self.times = self.times.split_off(&first);
        self.keys = self.keys.split_off(&first);
    }

    fn compact_before(&mut self, lsn: u64, keeps_tombstones: bool) {
        let keep = |record: &Record| keeps_tombstones || !record.payload().is_empty();
        let segments = self.store().segments();
        let report = self.store().compact_before(Lsn(lsn), keep).unwrap();
        let sealed = segments
            .iter()
            .filter(|it| it.state == SegmentState::Sealed);
        let ends = sealed.map(|it| it.end.0).filter(|end| *end <= lsn);
        let end = ends.max().unwrap_or(0);
        let keys = self.keys.range(..end);
        let newest: BTreeMap<_, _> = keys.map(|(lsn, key)| (*key, *lsn)).collect();
        let before = self.model.len();
        self.model.retain(|lsn, payload| {
            let stays = match self.keys.get(lsn).filter(|_| *lsn < end) {
                Some(key) => newest[key] == *lsn && (keeps_tombstones || !payload.is_empty()),
                None => true,
            };
            if !stays {
                self.times.remove(lsn);
                self.keys.remove(lsn);
            }
            stays
        });
        let gone = (before - self.model.len()) as u64;
        assert_eq!(report.dropped_records, gone);
    }

    fn truncate_after(&mut self, end: u64) {
        let truncated = self.store.as_mut().unwrap().truncate_after(Lsn(end));
        assert_eq!(truncated.is_ok(), (self.first..=self.end).contains(&end));
        if truncated.is_ok() {
            self.end = end;
            self.model.split_off(&end);
            self.times.split_off(&end);
            self.keys.split_off(&end);
        }
    }

    fn check_read(&self, lsn: u64) {
        let record = self.store().read(Lsn(lsn));
        if lsn < self.first {
            let first = Lsn(self.first);
            let is_told =
                matches!(record, Err(ReadError::Truncated { first: f, .. }) if f == first);
            assert!(is_told, "{lsn} is in front of {first}: {record:?}");
            return;
        }
        let record = record.unwrap();
        let mut lookup = self.store().lookup();
        assert_eq!(
            lookup.read(Lsn(lsn)).unwrap(),
            record.as_ref().map(Record::lent)
        );
        let found = record.map(Record::into_payload);
        assert_eq!(found.as_deref(), self.model.get(&lsn).map(Vec::as_slice));
    }

    fn check_range(&self, lsns: Range<u64>) {
        let mut found = self
            .store()
            .range(Lsn(lsns.start)..Lsn(lsns.end))
            .peekable();
        if lsns.start < self.first.min(lsns.end) {
            let first = found.next_if(Result::is_err);
            assert!(first.is_some(), "{lsns:?} is in front of {}", self.first);
        }
        let found: Vec<_> = found.map(Result::unwrap).collect();
        let start = lsns.start.min(lsns.end);
        let expected: Vec<_> = self.model.range(start..lsns.end).collect();
        self.check_records(&found, expected);
        let mut lent = self.store().range(Lsn(lsns.start)..Lsn(lsns.end));
        for record in found {
            // Of what lies in front of the first it is told once.
            let next = lent.next_ref().map(|next| next.map(|next| next.copied()));
            let next = match next {
                Some(Err(_)) => lent.next_ref().map(|next| next.map(|next| next.copied())),
                next => next,
            };
            assert_eq!(next.unwrap().unwrap(), record);
        }
        let found = self.store().range(Lsn(lsns.start)..Lsn(lsns.end)).rev();
        // The last one may say that it goes no further.
        let mut found: Vec<_> = found.map_while(Result::ok).collect();
        found.reverse();
        self.check_records(&found, self.model.range(start..lsns.end).collect());
    }

    fn check_records(&self, found: &[Record], expected: Vec<(&u64, &Vec<u8>)>) {
        assert_eq!(found.len(), expected.len());
        for (record, (lsn, payload)) in found.iter().zip(expected) {
            assert_eq!(record.lsn(), Lsn(*lsn));
            assert_eq!(record.payload(), payload);
            assert_eq!(record.timestamp(), self.times.get(lsn).copied());
            assert_eq!(record.key(), self.keys.get(lsn).map(<[u8; 1]>::as_slice));
        }
    }

    fn check_slice(&self, start: u64, limit: usize) {
        if start < self.first {
            let told = self.store().read_slice(Lsn(start), limit.max(1));
            assert!(matches!(told, Err(ReadError::Truncated { .. })), "{told:?}");
            return;
        }
        let slice = self.store().read_slice(Lsn(start), limit).unwrap();
        self.check_records(
            &slice.records,
            self.model.range(start..).take(limit).collect(),
        );
        let last = slice.records.last().map(|last| last.lsn().0 + 1);
        let next = match slice.records.len() == limit {
            true => last.unwrap_or(start),
            false => self.end,
        };
        assert_eq!(slice.next_lsn, Lsn(next.min(self.end)));
    }

    fn check_find(&self, moment: Timestamp) {
        let mut times = self.times.iter();
        let expected = times.find(|(_, timestamp)| **timestamp >= moment);
        let found = self.store().lsn_at_or_after(moment).unwrap();
        assert_eq!(found, expected.map(|(lsn, _)| Lsn(*lsn)), "{moment}");
    }

    fn check_all(&self) {
        self.check_range(0..self.end + 1);
        for lsn in 0..=self.end {
            self.check_read(lsn);
        }
        for moment in 0..=MOMENTS {
            self.check_find(Timestamp(moment));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn reads_across_cold_and_hot_equal_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let mut pair = Pair::new(directory.path());
        for step in steps {
            pair.take(step);
        }
        pair.check_all();

        pair.store().flush().unwrap();
        let expected: Vec<_> = pair.model.values().cloned().collect();
        let reader = Reader::open(directory.path()).unwrap();
        let found: Vec<_> = reader.iter().map(|record| record.unwrap().into_payload()).collect();
        prop_assert_eq!(&found, &expected, "a reader sees the same");
        pair.store.take().unwrap().close().unwrap();
        let report = Reader::open(directory.path()).unwrap().verify();
        prop_assert!(report.is_sound(), "{:?}", report.damage);
        prop_assert_eq!(report.records, expected.len() as u64);
        prop_assert_eq!(report.voids, pair.end - pair.first - report.records);
    }
}
