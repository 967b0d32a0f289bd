//! What each verb of the log promises.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{append, count_of_prefix, payload, payloads, small};
use crate::support::{TestStorage, open};
use log_wal::{
    AppendError, FileStorage, Level, Lsn, OpenError, ReadError, SegmentState, Storage, TailState,
    Verify, Wal, WalOptions, WalReader,
};

#[test]
fn numbers_are_dense_across_segments_and_openings() {
    let storage = TestStorage::new();
    for opening in 0..4 {
        let wal = open(&storage);
        assert_eq!(wal.next_lsn(), Lsn(opening * 300), "INV-C1");
        append(&wal, opening * 300, opening * 300 + 300);
        assert!(wal.segments().len() > 1, "several segments");
        wal.close().unwrap();
    }
    assert_eq!(count_of_prefix(open(&storage).iter()), 1200);
}

#[test]
fn an_empty_log_has_no_records_and_opens_again() {
    let storage = TestStorage::new();
    for _ in 0..2 {
        let wal = open(&storage);
        assert_eq!((wal.first_lsn(), wal.next_lsn()), (Lsn(0), Lsn(0)));
        assert!(wal.iter().next().is_none());
        assert_eq!(wal.report().tail, TailState::Clean);
    }
}

#[test]
fn opening_says_whether_it_made_the_log() {
    let storage = TestStorage::new();
    assert!(open(&storage).report().created);
    assert!(!open(&storage).report().created);
}

#[test]
fn each_level_includes_the_ones_before_it() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 3);
    let marks = wal.watermarks();
    // At once, where the memory is the file.
    let written = Lsn(if storage.is_mapped() { 3 } else { 0 });
    assert_eq!((marks.published_end, marks.written_end), (Lsn(3), written));
    assert_eq!(wal.flush().unwrap(), Lsn(3));
    append(&wal, 3, 5);
    assert_eq!(wal.sync().unwrap(), Lsn(5), "INV-F1");
    let marks = wal.watermarks();
    assert_eq!(
        (marks.reserved_end, marks.written_end, marks.durable_end),
        (Lsn(5), Lsn(5), Lsn(5))
    );
}

#[test]
fn records_of_every_length_come_back() {
    let storage = TestStorage::new();
    let lengths = [
        0,
        1,
        7,
        8,
        9,
        15,
        16,
        4096,
        16 << 10,
        (16 << 10) + 1,
        1 << 20,
    ];
    let wal = open(&storage);
    for (index, length) in lengths.iter().enumerate() {
        wal.append(&vec![index as u8; *length]).unwrap();
    }
    let check = |wal: &Wal| {
        let found = payloads(wal.iter());
        assert_eq!(found.len(), lengths.len());
        for (index, length) in lengths.iter().enumerate() {
            assert_eq!(found[index], vec![index as u8; *length]);
        }
    };
    check(&wal);
    wal.close().unwrap();
    check(&open(&storage));
}

#[test]
fn a_record_too_long_is_refused_and_nothing_changes() {
    let options = small().record_bytes_max(100);
    let wal = Wal::with_storage(Arc::new(TestStorage::new()), options).unwrap();
    wal.append(&[0; 100]).unwrap();
    let refused = wal.append(&[0; 101]);
    assert!(matches!(
        refused,
        Err(AppendError::TooLong {
            bytes: 101,
            max: 100
        })
    ));
    let refused = wal.append_batch(&[b"fits".as_slice(), &[0; 101]]);
    assert!(matches!(refused, Err(AppendError::TooLong { .. })));
    assert_eq!(
        wal.append(b"next").unwrap(),
        Lsn(1),
        "no number was used up"
    );
}

#[test]
fn a_batch_takes_consecutive_numbers_and_may_be_empty() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 1);
    let (one, two) = (payload(1), payload(2));
    assert_eq!(wal.append_batch(&[&one, &two]).unwrap(), Lsn(1)..Lsn(3));
    assert_eq!(wal.append_batch::<&[u8]>(&[]).unwrap(), Lsn(3)..Lsn(3));
    append(&wal, 3, 4);
    drop(wal);
    assert_eq!(count_of_prefix(open(&storage).iter()), 4);
}

