//! How long does it take until a value that was appended is seen?
//!
//! Two threads answer each other as fast as they can, each over a structure of
//! its own; the time of a round trip is halved. The *floor* is the same game
//! with one atomic word each way. Rounds of all candidates alternate, because
//! where a machine runs two threads makes more of a difference than anything
//! else; percentiles are over all rounds.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use log_core::{AtomicLog, Follower, Writer};

const TRIPS_PER_ROUND: u64 = 20_000;
const ROUNDS: usize = 25;

/// One end of a connection to another thread.
trait End: Send {
    fn send(&mut self, value: u64);
    fn receive(&mut self) -> u64;
}

struct Word<'a> {
    to: &'a AtomicU64,
    from: &'a AtomicU64,
    received: u64,
}

impl End for Word<'_> {
    fn send(&mut self, value: u64) {
        self.to.store(value, Ordering::Release);
    }

    fn receive(&mut self) -> u64 {
        loop {
            let value = self.from.load(Ordering::Acquire);
            if value != self.received {
                self.received = value;
                return value;
            }
            spin_loop();
        }
    }
}

struct Log {
    to: Writer<u64>,
    from: Follower<u64>,
}

impl End for Log {
    fn send(&mut self, value: u64) {
        self.to.append(value);
    }

    fn receive(&mut self) -> u64 {
        loop {
            if let Some(news) = self.from.next_slice().expect("it keeps up") {
                return news.values()[0];
            }
            spin_loop();
        }
    }
}

/// Half of each round trip, in nanoseconds.
fn trips(mut here: impl End, mut there: impl End) -> Vec<u64> {
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..TRIPS_PER_ROUND {
                let value = there.receive();
                there.send(value);
            }
        });
        (1..=TRIPS_PER_ROUND)
            .map(|trip| {
                let start = Instant::now();
                here.send(trip);
                assert_eq!(here.receive(), trip);
                start.elapsed().as_nanos() as u64 / 2
            })
            .collect()
    })
}

fn words() -> Vec<u64> {
    #[repr(align(128))]
    struct Line(AtomicU64);
    let (there, back) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let end = |to, from| Word {
        to,
        from,
        received: 0,
    };
    trips(end(&there.0, &back.0), end(&back.0, &there.0))
}

fn logs() -> Vec<u64> {
    let (there, there_log) = AtomicLog::new_claimed(1 << 16, 1 << 12);
    let (back, back_log) = AtomicLog::new_claimed(1 << 16, 1 << 12);
    let end = |to, log: &AtomicLog<u64>| Log {
        to,
        from: log.follow(),
    };
    trips(end(there, &back_log), end(back, &there_log))
}

type Candidate = (&'static str, fn() -> Vec<u64>);

#[cfg(not(feature = "peers"))]
mod peers {
    pub(crate) const CANDIDATES: [super::Candidate; 0] = [];
}

#[cfg(feature = "peers")]
mod peers {
    use disruptor::{BusySpin, EventPoller, Producer, SingleProducerBarrier};
    use tokio::sync::broadcast;

    use super::*;

    pub(crate) const CANDIDATES: [Candidate; 3] = [
        ("disruptor", rings),
        ("crossbeam-channel", channels),
        ("tokio broadcast", broadcasts),
    ];

    type Poller = EventPoller<u64, SingleProducerBarrier>;

    struct Ring<P> {
        to: P,
        from: Poller,
    }

    impl<P: Producer<u64> + Send> End for Ring<P> {
        fn send(&mut self, value: u64) {
            self.to.publish(|event| *event = value);
        }

        fn receive(&mut self) -> u64 {
            loop {
                if let Ok(mut events) = self.from.poll()
                    && let Some(value) = (&mut events).next()
                {
                    return *value;
                }
                spin_loop();
            }
        }
    }

    fn ring() -> (impl Producer<u64> + Send, Poller) {
        let builder = disruptor::build_single_producer(1 << 12, || 0, BusySpin);
        let (poller, builder) = builder.new_event_poller();
        (builder.build(), poller)
    }

    fn rings() -> Vec<u64> {
        let ((there, there_poller), (back, back_poller)) = (ring(), ring());
        let here = Ring {
            to: there,
            from: back_poller,
        };
        trips(
            here,
            Ring {
                to: back,
                from: there_poller,
            },
        )
    }

    struct Channel {
        to: crossbeam_channel::Sender<u64>,
        from: crossbeam_channel::Receiver<u64>,
    }

    impl End for Channel {
        fn send(&mut self, value: u64) {
            self.to.send(value).expect("the other end is there");
        }

        fn receive(&mut self) -> u64 {
            loop {
                if let Ok(value) = self.from.try_recv() {
                    return value;
                }
                spin_loop();
            }
        }
    }

    fn channels() -> Vec<u64> {
        let (there, there_end) = crossbeam_channel::bounded(1 << 12);
        let (back, back_end) = crossbeam_channel::bounded(1 << 12);
        let here = Channel {
            to: there,
            from: back_end,
        };
        trips(
            here,
            Channel {
                to: back,
                from: there_end,
            },
        )
    }

    struct Broadcast {
        to: broadcast::Sender<u64>,
        from: broadcast::Receiver<u64>,
    }

    impl End for Broadcast {
        fn send(&mut self, value: u64) {
            self.to.send(value).expect("the other end is there");
        }

        fn receive(&mut self) -> u64 {
            loop {
                if let Ok(value) = self.from.try_recv() {
                    return value;
                }
                spin_loop();
            }
        }
    }

    fn broadcasts() -> Vec<u64> {
        let (there, there_end) = broadcast::channel(1 << 12);
        let (back, back_end) = broadcast::channel(1 << 12);
        let here = Broadcast {
            to: there,
            from: back_end,
        };
        trips(
            here,
            Broadcast {
                to: back,
                from: there_end,
            },
        )
    }
}

fn main() {
    let ours: [Candidate; 2] = [("floor (one word)", words), ("AtomicLog", logs)];
    let candidates: Vec<_> = ours.into_iter().chain(peers::CANDIDATES).collect();
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..ROUNDS {
        for ((_, run), times) in candidates.iter().zip(&mut times) {
            times.extend(run());
        }
    }
    println!("publish to observe, ns   p10   p50   p99");
    for ((name, _), times) in candidates.iter().zip(&mut times) {
        times.sort_unstable();
        let percentile = |percent| times[times.len() * percent / 100];
        let (p10, p50, p99) = (percentile(10), percentile(50), percentile(99));
        println!("{name:22} {p10:5} {p50:5} {p99:5}");
    }
}
