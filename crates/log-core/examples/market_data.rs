//! Market data fanned out inside one process: one feed writes, and consumers
//! with different needs read beside it, without slowing it down.
//!
//! ```text
//! cargo run -p log-core --example market_data
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;

use log_core::{AtomicLog, Follower, Lsn, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quote {
    instrument: u32,
    cents: u64,
}

const INSTRUMENTS: u32 = 7;
const QUOTES: u64 = 10_000;

fn quote(nth: u64) -> Quote {
    let instrument = (nth % u64::from(INSTRUMENTS)) as u32;
    let cents = 10_000 + nth * 31 % 97;
    Quote { instrument, cents }
}

/// The feed: one thread, the only writer.
fn publish(mut feed: Writer<Quote>) {
    for nth in 0..QUOTES {
        feed.append(quote(nth));
    }
}

/// A consumer that needs every quote: the volume of prices seen.
fn sum_all(mut quotes: Follower<Quote>) -> Result<u64, log_core::Gap> {
    let mut sum = 0;
    while quotes.position() < Lsn(QUOTES) {
        // A whole slice at a time, as many as came since.
        match quotes.next_slice()? {
            Some(slice) => sum += slice.values().iter().map(|quote| quote.cents).sum::<u64>(),
            None => {
                quotes.wait(None);
            }
        }
    }
    Ok(sum)
}

/// A consumer that needs the last price only, and may miss older ones.
fn last_prices(log: &AtomicLog<Quote>) -> BTreeMap<u32, u64> {
    let view = log.snapshot();
    let prices = view.iter().map(|quote| (quote.instrument, quote.cents));
    prices.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    // Retains all quotes, so that even the slowest follower misses none.
    let (feed, log) = AtomicLog::new_claimed(QUOTES as usize, 1024);
    let followers: Vec<_> = (0..3).map(|_| log.follow()).collect();

    let sums = thread::scope(|scope| {
        let consumers: Vec<_> = followers
            .into_iter()
            .map(|follower| scope.spawn(|| sum_all(follower)))
            .collect();
        scope.spawn(|| publish(feed));
        let joined = consumers.into_iter().map(|consumer| consumer.join());
        joined.collect::<Result<Result<Vec<_>, _>, _>>()
    });
    let sums = sums.map_err(|_| "a consumer panicked")??;

    let expected: u64 = (0..QUOTES).map(|nth| quote(nth).cents).sum();
    assert_eq!(sums, [expected; 3], "each consumer saw each quote once");
    let last: BTreeMap<_, _> = (0..QUOTES)
        .map(quote)
        .map(|q| (q.instrument, q.cents))
        .collect();
    assert_eq!(last_prices(&log), last);
    println!("3 consumers saw {QUOTES} quotes each");
    Ok(())
}

#[test]
fn every_consumer_sees_every_quote() -> Result<(), Box<dyn Error>> {
    main()
}
