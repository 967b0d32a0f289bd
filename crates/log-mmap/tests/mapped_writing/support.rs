//! Logs that are appended to through a mapping, and other processes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use log_mmap::{Lsn, Store, StoreOptions, WalOptions};

const DIRECTORY: &str = "STRATA_MAPPED_DIRECTORY";

pub(crate) fn mapped(segment_bytes: u64) -> StoreOptions {
    StoreOptions::default()
        .wal(WalOptions::default().segment_bytes(segment_bytes))
        .mapped_writing(true)
}

pub(crate) fn small() -> StoreOptions {
    mapped(16 << 10)
}

/// A payload that says which record it is, of a length that varies with it.
pub(crate) fn payload(lsn: u64) -> Vec<u8> {
    let mut payload = format!("record {lsn} ").into_bytes();
    payload.extend((0..lsn % 97).map(|byte| byte as u8));
    payload
}

/// How many records a log has, all of which must be the right ones.
pub(crate) fn count(store: &Store) -> u64 {
    let mut count = 0;
    for record in store.iter() {
        let record = record.unwrap();
        assert_eq!(record.lsn(), Lsn(count), "INV-W3");
        assert_eq!(record.payload(), payload(count));
        count += 1;
    }
    count
}

/// What another process should do: a test of this binary.
pub(crate) fn other(role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([role, "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped());
    command
}

/// The directory that a role works in; `None` if it was not asked to play.
pub(crate) fn given_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

pub(crate) fn started(role: &str, directory: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = other(role, directory).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The number behind `word` in the next line that begins with it.
pub(crate) fn said(output: &mut impl BufRead, word: &str) -> u64 {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some(number) = line.trim().strip_prefix(word) {
            return number.trim().parse().unwrap();
        }
        line.clear();
    }
    panic!("the other process ended without a word of {word:?}");
}
