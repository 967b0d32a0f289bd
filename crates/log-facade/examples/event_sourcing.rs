//! Event sourcing: the events are the truth, the state is what they add up to.
//! A snapshot of the state saves replaying all of them.
//!
//! ```text
//! cargo run -p log-facade --features json --example event_sourcing
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use log_facade::{Json, Level, Log, Lsn, TypedLog};
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug, Serialize, Deserialize)]
enum Event {
    Opened { account: String },
    Deposited { account: String, cents: u64 },
    Withdrawn { account: String, cents: u64 },
}

/// What the events below `next` add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Balances {
    next: u64,
    cents: BTreeMap<String, u64>,
}

impl Balances {
    fn apply(&mut self, lsn: Lsn, event: &Event) {
        match event {
            Event::Opened { account } => {
                self.cents.insert(account.clone(), 0);
            }
            Event::Deposited { account, cents } => {
                *self.cents.entry(account.clone()).or_default() += cents;
            }
            Event::Withdrawn { account, cents } => {
                let balance = self.cents.entry(account.clone()).or_default();
                *balance = balance.saturating_sub(*cents);
            }
        }
        self.next = lsn.0 + 1;
    }
}

fn open(directory: &Path) -> Outcome<TypedLog<Event, Json>> {
    let log = Log::options().acknowledge(Level::Durable).open(directory)?;
    Ok(TypedLog::new(log, Json::new(1)))
}

/// Goes on from `balances` with the events that came since; how many.
fn replay(events: &TypedLog<Event, Json>, balances: &mut Balances) -> Outcome<u64> {
    let mut replayed = 0;
    for event in events.iter_from(Lsn(balances.next)) {
        let event = event?;
        balances.apply(event.lsn(), &event.value);
        replayed += 1;
    }
    Ok(replayed)
}

fn main() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let (log, snapshot) = (
        directory.path().join("events"),
        directory.path().join("snapshot"),
    );

    let events = open(&log)?;
    let account = || "ada".to_owned();
    events.append(&Event::Opened { account: account() })?;
    for cents in [500, 250] {
        events.append(&Event::Deposited {
            account: account(),
            cents,
        })?;
    }
    let mut balances = Balances::default();
    assert_eq!(replay(&events, &mut balances)?, 3);
    // A snapshot says which events it has seen. It may be lost, or be old: the
    // events are still there.
    fs::write(&snapshot, serde_json::to_vec(&balances)?)?;
    events.append(&Event::Withdrawn {
        account: account(),
        cents: 100,
    })?;
    drop(events);

    let events = open(&log)?;
    let mut from_snapshot: Balances = serde_json::from_slice(&fs::read(&snapshot)?)?;
    assert_eq!(replay(&events, &mut from_snapshot)?, 1, "only what is new");
    let mut from_the_beginning = Balances::default();
    assert_eq!(replay(&events, &mut from_the_beginning)?, 4);
    assert_eq!(from_snapshot, from_the_beginning);
    assert_eq!(from_snapshot.cents["ada"], 650);
    println!("ada has {} cents", from_snapshot.cents["ada"]);
    Ok(())
}

#[test]
fn a_snapshot_and_the_events_behind_it_are_all_events() -> Outcome<()> {
    main()
}
