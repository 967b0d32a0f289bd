//! Whatever is done to a log, reading it gives what a `Vec` would.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::support::{index_paths, options};
use log_mmap::{Lsn, Reader, Record, Store};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Batch(Vec<usize>),
    Rotate,
    Flush,
    Sync,
    Index,
    Reopen {
        index_interval_bytes: u32,
    },
    /// An index file loses its end, or everything.
    DamageIndex {
        which: prop::sample::Index,
        kept: prop::sample::Index,
    },
    Read(prop::sample::Index),
    ReadRange(prop::sample::Index, prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![8 => 0..300_usize, 2 => 300..6000_usize];
    let interval = prop_oneof![Just(0), Just(300), Just(4096)];
    prop_oneof![
        8 => length.clone().prop_map(Step::Append),
        3 => prop::collection::vec(length, 0..6).prop_map(Step::Batch),
        2 => Just(Step::Rotate),
        1 => Just(Step::Flush),
        1 => Just(Step::Sync),
        1 => Just(Step::Index),
        1 => interval.prop_map(|index_interval_bytes| Step::Reopen { index_interval_bytes }),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(which, kept)| Step::DamageIndex { which, kept }),
        4 => any::<prop::sample::Index>().prop_map(Step::Read),
        2 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(start, end)| Step::ReadRange(start, end)),
    ]
}

/// A log, and what should be in it.
struct Pair<'a> {
    directory: &'a Path,
    store: Option<Store>,
    model: Vec<Vec<u8>>,
}

impl Pair<'_> {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn new_payload(&mut self, length: usize) -> Vec<u8> {
        let number = self.model.len();
        let payload: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
        self.model.push(payload.clone());
        payload
    }

    fn take(&mut self, step: Step) {
        let end = Lsn(self.model.len() as u64);
        match step {
            Step::Append(length) => {
                let payload = self.new_payload(length);
                assert_eq!(self.store().append(&payload).unwrap(), end);
            }
            Step::Batch(lengths) => {
                let payloads: Vec<_> = lengths.iter().map(|l| self.new_payload(*l)).collect();
                let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
                let lsns = self.store().append_batch(&payloads).unwrap();
                assert_eq!(lsns, end..Lsn(self.model.len() as u64));
            }
            Step::Rotate => drop(self.store().rotate().unwrap()),
            Step::Flush => assert_eq!(self.store().flush().unwrap(), end),
            Step::Sync => assert_eq!(self.store().sync().unwrap(), end),
            Step::Index => drop(self.store().index_sealed().unwrap()),
            Step::Reopen {
                index_interval_bytes,
            } => {
                self.store.take().unwrap().close().unwrap();
                let options = options(index_interval_bytes);
                self.store = Some(Store::open(self.directory, options).unwrap());
            }
            Step::DamageIndex { which, kept } => self.damage_index(which, kept),
            Step::Read(at) => self.check_read(at.index(self.model.len() + 1)),
            Step::ReadRange(start, end) => {
                let limit = self.model.len() + 2;
                self.check_range(start.index(limit)..end.index(limit));
            }
        }
    }

    fn damage_index(&self, which: prop::sample::Index, kept: prop::sample::Index) {
        let indexes = index_paths(self.directory);
        if indexes.is_empty() {
            return;
        }
        let path = which.get(&indexes);
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..kept.index(bytes.len() + 1)]).unwrap();
    }

    fn check_read(&self, lsn: usize) {
        let record = self.store().read(Lsn(lsn as u64)).unwrap();
        let expected = self.model.get(lsn);
        assert_eq!(
            record.map(Record::into_payload).as_deref(),
            expected.map(Vec::as_slice)
        );
    }

    fn check_range(&self, lsns: Range<usize>) {
        let found = self
            .store()
            .range(Lsn(lsns.start as u64)..Lsn(lsns.end as u64));
        let found: Vec<_> = found.map(Result::unwrap).collect();
        let start = lsns.start.min(self.model.len());
        let end = lsns.end.clamp(start, self.model.len());
        assert_eq!(found.len(), end - start, "{lsns:?}");
        for (record, number) in found.iter().zip(start..) {
            assert_eq!(record.lsn(), Lsn(number as u64));
            assert_eq!(record.payload(), self.model[number]);
        }
    }

    fn check_all(&self) {
        self.check_range(0..self.model.len() + 1);
        for lsn in 0..=self.model.len() {
            self.check_read(lsn);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn reads_across_cold_and_hot_equal_a_vec(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options(300)).unwrap();
        let mut pair = Pair { directory: directory.path(), store: Some(store), model: Vec::new() };
        for step in steps {
            pair.take(step);
        }
        pair.check_all();

        pair.store().flush().unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        let found: Vec<_> = reader.iter().map(|record| record.unwrap().into_payload()).collect();
        prop_assert_eq!(&found, &pair.model, "a reader sees the same");
        pair.store.take().unwrap().close().unwrap();
        let report = Reader::open(directory.path()).unwrap().verify();
        prop_assert!(report.is_sound(), "{:?}", report.damage);
        prop_assert_eq!(report.records, pair.model.len() as u64);
    }
}
