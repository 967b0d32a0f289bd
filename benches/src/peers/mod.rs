//! Other people's logs, with their default options unless it says otherwise.

pub mod commitlog;
pub mod okaywal;
pub mod raft_engine;
pub mod wal_db;
pub mod walogs;
pub mod walrus;

use log_wal::Level;

use crate::logs::Open;

/// The peers that can append at `level` from `writers` threads, by name.
#[must_use]
pub fn at_level(level: Level, writers: usize) -> Vec<(&'static str, Open)> {
    let mut peers: Vec<(&'static str, Open)> = Vec::new();
    // None of them gives a record back before the operating system has it.
    if level >= Level::Written {
        peers.push(("wal-db", wal_db::open));
        peers.push(("raft-engine", raft_engine::open));
    }
    // Those two sync for every append.
    if level == Level::Durable {
        peers.push(("okaywal", okaywal::open));
        if writers == 1 {
            peers.push(("walogs", walogs::open));
        }
    }
    peers
}

/// The peers that are logs at rest, to be read from anywhere, and can append at
/// `level`, by name.
#[must_use]
pub fn at_rest(level: Level) -> Vec<(&'static str, Open)> {
    let mut peers: Vec<(&'static str, Open)> = Vec::new();
    if level == Level::Written {
        peers.push(("commitlog", commitlog::open));
    }
    if level >= Level::Written && walrus::is_quiet() {
        peers.push(("walrus", walrus::open));
    }
    peers
}
