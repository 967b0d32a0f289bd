//! What a log did, for people and for monitoring.

use crate::{HousekeepingError, Lsn, Stats};

/// What a [`Log`](crate::Log) did since it was opened.
///
/// Every number is exact by itself; together they are as of slightly different
/// moments while others work.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LogStats {
    /// What the engine did: records, writes, syncs, rotations.
    pub engine: Stats,
    /// What was done in the background.
    pub housekeeping: HousekeepingStats,
    /// Snapshots and other holders that keep the front of the log from being
    /// dropped.
    pub pins: usize,
    /// The first record that one of them keeps; nothing from here on is
    /// dropped.
    pub lowest_pin: Option<Lsn>,
}

/// What the housekeeper of a log did since the log was opened.
///
/// All zero for a log without one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HousekeepingStats {
    /// Whether there is a housekeeper now. False for a log whose options need
    /// none.
    pub is_running: bool,
    /// How often it woke up.
    pub rounds: u64,
    /// How often it brought records to the disk.
    pub flushes: u64,
    /// How many segments retention dropped.
    pub segments_dropped: u64,
    /// How many segments it ended because of their age.
    pub rotations: u64,
    /// How many sealed segments it indexed.
    pub segments_indexed: u64,
    /// How many files it made ahead of need.
    pub files_prepared: u64,
    /// How often the time of day jumped forward, so that retention by age did
    /// not believe it at once.
    pub clock_jumps: u64,
    /// How often something failed.
    pub failures: u64,
    /// The last thing that failed.
    pub last_failure: Option<HousekeepingError>,
}