#[test]
fn a_batch_longer_than_a_segment_gets_one_of_its_own_size() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    let records: Vec<_> = (0..2000).map(payload).collect();
    let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(count_of_prefix(open(&storage).iter()), 2000);
}

#[test]
fn a_record_longer_than_a_read_comes_back_from_its_file() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    let long = vec![7; 1 << 20];
    for payload in [b"short".as_slice(), &long, b"short", &long, &long] {
        wal.append(payload).unwrap();
    }
    wal.close().unwrap();
    let reader = WalReader::with_storage(Arc::new(storage)).unwrap();
    let lengths: Vec<_> = reader
        .iter()
        .map(|record| record.unwrap().payload().len())
        .collect();
    assert_eq!(lengths, [5, 1 << 20, 5, 1 << 20, 1 << 20]);
}

#[test]
fn rotating_an_empty_segment_does_nothing() {
    let wal = open(&TestStorage::new());
    assert!(!wal.rotate().unwrap());
    append(&wal, 0, 1);
    assert!(wal.rotate().unwrap());
    assert!(!wal.rotate().unwrap(), "the new segment is empty");
    let states: Vec<_> = wal.segments().iter().map(|segment| segment.state).collect();
    assert_eq!(
        states,
        [SegmentState::Sealed, SegmentState::Active],
        "INV-W2"
    );
}

#[test]
fn rotation_makes_everything_before_it_durable() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 10);
    wal.rotate().unwrap();
    assert_eq!(wal.watermarks().durable_end, Lsn(10));
}

#[test]
fn an_iterator_starts_at_any_record_and_crosses_segments() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 1000);
    wal.sync().unwrap();
    append(&wal, 1000, 1010);
    assert!(wal.sealed().len() > 2, "some are on disk, some in memory");
    for from in [0, 1, 137, 500, 998, 1000, 1009, 1010] {
        let found = payloads(wal.iter_from(Lsn(from)));
        assert_eq!(found.len() as u64, 1010 - from, "from {from}");
        assert!(
            found
                .iter()
                .zip(from..)
                .all(|(found, lsn)| *found == payload(lsn))
        );
    }
}

#[test]
fn an_iterator_at_the_end_goes_on_when_there_is_more() {
    let wal = open(&TestStorage::new());
    let mut iter = wal.iter_from(Lsn(0));
    for lsn in 0..2000 {
        assert!(iter.next().is_none(), "nothing new");
        append(&wal, lsn, lsn + 1);
        let record = iter.next().expect("new").expect("readable");
        assert_eq!(
            (record.lsn(), record.payload()),
            (Lsn(lsn), &payload(lsn)[..])
        );
        if lsn % 300 == 0 {
            wal.sync().unwrap();
        }
    }
}

#[test]
fn an_iterator_that_rested_while_its_segment_left_memory_goes_on_from_disk() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 10);
    let mut iter = wal.iter();
    assert_eq!(iter.next().unwrap().unwrap().lsn(), Lsn(0));
    append(&wal, 10, 2000);
    wal.sync().unwrap();
    assert_eq!(payloads(iter).len(), 1999);
}

#[test]
fn what_lies_beyond_the_end_is_empty() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 5);
    assert!(wal.iter_from(Lsn(5)).next().is_none());
    assert!(wal.iter_from(Lsn(u64::MAX)).next().is_none());
}

