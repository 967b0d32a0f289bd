//! commitlog: one `write` a message, an index entry for each in a mapping. Its
//! `flush` leaves dirty pages behind, so that it has nothing durable to offer.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use commitlog::message::MessageSet;
use commitlog::{LogOptions, ReadLimit};
use log_wal::Level;

pub use commitlog::CommitLog;

use crate::logs::Log;

/// Enough for one message of the benches, and too little for two.
const ONE_MESSAGE: usize = 400;
/// As much as is read at once by who reads all.
const MANY_MESSAGES: usize = 64 << 10;

/// Its one writer may be any thread, one at a time.
struct Peer(Mutex<CommitLog>);

impl Log for Peer {
    fn append(&self, _writer: usize, payload: &[u8]) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.append_msg(payload).expect("there is room");
    }
}

/// Opens it in `directory`.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, _level: Level) -> Box<dyn Log> {
    Box::new(Peer(Mutex::new(reopen(directory, None))))
}

/// Opens what may be there already, with segments of so many bytes if it says
/// how many; as many as the default index has room for if not.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn reopen(directory: &Path, segment_bytes: Option<usize>) -> CommitLog {
    let mut options = LogOptions::new(directory.join("log"));
    if let Some(bytes) = segment_bytes {
        options.segment_max_bytes(bytes);
    }
    CommitLog::new(options).expect("it opens")
}

/// Appends so many records.
///
/// # Panics
///
/// If there is no room.
pub fn fill(log: &mut CommitLog, records: u64, payload: &[u8]) {
    for _ in 0..records {
        log.append_msg(payload).expect("there is room");
    }
}

/// Reads one record; its first byte.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn read(log: &CommitLog, offset: u64) -> u8 {
    let found = log.read(offset, ReadLimit::max_bytes(ONE_MESSAGE));
    let found = found.expect("it is whole");
    let message = found.iter().next().expect("it is there");
    assert_eq!(message.offset(), offset, "it is that one");
    message.payload().first().copied().unwrap_or_default()
}

/// Reads everything; how many records that is.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn replay(log: &CommitLog) -> u64 {
    let mut next = 0;
    loop {
        let found = log.read(next, ReadLimit::max_bytes(MANY_MESSAGES));
        let found = found.expect("it is whole");
        let messages = found.iter().map(|message| {
            std::hint::black_box(message.payload().first());
        });
        match messages.count() as u64 {
            0 => return next,
            count => next += count,
        }
    }
}
