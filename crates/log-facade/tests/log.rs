//! The log end to end, on real files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use log_facade::engine;
use log_facade::{
    AppendError, Level, Log, LogReader, Lsn, OpenError, ReadError, SegmentState, TailState, Verify,
};

/// Where the frames of a segment begin: behind its two header pages.
const FIRST_POSITION: u64 = 8192;

fn payloads(
    records: impl IntoIterator<Item = Result<log_facade::Record, ReadError>>,
) -> Vec<Vec<u8>> {
    let payload = |record: Result<log_facade::Record, _>| record.unwrap().into_payload().to_vec();
    records.into_iter().map(payload).collect()
}

/// What the log's directory would be if the process died now.
fn copy_as_if_killed(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn what_was_appended_is_read_back_by_number_range_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    assert!(log.report().created);
    assert_eq!(log.append(b"zero").unwrap(), Lsn(0));
    assert_eq!(
        log.append(b"").unwrap(),
        Lsn(1),
        "an empty record is a record"
    );
    assert_eq!(
        log.append_batch(&[b"two", b"three"]).unwrap(),
        Lsn(2)..Lsn(4)
    );
    assert_eq!(log.append_batch(&[]).unwrap(), Lsn(4)..Lsn(4));

    assert_eq!(log.read(Lsn(3)).unwrap().unwrap().payload(), b"three");
    assert_eq!(log.read(Lsn(4)).unwrap(), None, "the end");
    assert_eq!(log.read(Lsn(u64::MAX)).unwrap(), None, "far beyond it");
    let all: [&[u8]; 4] = [b"zero", b"", b"two", b"three"];
    assert_eq!(payloads(&log), all);
    assert_eq!(payloads(log.iter_from(Lsn(2))), all[2..]);
    assert_eq!(payloads(log.range(Lsn(1)..Lsn(3))), all[1..3]);
    assert_eq!((log.first_lsn(), log.next_lsn()), (Lsn(0), Lsn(4)));
}

#[test]
fn a_closed_log_is_opened_again_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep").join("down").join("log");
    for opening in 0..4_u64 {
        let log = Log::options().verify(Verify::All).open(&path).unwrap();
        let report = log.report();
        assert_eq!(report.created, opening == 0);
        assert_eq!(
            (report.first_lsn, report.next_lsn),
            (Lsn(0), Lsn(opening * 100))
        );
        assert_eq!(report.tail, TailState::Clean);
        for number in 0..100 {
            let lsn = log
                .append(format!("{opening}/{number}").as_bytes())
                .unwrap();
            assert_eq!(lsn, Lsn(opening * 100 + number));
        }
        log.close().unwrap();
    }
    let log = Log::open(&path).unwrap();
    let expected = (0..4).flat_map(|opening| (0..100).map(move |number| (opening, number)));
    let expected: Vec<_> = expected
        .map(|(o, n)| format!("{o}/{n}").into_bytes())
        .collect();
    assert_eq!(payloads(&log), expected);
}

#[test]
fn a_dropped_log_keeps_what_was_appended() {
    let directory = tempfile::tempdir().unwrap();
    drop(Log::open(directory.path()).map(|log| log.append(b"kept").unwrap()));
    assert_eq!(payloads(&Log::open(directory.path()).unwrap()), [b"kept"]);
}

#[test]
fn an_acknowledgement_means_what_its_level_says() {
    let directory = tempfile::tempdir().unwrap();
    for (round, level) in [Level::Published, Level::Written, Level::Durable]
        .into_iter()
        .enumerate()
    {
        let path = directory.path().join(round.to_string());
        let log = Log::options().acknowledge(level).open(&path).unwrap();
        let one = log.append(b"one").unwrap();
        assert!(reached(&log, level) > one, "INV-F1: append, {level:?}");
        let batch = log.append_batch(&[b"two", b"three"]).unwrap();
        assert!(
            reached(&log, level) >= batch.end,
            "INV-F1: append_batch, {level:?}"
        );
    }
    let log = Log::open(directory.path().join("as asked")).unwrap();
    for level in [Level::Published, Level::Written, Level::Durable] {
        let one = log.append_to(level, b"one").unwrap();
        assert!(reached(&log, level) > one, "INV-F1: append_to, {level:?}");
        let batch = log.append_batch_to(level, &[b"two", b"three"]).unwrap();
        assert!(
            reached(&log, level) >= batch.end,
            "INV-F1: append_batch_to, {level:?}"
        );
        assert_eq!(
            log.append_batch_to(level, &[]).unwrap(),
            batch.end..batch.end
        );
    }
    let end = log.append(b"later").map(|lsn| Lsn(lsn.0 + 1)).unwrap();
    assert_eq!(log.flush().unwrap(), end);
    assert!(reached(&log, Level::Written) >= end);
    assert_eq!(log.sync().unwrap(), end);
    assert!(reached(&log, Level::Durable) >= end);
}

