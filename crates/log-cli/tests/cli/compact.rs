//! `compact`: of the records with one key, the newest stays.

use std::collections::BTreeMap;
use std::path::Path;

use log_facade::{Log, NewRecord};

use crate::support::*;

const SEGMENTS: u64 = 4;
const RECORDS: u64 = 50;
const KEYS: u64 = 7;

/// A log with four sealed segments, of records with one of seven keys.
fn make_log(log: &Path) {
    let log = Log::open(log).unwrap();
    for lsn in 0..SEGMENTS * RECORDS {
        let (payload, key) = (format!("{lsn}\n"), [(lsn * lsn % KEYS) as u8]);
        let record = NewRecord::new(payload.as_bytes()).key(&key);
        log.append_record(&record).unwrap();
        if (lsn + 1) % RECORDS == 0 {
            log.rotate().unwrap();
        }
    }
    log.close().unwrap();
}

/// What `cat` writes when everything below `end` is compacted.
fn left(end: u64) -> String {
    let newest: BTreeMap<_, _> = (0..end).map(|lsn| (lsn * lsn % KEYS, lsn)).collect();
    let stays = |lsn: &u64| *lsn >= end || newest[&(lsn * lsn % KEYS)] == *lsn;
    let lsns = (0..SEGMENTS * RECORDS).filter(stays);
    lsns.map(|lsn| format!("{lsn}\n")).collect()
}

fn files(log: &Path) -> Vec<Vec<u8>> {
    let read = |path| std::fs::read(path).unwrap();
    segment_files(log).into_iter().map(read).collect()
}

/// The number behind a name in a table.
fn number(table: &str, name: &str) -> u64 {
    let mut lines = table.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().replace(',', "").parse().unwrap()
}

#[test]
fn the_newest_of_each_key_stays_and_a_dry_run_says_so_before() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    make_log(&log);
    let before = files(&log);
    let foreseen = succeed(&mut look("compact", &log, ["--dry-run"]), b"");
    let foreseen = text(&foreseen);
    assert!(foreseen.starts_with("dry run: nothing was changed\n"));
    assert_eq!(files(&log), before);

    let done = text(&succeed(&mut look("compact", &log, []), b""));
    let records = (SEGMENTS * RECORDS) as usize - left(SEGMENTS * RECORDS).lines().count();
    assert_eq!(number(&done, "records taken out"), records as u64);
    for (done_name, foreseen_name) in [
        ("segments written anew", "segments to write anew"),
        ("records kept in them", "records to keep in them"),
        ("records taken out", "records to take out"),
    ] {
        let foreseen = number(&foreseen, foreseen_name);
        assert_eq!(number(&done, done_name), foreseen, "{done_name}");
    }
    assert!(number(&foreseen, "bytes of their payload") >= 2 * records as u64);

    let cat = succeed(&mut look("cat", &log, []), b"");
    assert_eq!(text(&cat), left(SEGMENTS * RECORDS));
    let verified = text(&succeed(&mut look("verify", &log, []), b""));
    let voids = format!("; {records} numbers without a record");
    assert!(
        verified.contains("sound") && verified.contains(&voids),
        "{verified}"
    );
    let again = text(&succeed(&mut look("compact", &log, []), b""));
    assert_eq!(number(&again, "segments written anew"), 0);
}

#[test]
fn nothing_from_before_on_is_touched() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    make_log(&log);
    // In the third segment.
    let before = ["--before", "130"];
    let done = text(&succeed(&mut look("compact", &log, before), b""));
    assert_eq!(number(&done, "segments written anew"), 2);
    let cat = succeed(&mut look("cat", &log, []), b"");
    assert_eq!(text(&cat), left(2 * RECORDS));
}

#[test]
fn lines_have_no_key_and_stay() {
    let scratch = Scratch::new();
    let lines = "the same\n".repeat(3000);
    let log = scratch.log("log", lines.as_bytes());
    assert!(segment_files(&log).len() > 2);
    let done = text(&succeed(&mut look("compact", &log, []), b""));
    assert_eq!(number(&done, "records taken out"), 0);
    assert_eq!(text(&succeed(&mut look("cat", &log, []), b"")), lines);
}

#[test]
fn a_log_that_is_not_there_is_not_made_and_one_that_is_written_is_left_alone() {
    let scratch = Scratch::new();
    let nothing = scratch.path("nothing");
    for more in [&[][..], &["--dry-run"]] {
        let said = refusal(look("compact", &nothing, []).args(more));
        assert!(said.contains("no log here"), "{said}");
        assert!(!nothing.exists());
    }
    let log = scratch.path("log");
    make_log(&log);
    let writer = Log::open(&log).unwrap();
    let said = refusal(&mut look("compact", &log, []));
    assert!(said.contains("compact: "), "{said}");
    succeed(&mut look("compact", &log, ["--dry-run"]), b"");
    assert_eq!(writer.iter().count() as u64, SEGMENTS * RECORDS);
}
