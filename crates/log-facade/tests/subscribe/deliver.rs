//! What a subscription delivers, and when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log_facade::engine::MemStorage;
use log_facade::{
    Clock, Level, Log, Lsn, ManualClock, NewRecord, NextError, ReadError, StartAt, SubscribeError,
    SubscribeOptions, Subscription,
};

use crate::{number_of, on_each_engine, payload, small};

fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        log.append(&payload(number)).unwrap();
    }
}

/// The numbers of everything that is there.
fn drain(subscription: &mut Subscription) -> Vec<u64> {
    let next = || subscription.try_next().unwrap();
    std::iter::from_fn(next)
        .map(|record| record.lsn().0)
        .collect()
}

#[test]
fn history_and_what_comes_are_delivered_once_and_in_order() {
    on_each_engine(|log| {
        fill(&log, 500);
        let mut subscription = log.subscribe(StartAt::Beginning).unwrap();
        for end in [500, 501, 900, 901] {
            fill(&log, end);
            while let Some(record) = subscription.try_next().unwrap() {
                assert_eq!(number_of(&record), record.lsn().0);
                assert_eq!(subscription.next_lsn(), Lsn(record.lsn().0 + 1));
            }
            assert_eq!(subscription.next_lsn(), Lsn(end));
        }
    });
}

#[test]
fn a_subscription_begins_where_it_is_told() {
    let clock = ManualClock::new();
    let log = small().clock(clock.clone()).open_in_memory().unwrap();
    fill(&log, 10);
    clock.advance(Duration::from_secs(1));
    let moment = clock.now();
    fill(&log, 20);
    let at = |start| log.subscribe(start).unwrap().next_lsn();
    assert_eq!(at(StartAt::Beginning), Lsn(0));
    assert_eq!(at(StartAt::End), Lsn(20));
    assert_eq!(at(StartAt::Lsn(Lsn(3))), Lsn(3));
    assert_eq!(at(StartAt::Time(moment)), Lsn(10));
    clock.advance(Duration::from_secs(1));
    assert_eq!(at(StartAt::Time(clock.now())), Lsn(20), "what comes");
    let mut ahead = log.subscribe(StartAt::Lsn(Lsn(25))).unwrap();
    fill(&log, 24);
    assert!(ahead.try_next().unwrap().is_none(), "still to come");
    fill(&log, 27);
    assert_eq!(drain(&mut ahead), [25, 26]);
}

#[test]
fn only_what_is_durable_is_delivered_to_who_asked_for_that() {
    let log = small().open_on(Arc::new(MemStorage::new())).unwrap();
    let durable = SubscribeOptions::new().level(Level::Durable);
    let mut subscription = log.subscribe_with(StartAt::Beginning, durable).unwrap();
    fill(&log, 3);
    assert_eq!(subscription.try_next().unwrap(), None);
    log.sync().unwrap();
    fill(&log, 5);
    assert_eq!(drain(&mut subscription), [0, 1, 2]);
    log.append_to(Level::Durable, &payload(5)).unwrap();
    assert_eq!(drain(&mut subscription), [3, 4, 5]);
}

#[test]
fn no_subscription_shows_what_the_log_does_not() {
    let log = small()
        .read_level(Level::Durable)
        .open_on(Arc::new(MemStorage::new()))
        .unwrap();
    let mut subscription = log.subscribe(StartAt::Beginning).unwrap();
    assert_eq!(subscription.level(), Level::Durable);
    log.append(b"not durable").unwrap();
    assert_eq!(subscription.try_next().unwrap(), None);
}

#[test]
fn a_level_that_is_not_kept_is_refused() {
    let log = small().open_in_memory().unwrap();
    let durable = SubscribeOptions::new().level(Level::Durable);
    let refused = log.subscribe_with(StartAt::Beginning, durable);
    assert!(matches!(refused, Err(SubscribeError::LevelNotKept { .. })));
}

/// `INV-F3`. The waits are without a limit: a wake-up that is lost hangs the test.
#[test]
fn whoever_waits_is_woken_at_its_level() {
    on_each_engine(|log| {
        let levels = [Level::Published, Level::Written, Level::Durable];
        let kept = levels.into_iter().filter(|level| *level <= log.keeps());
        let waiting: Vec<_> = kept
            .map(|level| {
                let options = SubscribeOptions::new().level(level);
                let mut subscription = log.subscribe_with(StartAt::End, options).unwrap();
                thread::spawn(move || subscription.next().unwrap().unwrap().lsn())
            })
            .collect();
        log.append(b"news").unwrap();
        if log.keeps() > Level::Published {
            log.flush().unwrap();
            log.sync().unwrap();
        }
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap(), Lsn(0));
        }
    });
}

