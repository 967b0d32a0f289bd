//! walogs: one writer, a sync per record.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use log_wal::Level;
use walogs::{TailState, Wal};

use crate::damage::Contents;
use crate::logs::Log;

/// Its one writer may be any thread, one at a time.
struct Peer(Mutex<Wal>);

impl Log for Peer {
    fn append(&self, _writer: usize, payload: &[u8]) {
        let mut wal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wal.append(payload).expect("there is room");
    }
}

/// Opens it in `directory`.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, _level: Level) -> Box<dyn Log> {
    Box::new(Peer(Mutex::new(reopen(directory))))
}

/// Opens what may be there already, which scans it.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn reopen(directory: &Path) -> Wal {
    Wal::open(directory).expect("it opens")
}

/// Reads everything; how many records and payload bytes that is.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn replay(wal: &Wal) -> (u64, u64) {
    wal.iter().fold((0, 0), |(records, bytes), entry| {
        let (_, data) = entry.expect("it can be read");
        (records + 1, bytes + data.len() as u64)
    })
}

/// Opens it and reads everything.
///
/// # Errors
///
/// What it says.
pub fn contents(directory: &Path) -> Result<Contents, String> {
    let wal = Wal::open(directory).map_err(|error| error.to_string())?;
    let records = wal.iter().map(|entry| entry.map(|(_, data)| data));
    Ok(Contents {
        records: records
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?,
        says_cut: !matches!(wal.tail_state(), TailState::Clean),
    })
}
