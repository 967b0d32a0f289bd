//! okaywal: entries of chunks, a sync per entry that concurrent callers share.
//!
//! It drops what was checkpointed and uses the file again, at its defaults
//! every 768 KiB; our manager has nothing to do for that.

use std::fmt::Debug;
use std::io;
use std::path::Path;
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

/// Shows each record that is recovered to somebody.
#[derive(Debug)]
struct Viewer<T> {
    seen: Arc<Mutex<T>>,
    see: fn(&mut T, Vec<u8>),
}

impl<T: Clone + Default + Send + Debug + 'static> Viewer<T> {
    /// Opens a log; what was made of its records.
    fn open(configuration: Configuration, see: fn(&mut T, Vec<u8>)) -> io::Result<T> {
        let seen = Arc::<Mutex<T>>::default();
        let viewer = Self {
            seen: Arc::clone(&seen),
            see,
        };
        drop(configuration.open(viewer)?);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(seen.clone())
    }
}

impl<T: Send + Debug + 'static> LogManager for Viewer<T> {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let chunks = entry.read_all_chunks()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in chunks.into_iter().flatten() {
            (self.see)(&mut seen, chunk);
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
    let counts = Viewer::open(
        keeping(directory, bytes_max),
        |counts: &mut (u64, u64), record| {
            counts.0 += 1;
            counts.1 += record.len() as u64;
        },
    );
    counts.expect("it opens")
}

/// Opens it, which reads everything. It has no way to say that it cut
/// something.
///
/// # Errors
///
/// What it says.
pub fn contents(directory: &Path) -> Result<Contents, String> {
    let configuration = Configuration::default_for(directory);
    let contents = Viewer::open(configuration, |contents: &mut Contents, record| {
        contents.records.push(record);
    });
    contents.map_err(|error| error.to_string())
}
