//! How many durable commits a second, and what the disk did for them.

use std::path::Path;
use std::time::Duration;

use crate::contest::{Column, Turn};
use crate::device::Device;
use crate::latency::Latencies;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_millis(50);

/// What [`turn`] measures. The device's counts include what everybody else on
/// the machine writes.
pub const COLUMNS: &[Column] = &[
    Column {
        name: "commits a second",
        digits: 0,
    },
    Column {
        name: "p50, us",
        digits: 0,
    },
    Column {
        name: "p99, us",
        digits: 0,
    },
    Column {
        name: "own syncs a commit",
        digits: 3,
    },
    Column {
        name: "device writes a commit",
        digits: 3,
    },
    Column {
        name: "device flushes a commit",
        digits: 3,
    },
];

/// Measures `run`, which says how long each of its calls took, for `time` on
/// the disk that has `directory`. A call makes `at_once` commits; `syncs`
/// counts them if anybody does.
pub fn turn(
    directory: &Path,
    time: Duration,
    at_once: usize,
    syncs: impl Fn() -> Option<u64>,
    mut run: impl FnMut(Duration) -> Latencies,
) -> Turn {
    run(WARM_UP.min(time));
    let device = Device::of(directory);
    let requests = || device.as_ref().and_then(Device::requests);
    let before = (requests(), syncs());
    let latencies = run(time);
    let after = (requests(), syncs());
    let commits = (latencies.len() * at_once) as f64;
    let a_commit = |count: Option<u64>| count.map_or(f64::NAN, |count| count as f64 / commits);
    let done = after.0.zip(before.0).map(|(after, before)| after - before);
    let synced = after.1.zip(before.1).map(|(after, before)| after - before);
    let [p50, p99] = latencies.percentiles_ns([0.5, 0.99]);
    vec![
        commits / time.as_secs_f64(),
        p50 / 1e3,
        p99 / 1e3,
        a_commit(synced),
        a_commit(done.map(|done| done.writes)),
        a_commit(done.map(|done| done.flushes)),
    ]
}
