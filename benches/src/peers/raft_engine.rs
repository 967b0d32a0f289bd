//! raft-engine: many logs in one, each with an index in memory.
//!
//! A writer is a raft group. Compression is off, because it would make nothing
//! of a bench's payloads.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use log_wal::Level;
use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::damage::Contents;
use crate::logs::Log;

/// Most writers that a bench has.
const WRITERS_MAX: usize = 64;
/// Entries that a replay asks for at once.
const WINDOW: u64 = 1024;

/// Entries are messages that begin with their index.
#[derive(Clone)]
struct Indexed;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let index = entry.value.first_chunk().copied();
        u64::from_le_bytes(index.unwrap_or_default())
    }
}

/// What a writer appends with.
struct Writer {
    batch: LogBatch,
    entries: Vec<BytesValue>,
    next_index: u64,
}

struct Peer {
    engine: Engine,
    sync: bool,
    writers: Vec<Mutex<Writer>>,
}

impl Log for Peer {
    fn append(&self, writer: usize, payload: &[u8]) {
        self.append_batch(writer, &[payload]);
    }

    fn append_batch(&self, writer: usize, payloads: &[&[u8]]) {
        let state = self.writers[writer].lock();
        let state = &mut *state.unwrap_or_else(PoisonError::into_inner);
        state.entries.resize_with(payloads.len(), BytesValue::new);
        for (entry, payload) in state.entries.iter_mut().zip(payloads) {
            entry.value.clear();
            entry.value.extend_from_slice(payload);
            entry.value[..8].copy_from_slice(&state.next_index.to_le_bytes());
            state.next_index += 1;
        }
        let added = state
            .batch
            .add_entries::<Indexed>(writer as u64 + 1, &state.entries);
        added.expect("it fits");
        let written = self.engine.write(&mut state.batch, self.sync);
        written.expect("there is room");
    }
}

/// Opens it in `directory`.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, level: Level) -> Box<dyn Log> {
    let writer = |_| {
        Mutex::new(Writer {
            batch: LogBatch::default(),
            entries: Vec::new(),
            next_index: 1,
        })
    };
    Box::new(Peer {
        engine: reopen(directory),
        sync: level == Level::Durable,
        writers: (0..WRITERS_MAX).map(writer).collect(),
    })
}

/// Opens what may be there already, which scans it.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn reopen(directory: &Path) -> Engine {
    try_reopen(directory).expect("it opens")
}

fn try_reopen(directory: &Path) -> raft_engine::Result<Engine> {
    Engine::open(Config {
        dir: directory.to_string_lossy().into_owned(),
        batch_compression_threshold: ReadableSize(0),
        ..Config::default()
    })
}

/// Reads everything of the first writer; how many records and payload bytes
/// that is.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn replay(engine: &Engine) -> (u64, u64) {
    let end = engine.last_index(1).map_or(0, |last| last + 1);
    let (mut records, mut payload_bytes) = (0, 0);
    let mut entries = Vec::new();
    for begin in (1..end).step_by(WINDOW as usize) {
        entries.clear();
        let window_end = end.min(begin + WINDOW);
        let fetched = engine.fetch_entries_to::<Indexed>(1, begin, window_end, None, &mut entries);
        fetched.expect("it can be read");
        records += entries.len() as u64;
        payload_bytes += entries
            .iter()
            .map(|entry| entry.value.len() as u64)
            .sum::<u64>();
    }
    (records, payload_bytes)
}

/// Reads the first writer's record number `lsn`, from zero; its length.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn read_one(engine: &Engine, lsn: u64) -> usize {
    let entry = engine.get_entry::<Indexed>(1, lsn + 1);
    let entry = entry.expect("it can be read").expect("it is there");
    entry.value.len()
}

/// Opens it and reads everything of the first writer. It has no way to say
/// that it cut something.
///
/// # Errors
///
/// What it says.
pub fn contents(directory: &Path) -> Result<Contents, String> {
    let engine = try_reopen(directory).map_err(|error| error.to_string())?;
    let mut contents = Contents::default();
    let (Some(first), Some(last)) = (engine.first_index(1), engine.last_index(1)) else {
        return Ok(contents);
    };
    let mut entries = Vec::new();
    engine
        .fetch_entries_to::<Indexed>(1, first, last + 1, None, &mut entries)
        .map_err(|error| error.to_string())?;
    contents.records = entries.into_iter().map(|entry| entry.value).collect();
    Ok(contents)
}
