//! When things happen by themselves: plain values, and whether they make
//! sense together.

use std::time::Duration;

use crate::{Level, OptionsError};

/// How often retention is looked at if nothing else is said.
pub(crate) const RETENTION_INTERVAL_DEFAULT: Duration = Duration::from_secs(30);

/// When records are brought to the disk although nobody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushPolicy {
    /// How far they are brought.
    pub level: Level,
    pub interval: Option<Duration>,
    pub records: Option<u64>,
}

impl Default for FlushPolicy {
    fn default() -> Self {
        Self {
            level: Level::Durable,
            interval: None,
            records: None,
        }
    }
}

/// What stays when old segments are dropped. Several bounds: whatever one of
/// them lets go, goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    pub age: Option<Duration>,
    pub bytes: Option<u64>,
    pub records: Option<u64>,
    /// How often that is looked at.
    pub interval: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: None,
            bytes: None,
            records: None,
            interval: RETENTION_INTERVAL_DEFAULT,
        }
    }
}

impl Retention {
    pub(crate) fn is_bounded(&self) -> bool {
        self.age.is_some() || self.bytes.is_some() || self.records.is_some()
    }
}

/// When a new segment is begun before the old one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub age: Option<Duration>,
    pub records: Option<u64>,
}

/// Everything that a log does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policies {
    /// What an append waits for.
    pub acknowledge: Level,
    pub flush: FlushPolicy,
    pub retention: Retention,
    pub rotation: Rotation,
    /// Whether the next segment's file is made ahead of need.
    pub prepares_ahead: bool,
    /// Whether records get the time at which they are appended.
    pub stamps: bool,
}

impl Policies {
    /// Whether they can be met by an engine that keeps `kept`.
    pub(crate) fn check(&self, kept: Level) -> Result<(), OptionsError> {
        let flushes = self.flush.interval.is_some() || self.flush.records.is_some();
        let asked = match flushes {
            true => self.acknowledge.max(self.flush.level),
            false => self.acknowledge,
        };
        if asked > kept {
            return Err(OptionsError::LevelNotKept { asked, kept });
        }
        for (option, is_zero) in self.zeros() {
            if is_zero {
                return Err(OptionsError::Zero { option });
            }
        }
        if !self.stamps && self.retention.age.is_some() {
            let policy = "retention by age";
            return Err(OptionsError::NoTimestamps { policy });
        }
        Ok(())
    }

    fn zeros(&self) -> [(&'static str, bool); 8] {
        let no_time = |time: Option<Duration>| time == Some(Duration::ZERO);
        let none = |count: Option<u64>| count == Some(0);
        let Self {
            flush,
            retention,
            rotation,
            ..
        } = self;
        [
            ("flush_interval", no_time(flush.interval)),
            ("flush_records", none(flush.records)),
            ("retain_age", no_time(retention.age)),
            ("retain_bytes", none(retention.bytes)),
            ("retain_records", none(retention.records)),
            ("retention_interval", retention.interval.is_zero()),
            ("rotate_age", no_time(rotation.age)),
            ("rotate_records", none(rotation.records)),
        ]
    }

    /// Whether any of them needs a thread.
    pub(crate) fn need_housekeeper(&self) -> bool {
        self.flush.interval.is_some()
            || self.retention.is_bounded()
            || self.rotation.age.is_some()
            || self.prepares_ahead
    }
}
