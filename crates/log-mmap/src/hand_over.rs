//! Where a record is found while its segment changes from the active one to a
//! mapped one.
//!
//! The write-ahead log lists a segment as sealed before it lets go of its
//! memory. So who looks in the catalog, then in memory, and finds a record in
//! neither, has met the hand-over between the two looks, and a second look at
//! the refreshed catalog finds it (`INV-M1`). If it does not, the record lies in
//! front of the first one.

use log_wal::{Iter, Lsn, Wal};

use crate::catalog::{Catalog, Sealed};

/// A log whose newest records are in memory.
pub(crate) trait Live: Sealed {
    /// A way to read on from a record in memory.
    type Hot;

    /// The way to record `lsn`, if it is in memory.
    fn hot(&self, lsn: Lsn) -> Option<Self::Hot>;
}

impl Live for Wal {
    type Hot = Iter;

    fn hot(&self, lsn: Lsn) -> Option<Iter> {
        self.iter_hot(lsn)
    }
}

/// Where a record lies.
#[derive(Debug)]
pub(crate) enum Whereabouts<C, H> {
    /// In a sealed segment.
    Cold(C),
    /// In memory.
    Hot(H),
    /// In front of the first record, unless the catalog could not be read.
    Gone,
}

/// Finds record `lsn` of `log`, which is published. `look` is how the catalog
/// is looked at.
pub(crate) fn find<L: Live, C>(
    catalog: &Catalog,
    log: &L,
    look: impl Fn(&Catalog) -> Option<C>,
    lsn: Lsn,
) -> Whereabouts<C, L::Hot> {
    if let Some(found) = look(catalog) {
        return Whereabouts::Cold(found);
    }
    if let Some(hot) = log.hot(lsn) {
        return Whereabouts::Hot(hot);
    }
    catalog.refresh(log);
    look(catalog).map_or(Whereabouts::Gone, Whereabouts::Cold)
}

/// Every interleaving of sealing, publishing, forgetting, mapping and dropping
/// with a reader. The catalog is the real one; the log beneath keeps the order
/// that it is told to: listed as sealed first, out of memory second.
#[cfg(all(test, log_loom))]
mod loom {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use log_wal::format::SegmentName;
    use log_wal::{Lsn, SealedSegment};
    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::{Live, Whereabouts, find};
    use crate::catalog::{Catalog, Sealed};
    use crate::frames::made;
    use crate::options::Checks;
    use crate::segment::IndexPolicy;

    const POLICY: IndexPolicy = IndexPolicy {
        interval_bytes: 0,
        saves: false,
        checks: Checks::EachRead,
    };

    /// Segments of one record each, with real files.
    struct Files(tempfile::TempDir);

    impl Files {
        fn new(segments: u64) -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            (0..segments).for_each(|lsn| files.put(lsn, bytes_of(lsn)));
            files
        }

        /// Puts a file in the place of that of a segment, as
        /// `Wal::compact_sealed` does it.
        fn put(&self, lsn: u64, bytes: Vec<u8>) {
            let beside = self.0.path().join("new");
            std::fs::write(&beside, bytes).unwrap();
            std::fs::rename(beside, path(self.0.path(), lsn)).unwrap();
        }

