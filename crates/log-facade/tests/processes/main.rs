//! What other processes see of a log, and what a killed one leaves: this test
//! binary runs itself, and one of the tests that are marked as ignored plays
//! the other process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod confirm;
mod follow;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use log_facade::{Log, LogOptions};

const DIRECTORY: &str = "STRATA_FACADE_DIRECTORY";

/// The directory that a role works in; `None` if it was not asked to play.
fn given_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

/// What record `number` says: a different length for each.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = format!("record {number} ").into_bytes();
    payload.resize(payload.len() + (number as usize * 37) % 283, number as u8);
    payload
}

/// Another process, killed when it is dropped.
struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn plays(role: &str, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([role, "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it says next, a word and a number; `None` when it has ended.
    /// Passes over what the test harness says.
    fn says(&mut self) -> Option<(String, u64)> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // A line without its end was cut off by death.
            let said = line
                .strip_suffix('\n')
                .and_then(|line| line.split_once(": "));
            if let Some((word, number)) = said
                && let Ok(number) = number.parse()
            {
                return Some((word.to_owned(), number));
            }
            line.clear();
        }
        None
    }

    /// Sends the signal that cannot be caught. What it has said stays to be
    /// read.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert!(
            ended.code().is_none(),
            "it was killed, and did not end before"
        );
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // If a test fails; otherwise it is gone.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
