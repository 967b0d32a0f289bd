//! `cat --follow` beside writers, and `cat --from-time`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::*;

fn numbered(lines: std::ops::Range<u64>) -> Vec<u8> {
    lines
        .flat_map(|line| format!("line {line}\n").into_bytes())
        .collect()
}

/// A running `strata cat --follow`, killed when it is dropped.
struct Following {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Following {
    fn start<const N: usize>(log: &Path, more: [&str; N]) -> Self {
        let mut command = look("cat", log, ["--follow"]);
        command.args(more).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    fn expect(&mut self, lines: std::ops::Range<u64>) {
        for expected in lines {
            let mut line = String::new();
            let stdout = self.stdout.as_mut().unwrap();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, format!("line {expected}\n"));
        }
    }

    /// Waits for its end, with what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn following_goes_on_with_what_writers_write_and_over_their_deaths() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(0..100));
    let mut following = Following::start(&log, ["--from", "90"]);
    following.expect(90..100);

    let mut writer = Writer::start(&log, SMALL_SEGMENTS);
    for round in 0..10 {
        let (start, end) = (100 + round * 300, 400 + round * 300);
        writer.feed(&numbered(start..end));
        writer.wait_for_ack(end);
        following.expect(start..end);
    }
    assert!(segment_files(&log).len() > 3, "across segments");
    writer.child.kill().unwrap();
    writer.child.wait().unwrap();

    let mut writer = Writer::start(&log, ["--ack", "durable"]);
    writer.feed(&numbered(3100..3110));
    writer.wait_for_ack(3110);
    following.expect(3100..3110);
    writer.finish();
}

#[test]
fn following_ends_at_its_limit() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(0..5));
    let mut following = Following::start(&log, ["--limit", "8"]);
    following.expect(0..5);
    succeed(&mut ingest(&log, []), &numbered(5..20));
    following.expect(5..8);
    let mut rest = String::new();
    let stdout = following.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(following.end(), (Some(0), String::new()));
}

#[test]
fn following_ends_quietly_when_nobody_reads_any_more() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(0..5));
    let mut following = Following::start(&log, []);
    following.expect(0..5);
    drop(following.stdout.take());
    succeed(&mut ingest(&log, []), &numbered(5..20));
    assert_eq!(following.end(), (Some(0), String::new()));
}

#[test]
fn from_a_moment_on_there_are_the_records_that_were_appended_then() {
    let scratch = Scratch::new();
    let before = now();
    let log = scratch.path("log");
    succeed(&mut ingest(&log, ["--stamp"]), &numbered(0..50));
    let between = now();
    succeed(&mut ingest(&log, ["--stamp"]), &numbered(50..60));
    for (moment, first) in [(&before, 0), (&between, 50), (&now(), 60)] {
        let shown = succeed(&mut look("cat", &log, ["--from-time", moment]), b"");
        assert_eq!(text(&shown), text(&numbered(first..60)), "{moment}");
    }
    let limited = look("cat", &log, ["--from-time", &between, "--limit", "2"]);
    assert_eq!(succeed(&mut { limited }, b""), numbered(50..52));

    let mut following = Following::start(&log, ["--from-time", &now()]);
    succeed(&mut ingest(&log, ["--stamp"]), &numbered(60..70));
    following.expect(60..70);
}

/// Rather than as if there were none that late.
#[test]
fn a_log_without_times_says_so() {
    let scratch = Scratch::new();
    let log = scratch.log("log", &numbered(0..5));
    let said = refusal(&mut look("cat", &log, ["--from-time", "2026-01-01"]));
    assert_says(&said, &["no time", "--stamp"]);
}

#[test]
fn a_moment_that_is_none_is_refused() {
    let scratch = Scratch::new();
    let log = scratch.log("log", b"line\n");
    for more in [
        ["--from-time", "yesterday", "--limit", "1"],
        ["--from-time", "@1", "--from", "0"],
    ] {
        let said = refusal(&mut look("cat", &log, more));
        assert_says(&said, &["--from-time"]);
    }
}

/// As `--from-time` takes it, to the nanosecond.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("@{}.{:09}", since.as_secs(), since.subsec_nanos())
}
