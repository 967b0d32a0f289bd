//! A process that is killed while it drops segments: this test binary runs
//! itself, and the test that is marked as ignored plays the other process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{dense, index_paths, payload, segment_paths};
use log_mmap::{Lsn, Store};

const DIRECTORY: &str = "STRATA_DROPPED_DIRECTORY";

/// Of a segment, and of what is kept behind the end.
const RECORDS: u64 = 10;
const KEPT: u64 = 30;

/// Appends, drops what is older, and says how far it came, until it is killed.
#[test]
#[ignore = "plays the other process of a test"]
fn drop_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = Store::open(directory, dense()).unwrap();
    let mut out = std::io::stdout();
    loop {
        for _ in 0..RECORDS {
            store.append(&payload(store.next_lsn().0)).unwrap();
        }
        store.rotate().unwrap();
        let end = store.next_lsn().0;
        store.drop_before(Lsn(end.saturating_sub(KEPT))).unwrap();
        // The parent may be gone before it has read all.
        if writeln!(out, "did {} {end}", store.first_lsn().0).is_err() {
            return;
        }
    }
}

/// What the other process said last when it was killed, after so many steps.
fn kill_after(steps: usize, directory: &Path) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "kills::drop_until_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let words = output.lines().map(Result::unwrap);
    let mut steps_done = words.filter_map(|line| {
        let (first, end) = line.strip_prefix("did ")?.split_once(' ')?;
        Some((first.parse().unwrap(), end.parse().unwrap()))
    });
    let last = steps_done.nth(steps).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before the kill came.
    steps_done.last().unwrap_or(last)
}

/// Fault 41.
#[test]
fn a_kill_while_segments_are_dropped_leaves_a_log_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let (first, end) = kill_after(round, directory.path());
        let store = Store::open(directory.path(), dense()).unwrap();
        let found = store.first_lsn().0..store.next_lsn().0;
        assert!(found.start >= first, "{found:?}: what was dropped stays so");
        assert!(found.end >= end, "INV-W1: {found:?}, {end} was reached");
        assert!(found.end - found.start >= KEPT.min(found.end), "{found:?}");
        let mut next = found.start;
        for record in store.iter() {
            let record = record.unwrap();
            assert_eq!(record.lsn(), Lsn(next), "INV-F2: no gap");
            assert_eq!(record.payload(), payload(next));
            next += 1;
        }
        assert_eq!(next, found.end);
        let (indexes, segments) = (
            index_paths(directory.path()),
            segment_paths(directory.path()),
        );
        for index in indexes {
            let segment = index.with_extension("log");
            assert!(segments.contains(&segment), "{index:?} has no segment");
        }
        store.close().unwrap();
    }
}
