//! Subscriptions: no gap, no duplicate, no reordering (`INV-F3`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod deliver;
mod model;
mod stress;

use std::sync::Arc;

use log_facade::engine::MemStorage;
use log_facade::{Log, LogOptions, Record};

/// Options with the smallest segments: about 140 records of 100 bytes.
fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

/// A log of each kind, and what must live as long as it.
fn on_each_engine(test: impl Fn(Log)) {
    let directory = tempfile::tempdir().unwrap();
    test(small().open(directory.path()).unwrap());
    test(small().open_on(Arc::new(MemStorage::new())).unwrap());
    test(small().open_in_memory().unwrap());
}

fn number_of(record: &Record) -> u64 {
    u64::from_le_bytes(record.payload()[..8].try_into().unwrap())
}

/// A payload of 100 bytes that says which it is.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = vec![7; 100];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}
