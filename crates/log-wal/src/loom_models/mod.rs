//! Models of a whole log: appends, group commit, rotation, reading and
//! poisoning, on segments of a record or two. Each states one rule, and loom
//! tries every interleaving of the threads, and every value that a load may
//! see, up to a bound on preemptions.
//!
//! The storage takes each call as one step, and remembers what was synced. So
//! what is explored is the code that ships, but for the storage.
//!
//! One of them has so many steps that three preemptions are too many to try: it
//! goes up to two.

mod disk;

use std::sync::Arc;

use log_core::Lsn;
use loom::thread;

use crate::error::ReadError;
use crate::format::{FIRST_POSITION, SEAL_BYTES};
use crate::options::{Level, WalOptions};
use crate::record::Record;
use crate::wal::Wal;
use disk::{Fails, LoomDisk};

/// A header, and a payload of eight bytes.
const CELL_BYTES: u64 = 24;

/// Explores a model, up to the bound that `LOOM_MAX_PREEMPTIONS` sets.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_up_to(usize::MAX, model);
}

/// The same with at most so many preemptions.
fn explore_up_to(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    let bound = builder.preemption_bound.unwrap_or(preemptions_max);
    builder.preemption_bound = Some(bound.min(preemptions_max));
    builder.check(model);
}

/// A log whose first segment has room for this many records, and the later
/// ones for many.
struct Scene {
    wal: Wal,
    disk: LoomDisk,
}

fn scene(first_segment_records: u64) -> Arc<Scene> {
    let disk = LoomDisk::default();
    let cells_bytes = first_segment_records * CELL_BYTES;
    let mut options = WalOptions::default();
    options.segment_bytes = FIRST_POSITION + cells_bytes + SEAL_BYTES as u64;
    let wal = Wal::with_storage(Arc::new(disk.clone()), options).unwrap();
    Arc::new(Scene { wal, disk })
}

fn spawn<R: 'static>(
    scene: &Arc<Scene>,
    run: impl FnOnce(&Scene) -> R + 'static,
) -> thread::JoinHandle<R> {
    let scene = Arc::clone(scene);
    thread::spawn(move || run(&scene))
}

/// What record `number` says, if records say in which order they come.
fn payload(number: u64) -> [u8; 8] {
    (number + 0x5354_5241_5441_0000).to_be_bytes()
}

/// A record of which a segment has room for one.
fn long(number: u64) -> Vec<u8> {
    [payload(number).as_slice(), &[0; 2040]].concat()
}

impl Scene {
    /// Appends records that say their numbers, with nobody else at it.
    fn append_all(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            assert_eq!(self.wal.append(&payload(number)).unwrap(), Lsn(number));
        }
    }

    /// All records that an iterator yields from `first` on.
    fn read_from(&self, first: u64) -> Vec<[u8; 8]> {
        let records = self.wal.iter_from(Lsn(first));
        records.map(said).collect()
    }
}

fn said(record: Result<Record, ReadError>) -> [u8; 8] {
    record.unwrap().payload().try_into().unwrap()
}

// ---- rotation: memory first, files second

#[test]
fn an_iterator_finds_a_record_while_its_segment_is_sealed() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..2);
        let leader = spawn(&scene, |scene| scene.wal.flush().map(drop));
        assert_eq!(scene.read_from(0), [payload(0), payload(1)], "INV-C1");
        leader.join().unwrap().unwrap();
        assert_eq!(scene.wal.sealed_count(), 1);
    });
}

#[test]
fn an_iterator_that_stands_in_memory_goes_on_in_the_files() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..1);
        let mut records = scene.wal.iter();
        let first = records.next().unwrap().unwrap();
        // While the iterator stands in the first segment, two leave memory.
        for number in 1..3 {
            scene.wal.append(&long(number)).unwrap();
        }
        let leader = spawn(&scene, |scene| scene.wal.flush().map(drop));
        for number in 1..3 {
            let record = records.next().expect("it is published").unwrap();
            assert_eq!(record.payload(), long(number), "INV-C1");
        }
        assert_eq!(first.payload(), payload(0), "INV-C4");
        leader.join().unwrap().unwrap();
        assert_eq!(scene.wal.sealed_count(), 2);
    });
}

