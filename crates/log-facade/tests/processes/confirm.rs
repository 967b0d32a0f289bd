//! A consumer that is killed wherever it is: it sees every record at least once,
//! and never finds its cursor where it has not been (`INV-F5`).

use std::collections::BTreeSet;
use std::hint::black_box;

use log_facade::{Lsn, PinBound, StartAt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Other, given_directory, payload, small};

const LIVES: u64 = 30;

/// Appends, consumes and confirms until it is killed, and says so. Drops what
/// its cursor does not keep.
#[test]
#[ignore = "plays the other process of a test"]
fn consume_until_killed() {
    let Some(directory) = given_directory() else {
        return;
    };
    let log = small().open(directory).unwrap();
    let cursor = log.cursor("consumer").unwrap();
    cursor.pin(PinBound::unbounded()).unwrap();
    println!("end: {}", log.next_lsn());
    println!("stands: {}", cursor.position());
    let at = StartAt::Cursor("consumer".to_owned());
    let mut subscription = log.subscribe(at).unwrap();
    for step in 0_u64.. {
        for _ in 0..step % 9 {
            log.append(&payload(log.next_lsn().0)).unwrap();
        }
        let mut last = None;
        for _ in 0..step % 7 {
            let Some(record) = subscription.try_next().unwrap() else {
                break;
            };
            assert_eq!(record.payload(), payload(record.lsn().0));
            println!("saw: {}", record.lsn());
            last = Some(record.lsn());
        }
        if let Some(last) = last {
            println!("confirms: {last}");
            cursor.confirm(last).unwrap();
            println!("confirmed: {last}");
        }
        if step % 20 == 19 {
            log.rotate().unwrap();
            log.drop_before(log.next_lsn()).unwrap();
            println!("first: {}", log.first_lsn());
        }
    }
}

/// What is known of the consumer, over all its lives.
#[derive(Default)]
struct Known {
    /// One past the last record that was acknowledged as confirmed.
    confirmed: u64,
    /// One past the last that it began to confirm.
    asked: u64,
    /// What it saw, in any life.
    seen: BTreeSet<u64>,
    /// What it sees next, in this one.
    next: u64,
    /// How often it saw a record again.
    again: u64,
    first: u64,
}

impl Known {
    fn hears(&mut self, word: &str, number: u64) {
        match word {
            "end" => assert!(self.asked <= number, "the log has what was confirmed"),
            "stands" => {
                let may = self.confirmed..=self.asked;
                assert!(may.contains(&number), "INV-F5: {number} is not in {may:?}");
                self.next = number;
            }
            "saw" => {
                assert_eq!(number, self.next, "no gap and no repetition within a life");
                self.next += 1;
                self.again += u64::from(!self.seen.insert(number));
            }
            "confirms" => self.asked = number + 1,
            "confirmed" => self.confirmed = number + 1,
            "first" => {
                assert!(number <= self.confirmed, "the cursor keeps the rest");
                self.first = number;
            }
            _ => {}
        }
    }
}

/// Fault 45: the log can be opened at once, by the next one.
#[test]
fn a_killed_consumer_sees_every_record_at_least_once_and_its_cursor_never_runs_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(0x5EED);
    let mut known = Known::default();
    for life in 0..LIVES {
        let mut consumer = Other::plays("confirm::consume_until_killed", directory.path());
        // Some die before they have said a word, or in the middle of opening.
        for _ in 0..random.random_range(0..120_u64) * (life % 5) {
            let (word, number) = consumer.says().unwrap();
            known.hears(&word, number);
        }
        for spin in 0..random.random_range(0..200_000_u64) {
            black_box(spin);
        }
        consumer.kill();
        // What it had said before it died counts.
        while let Some((word, number)) = consumer.says() {
            known.hears(&word, number);
        }
    }
    assert!(
        known.confirmed > 500 && known.first > 100,
        "it came some way"
    );
    let log = small().open(directory.path()).unwrap();
    let position = log.cursor("consumer").unwrap().position();
    known.hears("stands", position.0);
    assert!(position <= log.next_lsn());
    let all: BTreeSet<u64> = (0..position.0).collect();
    assert!(known.seen.is_superset(&all), "INV-F5: at least once");
    assert!(known.again > 0, "some died between seeing and confirming");
    let left = log.subscribe(StartAt::Lsn(position)).unwrap().try_next();
    if let Some(record) = left.unwrap() {
        assert_eq!(
            record.lsn(),
            Lsn(position.0),
            "what is not confirmed is there"
        );
    }
}
