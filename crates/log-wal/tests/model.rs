//! A log behaves as a vector of records does, whatever is done to it.

mod common;

use std::sync::Arc;

use common::mapped::MappedMemory;
use common::{payloads, with_spares};
use log_wal::{Lsn, MemStorage, ReadError, Storage, Wal};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Batch(Vec<Vec<u8>>),
    Flush,
    Sync,
    Rotate,
    Prepare,
    /// Drops what lies before, as far as whole segments go.
    Checkpoint {
        before: u16,
    },
    Read {
        from: u16,
    },
    Follow,
    Reopen,
    /// The process dies: what was not written is gone.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = || vec(any::<u8>(), 0..600);
    vec(
        prop_oneof![
            8 => record().prop_map(Step::Append),
            1 => vec(any::<u8>(), 15_000..40_000).prop_map(Step::Append),
            2 => vec(record(), 0..12).prop_map(Step::Batch),
            2 => Just(Step::Flush),
            2 => Just(Step::Sync),
            1 => Just(Step::Rotate),
            1 => Just(Step::Prepare),
            1 => any::<u16>().prop_map(|before| Step::Checkpoint { before }),
            2 => any::<u16>().prop_map(|from| Step::Read { from }),
            2 => Just(Step::Follow),
            1 => Just(Step::Reopen),
            1 => Just(Step::Kill),
        ],
        1..80,
    )
}

/// A storage that a process can die over.
trait Mortal: Storage + Clone + Default {
    fn survivor(&self) -> Self;
}

impl Mortal for MemStorage {
    fn survivor(&self) -> Self {
        Self::with_files(self.files())
    }
}

impl Mortal for MappedMemory {
    fn survivor(&self) -> Self {
        Self::with_files(self.files())
    }
}

struct Run<S> {
    storage: S,
    wal: Option<Wal>,
    model: Vec<Vec<u8>>,
    /// Follows the log from its begin, across everything but openings.
    follower: Option<log_wal::Iter>,
    followed: usize,
}

impl<S: Mortal> Run<S> {
    fn new() -> Self {
        let storage = S::default();
        let mut run = Self {
            storage,
            wal: None,
            model: Vec::new(),
            follower: None,
            followed: 0,
        };
        run.open();
        run
    }

    fn open(&mut self) {
        let wal = Wal::with_storage(Arc::new(self.storage.clone()), with_spares()).unwrap();
        self.follower = Some(wal.iter());
        self.followed = wal.first_lsn().0 as usize;
        self.wal = Some(wal);
    }

    fn play(mut self, steps: Vec<Step>) {
        for step in steps {
            self.step(step);
        }
        self.follow();
        self.check_all();
    }

    fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(record) => {
                let lsn = self.wal().append(&record).unwrap();
                assert_eq!(lsn.0, self.model.len() as u64, "INV-C1");
                self.model.push(record);
            }
            Step::Batch(records) => {
                let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
                let lsns = self.wal().append_batch(&slices).unwrap();
                assert_eq!(lsns.start.0, self.model.len() as u64, "INV-C1");
                self.model.extend(records);
                assert_eq!(lsns.end.0, self.model.len() as u64, "INV-C1");
            }
            Step::Flush => assert_eq!(self.wal().flush().unwrap().0, self.model.len() as u64),
            Step::Sync => assert_eq!(self.wal().sync().unwrap().0, self.model.len() as u64),
            Step::Rotate => drop(self.wal().rotate().unwrap()),
            Step::Prepare => drop(self.wal().prepare().unwrap()),
            Step::Checkpoint { before } => {
                let before = u64::from(before) % (self.model.len() as u64 + 1);
                let first = self.wal().first_lsn().0;
                self.wal().checkpoint(Lsn(before)).unwrap();
                assert!(self.wal().first_lsn().0 <= before.max(first));
            }
            Step::Read { from } => {
                let first = self.wal().first_lsn().0 as usize;
                let from = first + from as usize % (self.model.len() + 1 - first);
                let found = payloads(self.wal().iter_from(Lsn(from as u64)));
                assert_eq!(found, self.model[from..]);
            }
            Step::Follow => self.follow(),
            Step::Reopen => {
                self.wal.take().unwrap().close().unwrap();
                self.open();
                self.check_all();
            }
            Step::Kill => self.kill(),
        }
    }

    fn follow(&mut self) {
        let follower = self.follower.as_mut().unwrap();
        for record in follower.by_ref() {
            let record = match record {
                Err(ReadError::Truncated { first, .. }) => {
                    self.followed = first.0 as usize;
                    continue;
                }
                other => other.unwrap(),
            };
            assert_eq!(record.lsn().0, self.followed as u64, "INV-C1");
            assert_eq!(record.payload(), self.model[self.followed]);
            self.followed += 1;
        }
        assert_eq!(self.followed, self.model.len(), "it follows to the end");
    }

    fn kill(&mut self) {
        let survivor = self.storage.survivor();
        let written_end = self.wal().watermarks().written_end.0 as usize;
        self.wal = None;
        self.storage = survivor;
        self.model.truncate(written_end);
        self.open();
        self.check_all();
    }

    fn check_all(&self) {
        assert_eq!(self.wal().next_lsn().0, self.model.len() as u64);
        let first = self.wal().first_lsn().0 as usize;
        assert_eq!(payloads(self.wal().iter()), self.model[first..], "INV-W3");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_behaves_as_a_vector_does(steps in steps()) {
        Run::<MemStorage>::new().play(steps);
    }

    #[test]
    fn a_log_in_mapped_memory_does_too(steps in steps()) {
        Run::<MappedMemory>::new().play(steps);
    }
}
