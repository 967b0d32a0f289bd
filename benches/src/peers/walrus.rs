//! walrus: topics in files of a gigabyte.
//!
//! It prints a line for each append unless `WALRUS_QUIET` is set, and asks the
//! environment about that each time. It is no peer without.

use std::env;
use std::path::Path;

use log_wal::Level;
use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use crate::logs::Log;

const TOPIC: &str = "bench";

struct Peer(Walrus);

impl Log for Peer {
    fn append(&self, _writer: usize, payload: &[u8]) {
        self.0
            .append_for_topic(TOPIC, payload)
            .expect("there is room");
    }
}

/// Whether it may take part.
#[must_use]
pub fn is_quiet() -> bool {
    env::var_os("WALRUS_QUIET").is_some()
}

/// Opens it in `directory`, which the process works in from then on: it has no
/// other way to say where.
///
/// # Panics
///
/// If it does not open.
#[must_use]
pub fn open(directory: &Path, level: Level) -> Box<dyn Log> {
    env::set_current_dir(directory).expect("it is there");
    let consistency = ReadConsistency::AtLeastOnce {
        persist_every: 1000,
    };
    let schedule = match level {
        Level::Durable => FsyncSchedule::SyncEach,
        _ => FsyncSchedule::NoFsync,
    };
    let log = Walrus::with_consistency_and_schedule_for_key("log", consistency, schedule);
    Box::new(Peer(log.expect("it opens")))
}