#[test]
fn a_record_is_read_by_its_number_while_its_segment_is_sealed() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..2);
        let leader = spawn(&scene, |scene| scene.wal.flush().map(drop));
        let record = scene.wal.read(Lsn(0)).unwrap().expect("it is published");
        assert_eq!(record.payload(), payload(0), "INV-C2");
        leader.join().unwrap().unwrap();
    });
}

#[test]
fn the_first_record_stays_the_first_while_its_segment_is_sealed() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..2);
        let leader = spawn(&scene, |scene| scene.wal.flush().map(drop));
        assert_eq!(scene.wal.first_lsn(), Lsn(0));
        leader.join().unwrap().unwrap();
        assert_eq!(scene.wal.first_lsn(), Lsn(0));
    });
}

#[test]
fn who_sees_a_change_of_the_catalog_finds_the_segment() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..2);
        let leader = spawn(&scene, |scene| scene.wal.flush().map(drop));
        let seen = scene.wal.sealed_count();
        assert!(scene.wal.sealed().len() as u64 >= seen);
        leader.join().unwrap().unwrap();
    });
}

#[test]
fn a_reader_of_a_segment_that_is_dropped_gets_it_whole_or_hears_of_it() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..2);
        scene.wal.flush().unwrap();
        let dropper = spawn(&scene, |scene| scene.wal.checkpoint(Lsn(1)).unwrap());
        match scene.wal.read(Lsn(0)) {
            Ok(record) => assert_eq!(record.unwrap().payload(), payload(0), "INV-M2"),
            Err(ReadError::Truncated { first, .. }) => assert_eq!(first, Lsn(1)),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(dropper.join().unwrap(), 1);
    });
}

#[test]
fn a_file_that_is_used_again_is_none_that_somebody_reads() {
    explore(|| {
        let scene = scene(1);
        // All but the first segment have room for one of these, and their files
        // are equally long: so the second can become the fourth.
        for number in 0..3 {
            scene.wal.append(&long(number)).unwrap();
        }
        scene.wal.flush().unwrap();
        let reuser = spawn(&scene, |scene| {
            assert!(scene.wal.checkpoint(Lsn(2)).unwrap() > 0);
            scene.wal.append(&long(3)).unwrap();
            scene.wal.flush().map(drop)
        });
        match scene.wal.read(Lsn(1)) {
            Ok(record) => assert_eq!(record.unwrap().payload(), long(1), "INV-M2"),
            Err(ReadError::Truncated { first, .. }) => assert_eq!(first, Lsn(2)),
            Err(error) => panic!("{error}"),
        }
        reuser.join().unwrap().unwrap();
        assert_eq!(scene.wal.read(Lsn(3)).unwrap().unwrap().payload(), long(3));
    });
}

#[test]
fn a_segment_is_made_ahead_while_the_open_one_ends() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..1);
        let maker = spawn(&scene, |scene| scene.wal.prepare().map(drop));
        scene.append_all(1..2);
        scene.wal.flush().unwrap();
        maker.join().unwrap().unwrap();
        assert_eq!(scene.wal.sealed_count(), 1);
        assert_eq!(scene.read_from(0), [payload(0), payload(1)], "INV-C1");
    });
}

#[test]
fn a_record_is_there_or_not_yet_and_never_gone() {
    explore(|| {
        let scene = scene(4);
        let appender = spawn(&scene, |scene| scene.append_all(0..2));
        // Beyond the end of what is in memory, for a while.
        if let Some(record) = scene.wal.read(Lsn(1)).unwrap() {
            assert_eq!(record.payload(), payload(1), "INV-C2");
        }
        assert!(scene.read_from(1).len() <= 1);
        appender.join().unwrap();
        assert_eq!(scene.read_from(1), [payload(1)], "INV-C1");
    });
}

// ---- append and group commit

#[test]
fn two_durable_appends_are_on_disk_when_they_return() {
    explore(|| {
        let scene = scene(4);
        let append = |number: u64| {
            move |scene: &Scene| {
                let lsn = scene.wal.append_durable(&payload(number)).unwrap();
                assert!(scene.disk.is_durable(&payload(number)), "INV-W1");
                lsn
            }
        };
        let other = spawn(&scene, append(7));
        let mine = append(8)(&scene);
        let other = other.join().unwrap();
        let mut expected = [(mine, payload(8)), (other, payload(7))];
        expected.sort_unstable();
        assert_eq!(expected.map(|(lsn, _)| lsn), [Lsn(0), Lsn(1)], "INV-C1");
        assert_eq!(scene.read_from(0), expected.map(|(_, payload)| payload));
    });
}