        fn segment(&self, lsn: u64) -> SealedSegment {
            let path = path(self.0.path(), lsn);
            let file_bytes = std::fs::metadata(&path).unwrap().len();
            SealedSegment {
                name: SegmentName {
                    base: Lsn(lsn),
                    id: lsn + 1,
                },
                path,
                salt: made::SALT,
                log_uuid: [0; 16],
                base: Lsn(lsn),
                end: Lsn(lsn + 1),
                end_position: file_bytes,
                file_bytes,
            }
        }
    }

    fn bytes_of(lsn: u64) -> Vec<u8> {
        made::segment(Lsn(lsn), &[&lsn.to_le_bytes()])
    }

    fn path(directory: &Path, lsn: u64) -> PathBuf {
        directory.join(format!("{lsn}.log"))
    }

    /// A log of which all records are published.
    struct Log {
        /// Records from here on are in memory.
        memory_first: AtomicU64,
        sealed: Mutex<Vec<SealedSegment>>,
        changes: AtomicU64,
    }

    impl Log {
        fn new(sealed: Vec<SealedSegment>) -> Self {
            Self {
                memory_first: AtomicU64::new(sealed.len() as u64),
                changes: AtomicU64::new(sealed.len() as u64),
                sealed: Mutex::new(sealed),
            }
        }

        /// As `Disk::finish_segment` does it.
        fn seal(&self, segment: SealedSegment) {
            let end = segment.end.0;
            self.sealed.lock().unwrap().push(segment);
            self.changes.fetch_add(1, Ordering::Release);
            self.memory_first.store(end, Ordering::Release);
        }

        /// As `Wal::checkpoint` does it.
        fn drop_first(&self) {
            self.sealed.lock().unwrap().remove(0);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    impl Sealed for Log {
        fn sealed_count(&self) -> u64 {
            self.changes.load(Ordering::Acquire)
        }

        fn sealed_from(&self, lsn: Lsn) -> Vec<SealedSegment> {
            let sealed = self.sealed.lock().unwrap();
            sealed.iter().filter(|it| it.base >= lsn).cloned().collect()
        }
    }

    impl Live for Log {
        type Hot = ();

        fn hot(&self, lsn: Lsn) -> Option<()> {
            (lsn.0 >= self.memory_first.load(Ordering::Acquire)).then_some(())
        }
    }

    /// Explores with at most `preemptions` of them: a change of the catalog
    /// takes some hundred steps, all of which are explored for themselves in
    /// log-core.
    fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(model);
    }

    /// Where the record lies, without mapping it.
    fn whereabouts(catalog: &Catalog, log: &Log, lsn: u64) -> Whereabouts<u64, ()> {
        let look = |catalog: &Catalog| catalog.id_of_segment(Lsn(lsn));
        find(catalog, log, look, Lsn(lsn))
    }

    #[test]
    fn a_record_is_found_while_its_segment_is_handed_over() {
        let files = Arc::new(Files::new(2));
        explore(3, move || {
            let log = Arc::new(Log::new(Vec::new()));
            let catalog = Catalog::new(Lsn(0), &*log, POLICY);
            let sealer = {
                let (log, files) = (Arc::clone(&log), Arc::clone(&files));
                thread::spawn(move || {
                    log.seal(files.segment(0));
                    log.seal(files.segment(1));
                })
            };
            for lsn in [0, 1] {
                match whereabouts(&catalog, &log, lsn) {
                    Whereabouts::Cold(id) => assert_eq!(id, lsn + 1),
                    Whereabouts::Hot(()) => {}
                    Whereabouts::Gone => panic!("INV-M1: record {lsn} is not found"),
                }
            }
            sealer.join().unwrap();
        });
    }

    #[test]
    fn a_record_is_found_unless_it_was_dropped() {
        let files = Arc::new(Files::new(2));
        explore(2, move || {
            let log = Arc::new(Log::new(vec![files.segment(0), files.segment(1)]));
            let catalog = Arc::new(Catalog::new(Lsn(0), &*log, POLICY));
            let dropper = {
                let (log, catalog) = (Arc::clone(&log), Arc::clone(&catalog));
                thread::spawn(move || {
                    // As `Store::drop_before` does it.
                    assert_eq!(catalog.drop_before(Lsn(1)).0.len(), 1);
                    log.drop_first();
                })
            };
            // If it is gone, the log beneath says where it begins.
            let first = whereabouts(&catalog, &log, 0);
            assert!(matches!(first, Whereabouts::Cold(1) | Whereabouts::Gone));
            let second = whereabouts(&catalog, &log, 1);
            assert!(matches!(second, Whereabouts::Cold(2)), "INV-M1: it stays");
            dropper.join().unwrap();
            catalog.refresh(&*log);
            assert_eq!(catalog.id_of_segment(Lsn(0)), None, "INV-M4: for good");
        });
    }

    #[test]
    fn a_mapping_that_makes_room_for_another_is_found_again() {
        let files = Arc::new(Files::new(2));
        explore(2, move || {
            let log = Log::new(vec![files.segment(0), files.segment(1)]);
            let catalog = Catalog::new(Lsn(0), &log, POLICY).bounded(1);
            let catalog = Arc::new(catalog);
            let other = {
                let catalog = Arc::clone(&catalog);
                thread::spawn(move || {
                    let mut walk = catalog.walk_from(Lsn(1)).unwrap().unwrap();
                    assert_eq!(walk.step().unwrap().unwrap().lsn(), Lsn(1));
                })
            };
            let mut walk = catalog.walk_from(Lsn(0)).unwrap().unwrap();
            let record = walk.step().unwrap().unwrap();
            assert_eq!(record.payload(), 0_u64.to_le_bytes(), "INV-M5");
            other.join().unwrap();
            assert_eq!(catalog.mapped_count(), 1);
        });
    }

    #[test]
    fn a_segment_that_is_compacted_is_found_old_or_new_and_then_new() {
        let files = Arc::new(Files::new(1));
        explore(2, move || {
            files.put(0, bytes_of(0));
            let log = Log::new(vec![files.segment(0)]);
            let catalog = Arc::new(Catalog::new(Lsn(0), &log, POLICY));
            let compactor = {
                let (files, catalog) = (Arc::clone(&files), Arc::clone(&catalog));
                thread::spawn(move || {
                    files.put(0, made::without_first(bytes_of(0), Lsn(0)));
                    catalog.renew(&files.segment(0));
                })
            };
            let held = match catalog.record(Lsn(0)) {
                Some(Ok(held)) => held,
                other => panic!("INV-M1: {other:?}"),
            };
            compactor.join().unwrap();
            let found = catalog.record(Lsn(0));
            assert!(matches!(found, Some(Ok(None))), "the new one: {found:?}");
            if let Some(record) = held {
                assert_eq!(record.payload(), 0_u64.to_le_bytes(), "INV-M5");
            }
        });
    }
}
