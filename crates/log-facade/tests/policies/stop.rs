//! The housekeeper ends with its log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use log_facade::{Alarm, Clock, Log, SystemClock, Timestamp};

use crate::support::{Bed, HOUR, SECOND, fill};

#[test]
fn dropping_a_log_ends_its_thread_however_long_it_would_sleep() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(HOUR * 1000));
    fill(&log, 3);
    assert!(log.stats().housekeeping.is_running);
    drop(log);
    // The clock waits for every thread that lives by it.
    bed.clock.advance(HOUR * 2000);
    let log = bed.open(bed.options().flush_interval(SECOND));
    assert_eq!(log.next_lsn().0, 3, "the lock is free");
    log.close().unwrap();
    bed.clock.settle();
}

#[test]
fn a_log_can_be_dropped_while_its_housekeeper_works() {
    for round in 0..50 {
        let bed = Bed::new();
        let options = bed.options().retain_records(5).rotate_records(5);
        let log = bed.open(options.flush_interval(SECOND));
        // Rings it, and does not wait.
        fill(&log, 20 + round % 7);
        drop(log);
        let log = bed.open(bed.options());
        assert_eq!(log.next_lsn().0, 20 + round % 7);
    }
}

/// Counts who asks it to wait for nothing.
#[derive(Debug)]
struct Watched {
    clock: SystemClock,
    waits: Arc<AtomicUsize>,
}

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn uptime(&self) -> Duration {
        self.clock.uptime()
    }
    fn wait(&self, alarm: &Alarm, deadline: Option<Duration>) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.clock.wait(alarm, deadline);
    }
}

/// By the machine's clock, with a deadline that never comes.
#[test]
fn the_housekeeper_sleeps_until_something_is_due() {
    let directory = tempfile::tempdir().unwrap();
    let waits = Arc::new(AtomicUsize::new(0));
    let clock = Watched {
        clock: SystemClock::new(),
        waits: Arc::clone(&waits),
    };
    let options = Log::options().clock(clock).flush_interval(HOUR);
    let log = options.open(directory.path()).unwrap();
    for _ in 0..1000 {
        log.append(b"x").unwrap();
    }
    drop(log);
    assert!(
        waits.load(Ordering::SeqCst) <= 2,
        "no loop that looks again and again"
    );
}
