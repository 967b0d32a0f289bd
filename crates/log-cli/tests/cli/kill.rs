//! `kill -9` at any moment: what was acknowledged stays, and nothing else
//! appears.
//!
//! The same directory goes through many lives. Each feeds numbered lines that
//! continue what was found, and is killed after a seeded number of
//! acknowledgements and a seeded bit of work, wherever the writer then is: in
//! an append, a write, a sync, a rotation, or the opening.

use std::hint::black_box;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::*;

const LIVES: usize = 40;

const SIGKILL: i32 = 9;

/// Lines that a life could be fed: far more than it lives for.
const LINES_PER_LIFE: u64 = 5_000;

/// Every line is told by its number, and has its own length.
fn line(number: u64) -> Vec<u8> {
    let padding = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57;
    format!("{number}:{}\n", "x".repeat(padding as usize)).into_bytes()
}

fn some_lines(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(line).collect()
}

/// One life: returns how many records the log was acknowledged to have.
fn live_and_die(log: &Path, level: &str, found: u64, random: &mut StdRng) -> u64 {
    let batch = random.random_range(1..20).to_string();
    let acks = random.random_range(0..40);
    let spins = random.random_range(0..300_000);
    let mut writer = Writer::start(
        log,
        [
            "--ack",
            level,
            "--batch",
            &batch,
            "--segment-bytes",
            "16KiB",
        ],
    );
    let mut stdin = writer.stdin.take().unwrap();
    let mut acknowledged = found;
    thread::scope(|scope| {
        // Ends when the child does; its end of the pipe stays open for so long,
        // so that the child cannot come to a good end.
        let feeder = scope.spawn(move || {
            let fed = stdin.write_all(&some_lines(found..found + LINES_PER_LIFE));
            drop(fed);
            stdin
        });
        for _ in 0..acks {
            acknowledged = writer.next_ack().unwrap();
        }
        (0..spins).for_each(|spin| {
            black_box(spin);
        });
        writer.child.kill().unwrap();
        // What it had said before it died counts, also if it is read later.
        while let Some(end) = writer.next_ack() {
            acknowledged = end;
        }
        let ended = writer.child.wait().unwrap();
        assert_eq!(
            ended.signal(),
            Some(SIGKILL),
            "it was killed, and did not end before"
        );
        drop(feeder.join().unwrap());
    });
    acknowledged
}

fn survives_being_killed(level: &str, seed: u64) {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut random = StdRng::seed_from_u64(seed);
    let mut found = 0;
    for life in 0..LIVES {
        let acknowledged = live_and_die(&log, level, found, &mut random);
        if acknowledged == 0 && segment_files_or_none(&log) {
            continue; // killed before the log was made
        }
        let bytes = cat(&log);
        let end = lines(&bytes).len() as u64;
        assert!(
            end >= acknowledged,
            "INV-F1: life {life}: {end} of {acknowledged} acknowledged"
        );
        assert!(
            end <= found + LINES_PER_LIFE,
            "INV-W3: life {life}: invented"
        );
        assert!(
            bytes == some_lines(0..end),
            "INV-W3: life {life}: not what was appended"
        );
        let (code, verify) = json("verify", &log);
        assert_eq!(
            (code, &verify["records"]),
            (0, &end.into()),
            "life {life}: {verify:#}"
        );
        found = end;
    }
    succeed(&mut ingest(&log, []), &line(found));
    assert!(
        cat(&log) == some_lines(0..found + 1),
        "a last life that ends well"
    );
    assert!(segment_files(&log).len() > LIVES / 2, "rotations happened");
}

fn segment_files_or_none(log: &Path) -> bool {
    !log.exists() || segment_files(log).is_empty()
}

#[test]
fn what_was_acknowledged_as_written_survives_the_death_of_the_process() {
    survives_being_killed("written", 0x57A7);
}

#[test]
fn what_was_acknowledged_as_durable_survives_the_death_of_the_process() {
    survives_being_killed("durable", 0xD00B);
}
