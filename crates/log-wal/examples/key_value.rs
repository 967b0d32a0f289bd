//! A key-value store on a write-ahead log: the map lives in memory, every
//! change is durable before it is acknowledged, and opening replays them.
//!
//! ```text
//! cargo run -p log-wal --example key_value
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use log_wal::{Lsn, Wal};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Store {
    wal: Wal,
    map: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a record says: the length of the key, the key, and for a change that
/// sets it, one more byte and the value.
const SET: u8 = 1;

fn encode(key: &[u8], value: Option<&[u8]>) -> Outcome<Vec<u8>> {
    let mut change = u32::try_from(key.len())?.to_le_bytes().to_vec();
    change.extend(key);
    if let Some(value) = value {
        change.push(SET);
        change.extend(value);
    }
    Ok(change)
}

fn decode(change: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (length, rest) = change.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((key, rest.split_first().map(|(_set, value)| value)))
}

impl Store {
    fn open(directory: &Path) -> Outcome<Self> {
        let wal = Wal::open(directory)?;
        let mut map = BTreeMap::new();
        for record in wal.iter() {
            let record = record?;
            let (key, value) = decode(record.payload()).ok_or("not a change")?;
            apply(&mut map, key, value);
        }
        Ok(Self { wal, map })
    }

    /// On return the change survives loss of power.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Outcome<Lsn> {
        self.change(key, Some(value))
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<Lsn> {
        self.change(key, None)
    }

    /// The log first: what it refuses never happened.
    fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Outcome<Lsn> {
        let lsn = self.wal.append_durable(&encode(key, value)?)?;
        apply(&mut self.map, key, value);
        Ok(lsn)
    }
}

fn apply(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => map.insert(key.to_vec(), value.to_vec()),
        None => map.remove(key),
    };
}

fn main() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let mut store = Store::open(directory.path())?;
    store.set(b"pears", b"3")?;
    store.set(b"apples", b"5")?;
    store.set(b"pears", b"4")?;
    store.remove(b"apples")?;
    let before = store.map.clone();
    drop(store);

    let store = Store::open(directory.path())?;
    assert_eq!(store.map, before, "what was acknowledged is there again");
    assert_eq!(store.map.get(&b"pears"[..]), Some(&b"4".to_vec()));
    assert_eq!(store.wal.next_lsn(), Lsn(4), "every change is a record");
    println!(
        "{} keys after {} changes",
        before.len(),
        store.wal.next_lsn()
    );
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() -> Outcome<()> {
    main()
}
