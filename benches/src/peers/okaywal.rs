//! okaywal: entries of chunks, a sync per entry that concurrent callers share.
//!
//! It drops what was checkpointed and uses the file again, at its defaults
//! every 768 KiB; our manager has nothing to do for that.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use log_wal::Level;
use okaywal::{Configuration, Entry, EntryId, LogManager, LogVoid, SegmentReader, WriteAheadLog};

use crate::damage::Contents;
use crate::logs::Log;

struct Peer(WriteAheadLog);

impl Log for Peer {
    fn append(&self, writer: usize, payload: &[u8]) {
        self.append_batch(writer, &[payload]);
    }

    fn append_batch(&self, _writer: usize, payloads: &[&[u8]]) {
        let appended = self.0.begin_entry().and_then(|mut entry| {
            for payload in payloads {
                entry.write_chunk(payload)?;
            }
            entry.commit()
        });
        appended.expect("there is room");
    }
}

/// Opens it in `directory`.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, _level: Level) -> Box<dyn Log> {
    let log = Configuration::default_for(directory).open(LogVoid);
    Box::new(Peer(log.expect("it opens")))
}

/// Opens it so that it keeps up to `bytes_max`, in one file.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open_keeping(directory: &Path, bytes_max: u32) -> Box<dyn Log> {
    let log = keeping(directory, bytes_max).open(LogVoid);
    Box::new(Peer(log.expect("it opens")))
}

fn keeping(directory: &Path, bytes_max: u32) -> Configuration {
    Configuration::default_for(directory)
        .preallocate_bytes(bytes_max)
        .checkpoint_after_bytes(u64::from(bytes_max))
}

/// Counts what it recovers.
#[derive(Clone, Debug, Default)]
struct Counter {
    records: Arc<AtomicU64>,
    payload_bytes: Arc<AtomicU64>,
}

impl LogManager for Counter {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        // Relaxed: counts, read when the log is open.
        for chunk in entry.read_all_chunks()?.into_iter().flatten() {
            self.records.fetch_add(1, Ordering::Relaxed);
            let bytes = chunk.len() as u64;
            self.payload_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what was kept, which reads all of it; how many records and payload
/// bytes that is.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn recover(directory: &Path, bytes_max: u32) -> (u64, u64) {
    let counter = Counter::default();
    let log = keeping(directory, bytes_max).open(counter.clone());
    drop(log.expect("it opens"));
    let counts = [&counter.records, &counter.payload_bytes];
    let [records, payload_bytes] = counts.map(|count| count.load(Ordering::Relaxed));
    (records, payload_bytes)
}

/// Keeps what it recovers.
#[derive(Clone, Debug, Default)]
struct Keeper(Arc<Mutex<Contents>>);

impl LogManager for Keeper {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let chunks = entry.read_all_chunks()?;
        let mut contents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        contents.records.extend(chunks.into_iter().flatten());
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

/// Opens it, which reads everything. It has no way to say that it cut
/// something.
///
/// # Errors
///
/// What it says.
pub fn contents(directory: &Path) -> Result<Contents, String> {
    let keeper = Keeper::default();
    let log = Configuration::default_for(directory).open(keeper.clone());
    drop(log.map_err(|error| error.to_string())?);
    let contents = keeper.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(contents.clone())
}
