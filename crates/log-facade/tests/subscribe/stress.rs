//! Real threads: appends, syncs, rotation and retention under subscriptions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use log_facade::engine::MemStorage;
use log_facade::{Level, Log, Lsn, ReadError, Record, StartAt, SubscribeOptions, Subscription};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{number_of, payload, small};

const WRITERS: u64 = 3;
const RECORDS_EACH: u64 = 4000;
const END: u64 = WRITERS * RECORDS_EACH;

/// Appends numbers of its own, in order, by ones and by batches.
fn write(log: &Log, writer: u64) {
    let mut rng = StdRng::seed_from_u64(writer);
    let mut count = 0;
    while count < RECORDS_EACH {
        let many = rng.random_range(1..=8).min(RECORDS_EACH - count);
        let payloads: Vec<_> = (count..count + many)
            .map(|number| payload(writer << 32 | number))
            .collect();
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let level = match rng.random_range(0..50) {
            0 => Level::Durable,
            1 => Level::Written,
            _ => Level::Published,
        };
        log.append_batch_to(level, &payloads).unwrap();
        count += many;
    }
}

/// Reads to the end, and checks that there is no gap but those it is told of.
/// Returns everything, and how many numbers it was told that it lost.
fn follow(subscription: Subscription) -> (Vec<Record>, u64) {
    let mut next = subscription.next_lsn().0;
    let mut lost = 0;
    let mut records = Vec::new();
    for record in subscription {
        match record {
            Ok(record) => {
                assert_eq!(record.lsn().0, next);
                next += 1;
                records.push(record);
            }
            Err(ReadError::Truncated { requested, first }) => {
                assert_eq!(requested.0, next);
                assert!(first > requested);
                lost += first.0 - next;
                next = first.0;
            }
            Err(error) => panic!("{error}"),
        }
        if next == END {
            break;
        }
    }
    (records, lost)
}

/// Each writer's numbers come in its order.
fn check_order(records: &[Record]) {
    let mut seen = [None; WRITERS as usize];
    for record in records {
        let (writer, number) = (number_of(record) >> 32, number_of(record) & 0xFFFF_FFFF);
        let last = &mut seen[writer as usize];
        assert!(last.is_none_or(|last| last < number));
        *last = Some(number);
    }
}

/// `INV-F3`
#[test]
fn nothing_is_lost_doubled_or_reordered_while_the_log_rotates_and_drops() {
    let log = small().open_on(Arc::new(MemStorage::new())).unwrap();
    let subscribe = |level| {
        let options = SubscribeOptions::new().level(level);
        log.subscribe_with(StartAt::Beginning, options).unwrap()
    };
    let levels = [Level::Published, Level::Written, Level::Durable];
    let subscriptions: Vec<_> = levels.into_iter().chain(levels).map(subscribe).collect();
    let is_done = AtomicBool::new(false);
    let start = Barrier::new(WRITERS as usize + subscriptions.len() + 1);
    thread::scope(|scope| {
        let followers: Vec<_> = subscriptions
            .into_iter()
            .map(|subscription| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    follow(subscription)
                })
            })
            .collect();
        let housekeeper = scope.spawn(|| {
            let mut rng = StdRng::seed_from_u64(99);
            start.wait();
            while !is_done.load(Ordering::Acquire) {
                let end = log.watermarks().durable_end.0;
                log.drop_before(Lsn(end.saturating_sub(rng.random_range(0..4000))))
                    .unwrap();
                log.rotate().unwrap();
                thread::yield_now();
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (log, start) = (&log, &start);
                scope.spawn(move || {
                    start.wait();
                    write(log, writer);
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::Release);
        housekeeper.join().unwrap();
        log.sync().unwrap();
        for follower in followers {
            let (records, lost) = follower.join().unwrap();
            assert_eq!(records.len() as u64 + lost, END);
            check_order(&records);
        }
    });
}

/// No thread each, and the writer waits for none of them.
#[test]
fn a_thousand_subscriptions_see_everything_and_hold_up_nobody() {
    let log = small().open_in_memory().unwrap();
    let subscribe = |_| log.subscribe(StartAt::Beginning).unwrap();
    let mut subscriptions: Vec<_> = (0..1000).map(subscribe).collect();
    for round in 0..3 {
        for number in round * 100..round * 100 + 100 {
            log.append(&payload(number)).unwrap();
        }
        for subscription in &mut subscriptions {
            for expected in round * 100..round * 100 + 100 {
                let record = subscription.try_next().unwrap().unwrap();
                assert_eq!(number_of(&record), expected);
            }
            assert!(subscription.try_next().unwrap().is_none());
        }
    }
}