#[test]
fn waiting_ends_when_the_record_is_there() {
    let wal = open(&TestStorage::new());
    assert!(!wal.wait_published(Lsn(0), Some(Duration::ZERO)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wal.wait_published(Lsn(4), None));
        append(&wal, 0, 5);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_second_writer_is_refused_at_once_and_the_lock_goes_with_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open(directory.path()).unwrap();
    let refused = Wal::open(directory.path());
    let Err(OpenError::Locked { holder, .. }) = refused else {
        panic!("INV-W7: {refused:?}");
    };
    assert_eq!(holder, Some(std::process::id()), "it says who");
    drop(wal);
    Wal::open(directory.path()).unwrap();
}

#[test]
fn a_missing_directory_is_made_with_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a/b/c");
    let wal = Wal::open(&deep).unwrap();
    append(&wal, 0, 3);
    wal.close().unwrap();
    assert_eq!(count_of_prefix(Wal::open(&deep).unwrap().iter()), 3);
}

#[test]
fn a_file_in_place_of_the_directory_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a log").unwrap();
    assert!(matches!(
        Wal::open(&file),
        Err(OpenError::NotADirectory { .. })
    ));
    assert!(matches!(
        WalReader::open(&file),
        Err(OpenError::NotADirectory { .. })
    ));
    assert_eq!(std::fs::read(&file).unwrap(), b"not a log");
}

#[test]
fn a_directory_of_other_files_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let refused = Wal::open(directory.path());
    assert!(
        matches!(refused, Err(OpenError::NotALog { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        WalReader::open(directory.path()),
        Err(OpenError::NotALog { .. })
    ));
    let names = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 1, "not even a lock file was left behind");
}

#[test]
fn a_reader_of_nothing_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        WalReader::open(directory.path()),
        Err(OpenError::NoLog { .. })
    ));
    let missing = directory.path().join("missing");
    assert!(matches!(
        WalReader::open(&missing),
        Err(OpenError::NoLog { .. })
    ));
    assert!(!missing.exists());
}

#[test]
fn strange_names_are_ignored_and_listed() {
    let storage = TestStorage::new();
    append(&open(&storage), 0, 3);
    let mut files = storage.files();
    files.insert("notes.txt".into(), b"mine".to_vec());
    files.insert("1-1.log".into(), b"almost a name".to_vec());
    let wal = crate::support::try_open(&files).unwrap();
    assert_eq!(wal.report().ignored_files, ["1-1.log", "notes.txt"]);
    assert_eq!(count_of_prefix(wal.iter()), 3);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_segment_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Wal::open(directory.path()).unwrap().close().unwrap();
    let name = "00000000000000000000-0000000002.log";
    std::os::unix::fs::symlink("/dev/zero", directory.path().join(name)).unwrap();
    let refused = Wal::open(directory.path());
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_reader_beside_a_writer_sees_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    append(&wal, 0, 700);
    wal.flush().unwrap();
    append(&wal, 700, 710);
    let reader = WalReader::open(directory.path()).unwrap();
    assert!(reader.is_being_written());
    let seen = count_of_prefix(reader.iter());
    assert!((700..=710).contains(&seen), "{seen}");
    wal.close().unwrap();
    let reader = WalReader::open(directory.path()).unwrap();
    assert!(!reader.is_being_written());
    assert_eq!(count_of_prefix(reader.iter()), 710);
    let report = reader.verify();
    assert_eq!((report.records, report.damage.len()), (710, 0));
}

#[test]
fn a_reader_writes_nothing() {
    let storage = TestStorage::new();
    append(&open(&storage), 0, 500);
    let before = storage.files();
    let reader = WalReader::with_storage(Arc::new(storage.clone())).unwrap();
    assert_eq!(count_of_prefix(reader.iter_from(Lsn(0))), 500);
    assert!(reader.verify().damage.is_empty());
    assert_eq!(storage.files(), before);
}

#[test]
fn opening_and_closing_without_appending_changes_nothing_on_disk() {
    let storage = TestStorage::new();
    append(&open(&storage), 0, 500);
    let before = storage.files();
    for _ in 0..3 {
        open(&storage).close().unwrap();
    }
    assert_eq!(storage.files(), before);
}