/// A full segment becomes durable by the way, without anybody's sync.
#[test]
fn an_append_that_seals_a_segment_wakes_who_waits_for_durable_records() {
    let log = small().open_on(Arc::new(MemStorage::new())).unwrap();
    let durable = SubscribeOptions::new().level(Level::Durable);
    let mut subscription = log.subscribe_with(StartAt::End, durable).unwrap();
    let waiter = thread::spawn(move || subscription.next().unwrap().unwrap().lsn());
    // More than may wait in memory.
    fill(&log, 1000);
    assert_eq!(waiter.join().unwrap(), Lsn(0));
}

/// `INV-F3`. Fault 40: a reader that is positioned in front of the new start.
#[test]
fn a_subscription_that_retention_overtook_is_told_and_goes_on_at_the_first() {
    on_each_engine(|log| {
        fill(&log, 10);
        let mut subscription = log.subscribe(StartAt::Lsn(Lsn(4))).unwrap();
        fill(&log, 1000);
        if log.keeps() > Level::Published {
            log.sync().unwrap();
        }
        log.rotate().unwrap();
        assert!(log.drop_before(Lsn(500)).unwrap() > 0);
        let first = log.first_lsn();
        let told = subscription.try_next();
        assert!(matches!(
            told,
            Err(NextError::Read(ReadError::Truncated { requested: Lsn(4), first: said })) if said == first
        ));
        assert_eq!(
            drain(&mut subscription),
            (first.0..1000).collect::<Vec<_>>()
        );
    });
}

#[test]
fn records_that_were_taken_before_they_were_dropped_are_delivered_all_the_same() {
    let log = small().open_in_memory().unwrap();
    fill(&log, 1000);
    let mut subscription = log.subscribe(StartAt::Beginning).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().lsn(), Lsn(0));
    log.rotate().unwrap();
    log.drop_before(Lsn(1000)).unwrap();
    let mut expected = 1;
    let told = loop {
        match subscription.try_next() {
            Ok(record) => assert_eq!(record.unwrap().lsn(), Lsn(expected)),
            Err(error) => break error,
        }
        expected += 1;
    };
    let NextError::Read(ReadError::Truncated { requested, first }) = told else {
        panic!("{told}");
    };
    assert_eq!((requested, first), (Lsn(expected), log.first_lsn()));
}

#[test]
fn closing_the_log_ends_those_who_wait_and_frees_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let log = small().open(directory.path()).unwrap();
    log.append(b"first").unwrap();
    let mut kept = log.subscribe(StartAt::Beginning).unwrap();
    let mut waiting = log.subscribe(StartAt::End).unwrap();
    let waiter = thread::spawn(move || waiting.next().is_none());
    log.close().unwrap();
    assert!(waiter.join().unwrap());
    assert!(matches!(kept.try_next(), Err(NextError::Ended)));
    assert!(kept.next().is_none());

    let log = small().open(directory.path()).unwrap();
    let mut again = log.subscribe(StartAt::Lsn(kept.next_lsn())).unwrap();
    assert_eq!(again.try_next().unwrap().unwrap().payload(), b"first");
    drop(log);
    assert!(again.next().is_none(), "dropping it closes it");
}

#[test]
fn a_timeout_that_passes_is_no_end() {
    let log = small().open_in_memory().unwrap();
    let mut subscription = log.subscribe(StartAt::End).unwrap();
    assert_eq!(subscription.next_timeout(Duration::ZERO).unwrap(), None);
    log.append(b"now").unwrap();
    let next = subscription.next_timeout(Duration::MAX).unwrap();
    assert_eq!(next.unwrap().payload(), b"now");
}

#[test]
fn only_the_records_that_are_wanted_are_delivered() {
    on_each_engine(|log| {
        let users = SubscribeOptions::new().key_prefix(b"user/");
        let mut users = log.subscribe_with(StartAt::Beginning, users).unwrap();
        let short = SubscribeOptions::new().filter(|record| record.payload().len() < 3);
        let mut short = log.subscribe_with(StartAt::Beginning, short).unwrap();
        for (key, payload) in [("user/1", "ab"), ("order/1", "abc"), ("user/2", "abcd")] {
            let record = NewRecord::new(payload.as_bytes()).key(key.as_bytes());
            log.append_record(&record).unwrap();
        }
        log.append(b"").unwrap();
        assert_eq!(drain(&mut users), [0, 2]);
        assert_eq!(drain(&mut short), [0, 3]);
        assert_eq!(
            users.next_lsn(),
            Lsn(4),
            "also behind what it does not want"
        );
    });
}

#[test]
fn a_number_that_was_given_up_is_passed_over() {
    on_each_engine(|log| {
        let mut subscription = log.subscribe(StartAt::Beginning).unwrap();
        log.append(b"zero").unwrap();
        let given_up = catch_unwind(AssertUnwindSafe(|| {
            log.append_in_place(4, |_| panic!("half-way"))
        }));
        assert!(given_up.is_err());
        assert_eq!(drain(&mut subscription), [0]);
        log.append(b"two").unwrap();
        assert_eq!(drain(&mut subscription), [2]);
    });
}