fn reached(log: &Log, level: Level) -> Lsn {
    let watermarks = log.watermarks();
    match level {
        Level::Published => watermarks.published_end,
        Level::Written => watermarks.written_end,
        Level::Durable => watermarks.durable_end,
    }
}

#[test]
fn a_written_record_survives_the_death_of_the_process_and_a_published_one_need_not() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    log.append_to(Level::Written, b"written").unwrap();
    log.append(b"published").unwrap();
    let killed = copy_as_if_killed(directory.path());
    let recovered = Log::open(killed.path()).unwrap();
    assert_eq!(payloads(&recovered), [b"written"], "INV-F1");
}

#[test]
fn many_threads_append_and_each_gets_its_own_number() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::options()
        .segment_bytes(16 << 10)
        .open(directory.path())
        .unwrap();
    thread::scope(|scope| {
        for writer in 0..4_u8 {
            let log = &log;
            scope.spawn(move || {
                let mut before = None;
                for number in 0..500_u32 {
                    let mut payload = vec![writer];
                    payload.extend(number.to_le_bytes());
                    let level = if number % 50 == 0 {
                        Level::Durable
                    } else {
                        Level::Published
                    };
                    let lsn = log.append_to(level, &payload).unwrap();
                    assert!(Some(lsn) > before, "numbers grow");
                    let record = log.read(lsn).unwrap().expect("what returned is there");
                    assert_eq!(record.payload(), payload);
                    before = Some(lsn);
                }
            });
        }
    });
    log.close().unwrap();
    let log = Log::open(directory.path()).unwrap();
    let mut next = [0_u32; 4];
    for payload in payloads(&log) {
        let next = &mut next[usize::from(payload[0])];
        assert_eq!(
            payload[1..],
            next.to_le_bytes(),
            "in the order in which each appended"
        );
        *next += 1;
    }
    assert_eq!(next, [500; 4]);
}

#[test]
fn options_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::options()
        .segment_bytes(16 << 10)
        .record_bytes_max(1000)
        .index_interval_bytes(0)
        .stamp(false)
        .open(directory.path())
        .unwrap();
    let refused = log.append(&[0; 1001]).unwrap_err();
    assert!(
        matches!(
            refused,
            AppendError::TooLong {
                bytes: 1001,
                max: 1000
            }
        ),
        "{refused}"
    );
    assert_eq!(log.next_lsn(), Lsn(0), "nothing happened");
    for _ in 0..100 {
        log.append(&[7; 1000]).unwrap();
    }
    log.sync().unwrap();
    let segments = log.segments();
    assert!(segments.len() > 5, "segments of 16 KiB");
    let (active, sealed) = segments.split_last().unwrap();
    assert_eq!(active.state, SegmentState::Active);
    for segment in sealed {
        assert_eq!(segment.state, SegmentState::Sealed);
        let records = segment.end.0 - segment.base.0;
        let index = fs::metadata(segment.path.with_extension("index")).unwrap();
        assert_eq!(index.len(), 64 + 8 * records, "an entry for every record");
    }
    assert_eq!(log.stats().engine.records_appended, 100);
    assert_eq!(log.stats().engine.rotations, sealed.len() as u64);
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    for number in 0..10_u8 {
        log.append_to(Level::Written, &[number; 40]).unwrap();
    }
    let killed = copy_as_if_killed(directory.path());
    let active = log.segments().pop().unwrap();
    let frames_end = FIRST_POSITION + active.data_bytes;
    let file = killed.path().join(active.name.to_string());
    // The last frame has 16 bytes of header, 8 of timestamp and 40 of payload.
    let position = frames_end - 64;
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all_at(&[0; 8], frames_end - 8)
        .unwrap();

    let recovered = Log::open(killed.path()).unwrap();
    assert_eq!(recovered.next_lsn(), Lsn(9));
    match &recovered.report().tail {
        TailState::Truncated {
            path,
            position: found,
            lsn,
            ..
        } => assert_eq!((path, *found, *lsn), (&file, position, Lsn(9))),
        other => panic!("expected a torn tail, got {other}"),
    }
    assert_eq!(
        recovered.append(b"another").unwrap(),
        Lsn(9),
        "the number is given again"
    );
    let after = payloads(&recovered);
    assert_eq!(
        (after.len(), &after[8][..], &after[9][..]),
        (10, &[8; 40][..], &b"another"[..])
    );
    recovered.close().unwrap();
    assert_eq!(
        Log::open(killed.path()).unwrap().report().tail,
        TailState::Clean
    );
}

