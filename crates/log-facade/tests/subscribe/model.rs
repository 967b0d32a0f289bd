//! Any sequence of calls, against a list.

use std::ops::Range;
use std::sync::Arc;

use log_facade::engine::MemStorage;
use log_facade::{Level, Log, Lsn, NextError, ReadError, StartAt, SubscribeOptions, Subscription};
use proptest::prelude::*;

use crate::{number_of, payload, small};

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Batch(u8),
    Sync,
    Rotate,
    /// Up to which part of the log, in 256ths.
    DropBefore(u8),
    /// From which part of the log on.
    Cut(u8),
    /// From which part of the log on.
    Subscribe(u8, bool),
    /// How much one of them reads.
    Read(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Append),
        2 => (0..200_u8).prop_map(Step::Batch),
        1 => Just(Step::Sync),
        1 => Just(Step::Rotate),
        1 => any::<u8>().prop_map(Step::DropBefore),
        1 => any::<u8>().prop_map(Step::Cut),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(at, durable)| Step::Subscribe(at, durable)),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(who, many)| Step::Read(who, many)),
    ]
}

/// A subscription, and the number that it has to deliver next.
struct Follower {
    subscription: Subscription,
    expected: u64,
    /// What it has delivered or passed over and was cut, and not told yet.
    cut: Option<Range<u64>>,
    /// Whether it stands where it was told to begin.
    is_fresh: bool,
}

impl Follower {
    fn end(&self, log: &Log) -> u64 {
        match self.subscription.level() {
            Level::Durable => log.watermarks().durable_end.0,
            _ => log.next_lsn().0,
        }
    }

    fn cut(&mut self, end: u64) {
        if self.expected > end && !self.is_fresh {
            let told = self.cut.take().map_or(self.expected, |cut| cut.end);
            self.cut = Some(end..told);
            self.expected = end;
        }
    }

    /// `said` is what each record of the log says.
    fn read(&mut self, log: &Log, said: &[u64]) {
        let cut = self.cut.take();
        match self.subscription.try_next() {
            Ok(Some(record)) => {
                assert_eq!(cut, None, "it has to be told first");
                assert_eq!(record.lsn().0, self.expected);
                assert_eq!(number_of(&record), said[self.expected as usize]);
                assert!(record.lsn().0 < self.end(log));
                self.expected += 1;
                self.is_fresh = false;
            }
            Err(NextError::Discarded { first, next }) => {
                assert_eq!(Some(first.0..next.0), cut);
            }
            Ok(None) => assert!(self.expected >= self.end(log), "nothing is held back"),
            Err(NextError::Read(ReadError::Truncated { requested, first })) => {
                assert_eq!(requested.0, self.expected);
                assert_eq!(first, log.first_lsn());
                assert!(first > requested);
                self.expected = first.0;
                self.is_fresh = false;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.subscription.next_lsn().0, self.expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// `INV-F3`
    #[test]
    fn a_subscription_is_the_log_read_once(steps in prop::collection::vec(step(), 1..80)) {
        let mut log = small().open_on(Arc::new(MemStorage::new())).unwrap();
        let mut followers = Vec::new();
        // Each record says another number, also one that takes the place of
        // another.
        let mut said = Vec::new();
        let mut numbers = 0_u64..;
        for step in steps {
            let next = log.next_lsn().0;
            let part = |at: u8| Lsn(next * u64::from(at) / 256);
            match step {
                Step::Append(count) => for number in numbers.by_ref().take(count.into()) {
                    log.append(&payload(number)).unwrap();
                    said.push(number);
                },
                Step::Batch(count) => {
                    let batch: Vec<_> = numbers.by_ref().take(count.into()).collect();
                    let payloads: Vec<_> = batch.iter().copied().map(payload).collect();
                    let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
                    // One that is longer than a segment gets one of its own.
                    log.append_batch(&payloads).unwrap();
                    said.extend(batch);
                }
                Step::Cut(at) => {
                    let end = part(at).max(log.first_lsn());
                    log.truncate_after(end).unwrap();
                    said.truncate(end.0 as usize);
                    for follower in &mut followers {
                        Follower::cut(follower, end.0);
                    }
                }
                Step::Sync => { log.sync().unwrap(); }
                Step::Rotate => { log.rotate().unwrap(); }
                Step::DropBefore(at) => { log.drop_before(part(at)).unwrap(); }
                Step::Subscribe(at, durable) => {
                    let level = if durable { Level::Durable } else { Level::Published };
                    let options = SubscribeOptions::new().level(level);
                    let start = part(at);
                    let subscription = log.subscribe_with(StartAt::Lsn(start), options).unwrap();
                    followers.push(Follower {
                        subscription,
                        expected: start.0,
                        cut: None,
                        is_fresh: true,
                    });
                }
                Step::Read(who, many) => {
                    let count = followers.len().max(1);
                    if let Some(follower) = followers.get_mut(usize::from(who) % count) {
                        (0..many).for_each(|_| follower.read(&log, &said));
                    }
                }
            }
        }
    }
}
