//! Numbers for monitoring, through the `metrics` facade (feature `metrics`).
//!
//! | name | kind | unit | says |
//! |---|---|---|---|
//! | `strata_records_appended_total` | counter | records | appended and visible |
//! | `strata_record_bytes_appended_total` | counter | bytes | of their payloads, and of what they carry |
//! | `strata_commit_seconds` | histogram | seconds | what callers, tasks and the housekeeper waited for a level; label `level`: `written` or `durable` |
//! | `strata_segments_dropped_total` | counter | segments | dropped from the front |
//! | `strata_housekeeping_failures_total` | counter | failures | of background work |
//!
//! All of them have the label `log`, which is what
//! [`LogOptions::name`](crate::LogOptions::name) says. Whoever installs a
//! recorder does that before the log is opened: the log asks for its numbers
//! once. Without the feature this is nothing, and costs nothing.

#[cfg(feature = "metrics")]
pub(crate) use on::{Began, Meters};

#[cfg(not(feature = "metrics"))]
pub(crate) use off::{Began, Meters};

#[cfg(feature = "metrics")]
mod on {
    use std::fmt;
    use std::time::Instant;

    use metrics::{Counter, Histogram, Unit};

    use crate::Level;

    pub(crate) struct Meters {
        records: Counter,
        bytes: Counter,
        written_seconds: Histogram,
        durable_seconds: Histogram,
        segments_dropped: Counter,
        failures: Counter,
    }

    /// When somebody began to wait.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Began(Instant);

    impl Began {
        pub(crate) fn now() -> Self {
            Self(Instant::now())
        }
    }

    impl fmt::Debug for Meters {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Meters").finish_non_exhaustive()
        }
    }

    const RECORDS: &str = "strata_records_appended_total";
    const RECORD_BYTES: &str = "strata_record_bytes_appended_total";
    const COMMIT_SECONDS: &str = "strata_commit_seconds";
    const SEGMENTS_DROPPED: &str = "strata_segments_dropped_total";
    const FAILURES: &str = "strata_housekeeping_failures_total";

    impl Meters {
        pub(crate) fn new(log: &str) -> Self {
            metrics::describe_counter!(RECORDS, Unit::Count, "records appended and visible");
            metrics::describe_counter!(RECORD_BYTES, Unit::Bytes, "their bytes");
            metrics::describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "waiting for a level");
            metrics::describe_counter!(SEGMENTS_DROPPED, Unit::Count, "segments dropped");
            metrics::describe_counter!(FAILURES, Unit::Count, "failures of background work");
            let log = log.to_owned();
            let seconds = |level: &'static str| metrics::histogram!(COMMIT_SECONDS, "log" => log.clone(), "level" => level);
            Self {
                written_seconds: seconds("written"),
                durable_seconds: seconds("durable"),
                records: metrics::counter!(RECORDS, "log" => log.clone()),
                bytes: metrics::counter!(RECORD_BYTES, "log" => log.clone()),
                segments_dropped: metrics::counter!(SEGMENTS_DROPPED, "log" => log.clone()),
                failures: metrics::counter!(FAILURES, "log" => log),
            }
        }

        #[inline]
        pub(crate) fn appended(&self, records: u64, bytes: u64) {
            self.records.increment(records);
            self.bytes.increment(bytes);
        }

        /// Takes down how long somebody waited for the level.
        pub(crate) fn committed(&self, level: Level, began: Began) {
            let seconds = match level {
                Level::Published => return,
                Level::Written => &self.written_seconds,
                Level::Durable => &self.durable_seconds,
            };
            seconds.record(began.0.elapsed());
        }

        pub(crate) fn dropped(&self, segments: u64) {
            self.segments_dropped.increment(segments);
        }

        pub(crate) fn failed(&self) {
            self.failures.increment(1);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use crate::Level;

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Began;

    impl Began {
        #[inline]
        pub(crate) fn now() -> Self {
            Self
        }
    }

    #[derive(Debug)]
    pub(crate) struct Meters;

    impl Meters {
        pub(crate) fn new(_log: &str) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn appended(&self, _records: u64, _bytes: u64) {}

        #[inline]
        pub(crate) fn committed(&self, _level: Level, _began: Began) {}

        pub(crate) fn dropped(&self, _segments: u64) {}

        pub(crate) fn failed(&self) {}
    }
}
