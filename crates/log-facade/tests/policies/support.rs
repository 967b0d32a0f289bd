//! What the tests of policies share.

use std::sync::Arc;
use std::time::Duration;

use log_facade::{Log, LogOptions, Lsn, ManualClock};
use log_wal::storage::sim::SimStorage;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A log on a disk that obeys, by a clock that stands.
pub(crate) struct Bed {
    pub(crate) clock: ManualClock,
    pub(crate) disk: SimStorage,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::new(),
            disk: SimStorage::new(1),
        }
    }

    /// Options with the smallest segments.
    pub(crate) fn options(&self) -> LogOptions {
        Log::options()
            .segment_bytes(16 << 10)
            .clock(self.clock.clone())
    }

    pub(crate) fn open(&self, options: LogOptions) -> Log {
        options.open_on(Arc::new(self.disk.clone())).unwrap()
    }
}

/// Appends records of 100 bytes until the log has `end`.
pub(crate) fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        assert_eq!(log.append(&[number as u8; 100]).unwrap(), Lsn(number));
    }
}

pub(crate) fn durable_end(log: &Log) -> u64 {
    log.watermarks().durable_end.0
}