#[test]
fn a_log_that_was_closed_opens_as_proven() {
    // A closing mark leaves no doubt: damage to the very last record is called
    // damage, and not a torn tail.
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 3);
    wal.close().unwrap();
    let mut files = storage.files();
    let name = crate::common::newest(&files);
    let position = 8192 + 24 + 32; // in the second frame or the third
    files.get_mut(&name).unwrap()[position] ^= 1;
    let refused = crate::support::try_open(&files);
    assert!(
        matches!(refused, Err(OpenError::Damaged(_))),
        "INV-W5: {refused:?}"
    );
}

#[test]
fn verify_all_finds_what_verify_tail_trusts() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 600);
    wal.close().unwrap();
    let mut files = storage.files();
    let oldest = files.keys().min().unwrap().clone();
    files.get_mut(&oldest).unwrap()[9000] ^= 0x40;
    let damaged = TestStorage::with_files(files);

    let wal = open(&damaged);
    let error = wal.iter().find_map(Result::err).expect("met while reading");
    assert!(
        matches!(&error, ReadError::Damaged(damage) if damage.position <= 9000),
        "{error}"
    );
    drop(wal);

    let refused = Wal::with_storage(Arc::new(damaged.clone()), small().verify(Verify::All));
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    let report = WalReader::with_storage(Arc::new(damaged)).unwrap().verify();
    assert_eq!(report.damage.len(), 1);
    assert!(report.damage[0].path.ends_with(&oldest));
}

#[test]
fn waiting_for_a_level_returns_when_it_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let wal = &wal;
            scope.spawn(move || {
                for _ in 0..25 {
                    let lsn = wal.append_durable(&[thread; 40]).unwrap();
                    assert!(wal.watermarks().durable_end > lsn, "INV-W1, INV-F1");
                }
            });
        }
    });
    assert_eq!(wal.next_lsn(), Lsn(100));
    let stats = wal.stats();
    assert_eq!(stats.records_appended, 100);
    assert!(
        stats.syncs <= 100 + 4 * (stats.rotations + 1),
        "never more syncs than callers: {stats:?}"
    );
}

#[test]
fn writers_and_readers_see_prefixes_in_order() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 2000;
    let directory = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(directory.path(), small()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let wal = &wal;
            scope.spawn(move || {
                for count in 0..EACH {
                    let payload = [writer.to_le_bytes(), count.to_le_bytes()].concat();
                    let lsn = wal.append(&payload).unwrap();
                    assert!(wal.next_lsn() > lsn, "INV-C7: returned means visible");
                    if count % 500 == 0 {
                        wal.commit(Lsn(lsn.0 + 1), Level::Written).unwrap();
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut iter = wal.iter();
                let mut counts = [0; WRITERS as usize];
                for lsn in 0..WRITERS * EACH {
                    wal.wait_published(Lsn(lsn), None);
                    let record = iter.next().expect("published").expect("readable");
                    assert_eq!(record.lsn(), Lsn(lsn), "INV-C1");
                    let field = |at: usize| {
                        u64::from_le_bytes(record.payload()[at..at + 8].try_into().unwrap())
                    };
                    let count = &mut counts[field(0) as usize];
                    assert_eq!(field(8), *count, "each writer's records in its order");
                    *count += 1;
                }
            });
        }
    });
    drop(wal);
    let wal = Wal::open(directory.path()).unwrap();
    assert_eq!(payloads(wal.iter()).len() as u64, WRITERS * EACH);
}

#[test]
fn a_held_record_stays_as_it_is() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 1);
    let held = wal.iter().next().unwrap().unwrap();
    append(&wal, 1, 3000);
    wal.sync().unwrap();
    append(&wal, 3000, 6000);
    assert_eq!(held.payload(), payload(0), "INV-C4");
    drop(wal);
    assert_eq!(held.payload(), payload(0));
}

#[test]
fn memory_stays_bounded_when_nobody_waits_for_the_disk() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 3000);
    let marks = wal.watermarks();
    let unwritten = marks.published_end.0 - marks.written_end.0;
    // At most the open segment and the backlog: three segments of 16 KiB.
    assert!(unwritten < 3 * (16 << 10) / 32, "{marks:?}");
}

