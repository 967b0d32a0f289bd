//! How long the active segment has had records.
//!
//! A segment does not say when it was begun, but its first record does say when
//! it was appended: so the age of a segment outlives the process. What a caller
//! said about the time of that record, or a clock that was set meanwhile, may
//! be far from the truth. So the segment is taken to be no older than the last
//! moment at which it is known to have had no record; a record without a time
//! is taken to be as young as the first look at it.

use std::time::Duration;

use crate::Lsn;
use crate::shared::Shared;

/// What is known about the active segment.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// The first record's number, and how old it was at which uptime.
    active: Option<Seen>,
    /// The last uptime at which the active segment is known to have had no
    /// record.
    empty_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    base: Lsn,
    uptime: Duration,
    old: Duration,
}

impl Ages {
    /// How long the active segment has had records, at this uptime; `None` if
    /// it has none.
    pub(super) fn of_active(&mut self, shared: &Shared, now: Duration) -> Option<Duration> {
        let base = shared.active_base();
        if shared.engine.next_lsn() <= base {
            self.begin_anew(now);
            return None;
        }
        let seen = match self.active {
            Some(seen) if seen.base == base => seen,
            _ => self.look(shared, base, now),
        };
        Some(seen.old + now.saturating_sub(seen.uptime))
    }

    /// The active segment is no older than this: it has no record, or was to be
    /// ended and could not be.
    pub(super) fn begin_anew(&mut self, now: Duration) {
        self.active = None;
        self.empty_at = Some(now);
    }

    fn look(&mut self, shared: &Shared, base: Lsn, uptime: Duration) -> Seen {
        let oldest = self
            .empty_at
            .map(|empty_at| uptime.saturating_sub(empty_at));
        let old = said_age(shared, base).min(oldest.unwrap_or(Duration::MAX));
        let seen = Seen { base, uptime, old };
        self.active = Some(seen);
        // What comes behind this segment had no record yet.
        self.empty_at = Some(uptime);
        seen
    }
}

/// How old the first record from `base` on is, by what it says.
fn said_age(shared: &Shared, base: Lsn) -> Duration {
    let mut records = shared.engine.records(base..Lsn(u64::MAX));
    // What cannot be read is told to who reads it.
    let first = records.next().and_then(Result::ok);
    let appended = first.and_then(|record| record.timestamp());
    appended.map_or(Duration::ZERO, |appended| {
        let now = shared.clock.now();
        Duration::from_nanos(now.0.saturating_sub(appended.0))
    })
}