#[test]
fn a_reader_works_beside_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::options()
        .segment_bytes(16 << 10)
        .open(directory.path())
        .unwrap();
    for number in 0..1000_u32 {
        log.append(&number.to_le_bytes().repeat(10)).unwrap();
    }
    log.flush().unwrap();
    let reader = LogReader::open(directory.path()).unwrap();
    assert!(reader.is_being_written());
    assert_eq!((reader.first_lsn(), reader.next_lsn()), (Lsn(0), Lsn(1000)));
    assert_eq!(payloads(&reader), payloads(&log));
    assert_eq!(
        payloads(reader.range(Lsn(10)..Lsn(20))),
        payloads(log.range(Lsn(10)..Lsn(20)))
    );
    assert_eq!(reader.read(Lsn(999)).unwrap(), log.read(Lsn(999)).unwrap());
    assert_eq!(reader.read(Lsn(1000)).unwrap(), None);
    assert_eq!(reader.segments().len(), log.segments().len());
    assert_eq!(reader.report().tail, TailState::Clean);
    let verified = reader.verify();
    assert!(verified.is_sound());
    // Each of 40 bytes, and 8 of timestamp.
    assert_eq!((verified.records, verified.payload_bytes), (1000, 48_000));

    log.append(b"later").unwrap();
    log.close().unwrap();
    assert_eq!(reader.next_lsn(), Lsn(1000), "as of opening");
    assert!(!reader.is_being_written());
}

#[test]
fn a_read_before_the_first_record_says_where_the_log_begins() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::options()
        .segment_bytes(16 << 10)
        .open(directory.path())
        .unwrap();
    for _ in 0..100 {
        log.append(&[1; 1000]).unwrap();
    }
    let first = log.segments().swap_remove(0);
    log.close().unwrap();
    fs::remove_file(first.path).unwrap();

    let log = Log::open(directory.path()).unwrap();
    assert_eq!(
        log.first_lsn(),
        first.end,
        "INV-F2: the front is gone, as a whole"
    );
    match log.read(Lsn(0)) {
        Err(ReadError::Truncated { requested, first }) => {
            assert_eq!((requested, first), (Lsn(0), log.first_lsn()), "INV-F2");
        }
        other => panic!("expected an error, got {other:?}"),
    }
    assert_eq!(log.iter().count() as u64, 100 - first.end.0);
}

#[test]
fn a_second_writer_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    match Log::open(directory.path()) {
        Err(OpenError::Engine(engine::OpenError::Locked { holder, .. })) => {
            assert_eq!(holder, Some(std::process::id()))
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    log.close().unwrap();
    Log::open(directory.path()).unwrap();
}

#[test]
fn what_is_not_a_log_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"text").unwrap();
    let error = Log::open(&file).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Engine(engine::OpenError::NotADirectory { .. })
        ),
        "{error}"
    );
    let error = Log::open(directory.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::Engine(engine::OpenError::NotALog { .. })),
        "{error}"
    );
    let error = LogReader::open(directory.path().join("missing")).unwrap_err();
    assert!(
        matches!(error, OpenError::Engine(engine::OpenError::NoLog { .. })),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing was made"
    );
}

#[test]
fn acknowledged_data_that_is_damaged_is_never_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::options()
        .segment_bytes(16 << 10)
        .open(directory.path())
        .unwrap();
    for number in 0..100_u8 {
        log.append(&[number; 1000]).unwrap();
    }
    let segment = log.segments().swap_remove(1);
    log.close().unwrap();
    let file = File::options().write(true).open(&segment.path).unwrap();
    file.write_all_at(b"rot", FIRST_POSITION + 100).unwrap();

    let error = Log::options()
        .verify(Verify::All)
        .open(directory.path())
        .unwrap_err();
    assert!(
        matches!(error, OpenError::Engine(engine::OpenError::Damaged(_))),
        "{error}"
    );
    let log = Log::open(directory.path()).unwrap();
    match log.read(segment.base) {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!(
                (damage.path, damage.lsn),
                (segment.path, Some(segment.base))
            );
        }
        other => panic!("expected damage, got {other:?}"),
    }
    let last = log.iter().last().expect("records in front of it");
    assert!(
        last.is_err(),
        "an iteration ends with the error, not as if at the end"
    );
    let report = LogReader::open(directory.path()).unwrap().verify();
    assert_eq!(report.damage.len(), 1);
    assert!(!report.is_sound());
}

#[test]
fn a_held_record_survives_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    log.append(b"held").unwrap();
    let record = log.read(Lsn(0)).unwrap().unwrap();
    log.close().unwrap();
    directory.close().unwrap();
    assert_eq!(record.payload(), b"held", "INV-M5");
}

#[test]
fn the_longest_record_does_not_count_the_time_that_the_log_puts_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = Log::options().record_bytes_max(1000);
    let log = options.open(directory.path()).unwrap();
    log.append(&[1; 1000]).unwrap();
    let refused = log.append(&[1; 1001]);
    assert!(
        matches!(refused, Err(AppendError::TooLong { .. })),
        "{refused:?}"
    );
    assert_eq!(log.next_lsn(), Lsn(1));
}