#[test]
fn file_storage_without_a_directory_lists_nothing() {
    let missing = FileStorage::at("/nonexistent/strata");
    let opened = WalReader::with_storage(Arc::new(missing));
    assert!(matches!(opened, Err(OpenError::NoLog { .. })));
    assert_eq!(WalOptions::default(), WalOptions::default());
}

#[test]
fn a_record_written_in_place_is_like_any_other() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    for lsn in 0..300 {
        let expected = payload(lsn);
        let (given, ()) = wal
            .append_in_place(expected.len(), |payload| payload.copy_from_slice(&expected))
            .unwrap();
        assert_eq!(given, Lsn(lsn));
        if lsn % 50 == 0 {
            wal.sync().unwrap();
        }
    }
    drop(wal);
    assert_eq!(count_of_prefix(open(&storage).iter()), 300);
}

#[test]
fn a_panic_while_filling_leaves_a_number_without_a_record() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 2);
    wal.sync().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wal.append_in_place(100, |payload| {
            payload.fill(b'x');
            panic!("injected");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(wal.append(b"after").unwrap(), Lsn(3), "INV-C1");
    let numbers = |wal: &Wal| -> Vec<u64> {
        let records = wal.iter().map(|record| record.unwrap());
        records.map(|record| record.lsn().0).collect()
    };
    assert_eq!(numbers(&wal), [0, 1, 3]);
    wal.close().unwrap();
    let wal = open(&storage);
    assert_eq!(numbers(&wal), [0, 1, 3]);
    assert_eq!(wal.next_lsn(), Lsn(4));
}

#[test]
fn a_checkpoint_drops_whole_segments_from_the_front() {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, 1500);
    wal.sync().unwrap();
    let sealed = wal.sealed();
    assert!(sealed.len() > 3);
    assert_eq!(wal.checkpoint(sealed[0].end).unwrap(), 1, "INV-F2");
    assert_eq!(
        wal.checkpoint(Lsn(sealed[2].end.0 - 1)).unwrap(),
        1,
        "only whole ones"
    );
    assert_eq!(wal.first_lsn(), sealed[1].end);
    assert_eq!(
        wal.checkpoint(Lsn(u64::MAX)).unwrap(),
        sealed.len() - 2,
        "never the active one"
    );
    let first = wal.first_lsn();
    assert_eq!(first, sealed.last().unwrap().end);
    append(&wal, 1500, 3000);
    let read = |wal: &Wal| {
        wal.iter()
            .map(|record| record.unwrap().lsn().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&wal), (first.0..3000).collect::<Vec<_>>());
    wal.close().unwrap();
    let wal = open(&storage);
    assert_eq!((wal.first_lsn(), wal.next_lsn()), (first, Lsn(3000)));
    assert_eq!(read(&wal), (first.0..3000).collect::<Vec<_>>());
}

#[test]
fn a_reader_before_the_new_start_is_told_where_to_go_on() {
    let wal = open(&TestStorage::new());
    append(&wal, 0, 1000);
    wal.sync().unwrap();
    let mut slow = wal.iter();
    assert_eq!(slow.next().unwrap().unwrap().lsn(), Lsn(0));
    let dropped = wal.sealed()[1].end;
    wal.checkpoint(dropped).unwrap();

    let mut late = wal.iter_from(Lsn(5));
    let told = late.next().unwrap();
    let Err(ReadError::Truncated {
        requested: Lsn(5),
        first,
    }) = told
    else {
        panic!("{told:?}");
    };
    assert_eq!(first, dropped);
    assert_eq!(
        late.next().unwrap().unwrap().lsn(),
        dropped,
        "and goes on there"
    );
    let told = slow.find_map(Result::err);
    assert!(
        told.is_none() || matches!(told, Some(ReadError::Truncated { .. })),
        "{told:?}"
    );
}
