//! Logs of records with keys, and processes that work on them: this test
//! binary runs itself, and a test that is marked as ignored plays the other
//! process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use log_mmap::{Lsn, NewRecord, Record, Store, StoreOptions, WalOptions};

const DIRECTORY: &str = "STRATA_COMPACTED_DIRECTORY";

/// What a process does is said in lines that begin so.
const WORD: &str = "did ";

const KEYS: u64 = 9;

/// Small segments, so that a test has many.
pub(crate) fn options() -> StoreOptions {
    let wal = WalOptions::default().segment_bytes(16 << 10);
    StoreOptions::default().wal(wal).index_interval_bytes(0)
}

/// The key of record `lsn`; one in seven has none.
pub(crate) fn key(lsn: u64) -> Option<u64> {
    let mixed = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (!mixed.is_multiple_of(7)).then_some(mixed % KEYS)
}

fn payload(lsn: u64) -> Vec<u8> {
    (0..lsn * 31 % 200).map(|at| (at ^ lsn) as u8).collect()
}

pub(crate) fn append_to(store: &Store, end: u64) {
    for lsn in store.next_lsn().0..end {
        let (payload, key) = (payload(lsn), key(lsn).map(u64::to_le_bytes));
        let mut record = NewRecord::new(&payload);
        if let Some(key) = &key {
            record = record.key(key);
        }
        assert_eq!(store.append_record(&record).unwrap(), Lsn(lsn));
    }
}

/// The number of a record that is what was appended.
pub(crate) fn checked(record: &Record) -> u64 {
    let lsn = record.lsn().0;
    assert_eq!(record.payload(), payload(lsn), "record {lsn}");
    let key = key(lsn).map(u64::to_le_bytes);
    assert_eq!(record.key(), key.as_ref().map(<[u8; 8]>::as_slice));
    lsn
}

/// Of the numbers below `end`, those that are not among `found` were
/// superseded: there is a later one with the same key, below `newest_end`.
pub(crate) fn check_gaps(found: &[u64], end: u64, newest_end: u64) {
    assert!(found.is_sorted_by(|one, next| one < next), "in order");
    let newest: BTreeMap<_, _> = (0..newest_end).map(|lsn| (key(lsn), lsn)).collect();
    let mut found = found.iter().peekable();
    for lsn in 0..end {
        if found.next_if_eq(&&lsn).is_none() {
            let is_superseded = key(lsn).is_some() && newest[&key(lsn)] > lsn;
            assert!(is_superseded, "INV-W12: record {lsn} is lost");
        }
    }
    assert_eq!(found.next(), None, "nothing lies beyond {end}");
}

/// The directory that a role works in; `None` if it was not asked to play.
pub(crate) fn given_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Says a number to the test that started this process. False if it is gone.
pub(crate) fn say(number: u64) -> bool {
    use std::io::Write;
    writeln!(std::io::stdout(), "{WORD}{number}").is_ok()
}

/// Another process, killed when it is dropped.
pub(crate) struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub(crate) fn plays(role: &str, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([role, "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next number that it says; `None` if it has ended.
    pub(crate) fn says(&mut self) -> Option<u64> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.trim().strip_prefix(WORD) {
                return Some(number.parse().unwrap());
            }
            line.clear();
        }
        None
    }

    /// What it said before the kill came.
    pub(crate) fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.says()).last()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // If a test fails; otherwise it is gone.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
