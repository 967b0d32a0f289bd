//! wal-db: one growing file, a `pwrite` per record.

use std::path::Path;

use log_wal::Level;
use wal_db::{Lsn, Wal};

use crate::damage::Contents;
use crate::logs::Log;

struct Peer {
    wal: Wal,
    level: Level,
}

impl Log for Peer {
    fn append(&self, _writer: usize, payload: &[u8]) {
        let appended = match self.level {
            Level::Durable => self.wal.append_and_sync(payload),
            _ => self.wal.append(payload),
        };
        let _lsn = appended.expect("there is room");
    }
}

/// Opens it in `directory`.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, level: Level) -> Box<dyn Log> {
    let wal = reopen(directory);
    Box::new(Peer { wal, level })
}

/// Opens what may be there already, which scans it.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn reopen(directory: &Path) -> Wal {
    Wal::open(directory.join("wal")).expect("it opens")
}

/// Reads everything; how many records and payload bytes that is.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn replay(wal: &Wal) -> (u64, u64) {
    let entries = wal.iter().expect("it can be read");
    entries.fold((0, 0), |(records, bytes), entry| {
        let entry = entry.expect("it is whole");
        (records + 1, bytes + entry.data().len() as u64)
    })
}

/// Where each record lies: its numbers are positions.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn positions(wal: &Wal) -> Vec<Lsn> {
    let entries = wal.iter().expect("it can be read");
    entries
        .map(|entry| entry.expect("it is whole").lsn())
        .collect()
}

/// Reads the record at `position`; its length.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn read_one(wal: &Wal, position: Lsn) -> usize {
    let entry = wal.iter_from(position).expect("it can be read").next();
    entry.expect("there is one").expect("it is whole").len()
}

/// Opens it and reads everything.
///
/// # Errors
///
/// What it says.
pub fn contents(directory: &Path) -> Result<Contents, String> {
    let wal = Wal::open(directory.join("wal")).map_err(|error| error.to_string())?;
    let entries = wal.iter().map_err(|error| error.to_string())?;
    let records = entries.map(|entry| entry.map(|entry| entry.into_data()));
    Ok(Contents {
        records: records
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?,
        says_cut: wal.truncated_on_open() > 0,
    })
}