#[test]
fn a_reader_follows_an_appender_that_syncs() {
    // Three take minutes.
    explore_up_to(2, || {
        let scene = scene(1);
        let appender = spawn(&scene, |scene| {
            scene.append_all(0..1);
            scene.wal.sync().unwrap();
            assert!(scene.disk.is_durable(&payload(0)), "INV-W1");
            // In the next segment, behind a mark.
            scene.append_all(1..2);
        });
        let mut records = scene.wal.iter();
        let mut read = Vec::new();
        for _ in 0..2 {
            read.extend(records.next().map(said));
        }
        let expected = [payload(0), payload(1)];
        assert_eq!(read, expected[..read.len()], "INV-C1, INV-C2");
        appender.join().unwrap();
        read.extend(records.map(said));
        assert_eq!(read, expected, "INV-C1");
    });
}

#[test]
fn an_append_that_rolls_beside_a_sync_is_in_the_next_segment() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..1);
        let roller = spawn(&scene, |scene| scene.append_all(1..2));
        let synced = scene.wal.sync().unwrap();
        assert!(scene.disk.is_durable(&payload(0)), "INV-W1");
        assert!(synced >= Lsn(1), "INV-F1");
        assert!(
            synced < Lsn(2) || scene.disk.is_durable(&payload(1)),
            "INV-W1"
        );
        roller.join().unwrap();
        assert_eq!(scene.read_from(0), [payload(0), payload(1)], "INV-C1");
    });
}

// ---- append and poisoning

#[test]
fn nothing_is_acknowledged_as_durable_beside_a_sync_that_fails() {
    explore(|| {
        let scene = scene(4);
        scene.disk.fail_next(Fails::Sync);
        let append = |number: u64| {
            move |scene: &Scene| {
                let acknowledged = scene.wal.append_durable(&payload(number));
                assert!(acknowledged.is_err(), "INV-W6");
            }
        };
        let other = spawn(&scene, append(7));
        append(8)(&scene);
        other.join().unwrap();
        assert!(scene.wal.append(&payload(9)).is_err(), "INV-W6");
        assert_eq!(scene.wal.watermarks().durable_end, Lsn(0), "INV-W6");
        assert_eq!(scene.disk.calls_after_failure(), 0, "INV-W6: no retry");
    });
}

#[test]
fn an_append_beside_a_write_that_fails_is_visible_and_never_written() {
    explore(|| {
        let scene = scene(4);
        scene.disk.fail_next(Fails::Write);
        let appender = spawn(&scene, |scene| {
            let appended = scene.wal.append(&payload(7));
            if let Ok(lsn) = appended {
                let written = scene.wal.commit(Lsn(lsn.0 + 1), Level::Written);
                assert!(written.is_err(), "INV-W6");
                assert_eq!(scene.read_from(lsn.0)[0], payload(7), "INV-C7");
            }
        });
        let written = scene.wal.append_to(Level::Written, &payload(8));
        assert!(written.is_err(), "INV-W6");
        appender.join().unwrap();
        assert_eq!(scene.wal.watermarks().written_end, Lsn(0), "INV-W6");
        assert_eq!(scene.disk.calls_after_failure(), 0, "INV-W6: no retry");
    });
}

#[test]
fn an_append_that_rolls_beside_a_failing_seal_loses_no_reader() {
    explore(|| {
        let scene = scene(1);
        scene.append_all(0..1);
        scene.disk.fail_next(Fails::Sync);
        let roller = spawn(&scene, |scene| scene.wal.append(&payload(1)).is_ok());
        assert!(scene.wal.sync().is_err(), "INV-W6");
        let appended = roller.join().unwrap();
        let expected = [payload(0), payload(1)];
        let readable = 1 + usize::from(appended);
        assert_eq!(scene.read_from(0), expected[..readable], "INV-C4");
        assert_eq!(scene.wal.watermarks().durable_end, Lsn(0), "INV-W6");
        assert_eq!(scene.disk.calls_after_failure(), 0, "INV-W6: no retry");
    });
}
