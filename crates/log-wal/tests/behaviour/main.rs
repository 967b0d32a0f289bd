//! What a log does, on files in memory.

type TestStorage = log_wal::MemStorage;

/// Every byte is damaged.
const DAMAGE_STRIDE: usize = 1;

#[path = "../common/mod.rs"]
mod common;
mod support;

mod compact;
mod crafted;
mod damage;
mod payloads;
mod read;
mod tasks;
mod truncate;
mod verbs;
mod verify;
