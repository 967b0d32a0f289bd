//! What must not be dropped: whoever needs the front of the log pins it.
//!
//! Snapshots pin what they show. (What cursors keep is in `cursor`: it has a
//! bound.) Retention asks for the lowest pin and drops
//! nothing at or above it. A pin that is made while segments are being dropped
//! begins behind them, so nobody is promised what is on its way out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Lsn;

/// The pins of a log.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    pins: Mutex<Pins>,
    /// Held by whoever drops segments.
    dropping: Mutex<()>,
}

#[derive(Debug, Default)]
struct Pins {
    /// How many pins there are at each record.
    counts: BTreeMap<Lsn, usize>,
    /// Segments in front of this are being dropped right now.
    going_before: Lsn,
}

impl Pins {
    fn lowest(&self) -> Option<Lsn> {
        self.counts.keys().next().copied()
    }

    fn add(&mut self, lsn: Lsn) {
        *self.counts.entry(lsn).or_default() += 1;
    }

    fn remove(&mut self, lsn: Lsn) {
        if let Some(count) = self.counts.get_mut(&lsn) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&lsn);
            }
        }
    }
}

impl Floor {
    /// Pins the log from `wanted` on, or from the first record that it still
    /// has then, which `first` says.
    pub(crate) fn pin(self: &Arc<Self>, wanted: Lsn, first: impl Fn() -> Lsn) -> Pin {
        let mut pins = self.pins();
        // Under the lock: what is dropped next is in `going_before` first.
        let at = wanted.max(pins.going_before).max(first());
        pins.add(at);
        drop(pins);
        Pin {
            floor: Arc::clone(self),
            at,
        }
    }

    /// The lowest pin.
    pub(crate) fn lowest(&self) -> Option<Lsn> {
        self.pins().lowest()
    }

    /// How many pins there are.
    pub(crate) fn count(&self) -> usize {
        self.pins().counts.values().sum()
    }

    /// Drops segments: `choose` is told how far that may go, and answers how
    /// far it will, which is where a segment begins; then `go` does it.
    pub(crate) fn drop_with<R>(
        &self,
        choose: impl FnOnce(Lsn) -> Lsn,
        go: impl FnOnce(Lsn) -> R,
    ) -> R {
        let _alone = self.dropping.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = {
            let mut pins = self.pins();
            let limit = pins.lowest().unwrap_or(Lsn(u64::MAX));
            let chosen = choose(limit).min(limit);
            pins.going_before = chosen;
            chosen
        };
        // What is gone is in the log's first number by then, and what could
        // not be dropped can be pinned again.
        let _over = Over(self);
        go(chosen)
    }

    fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a dropping, also one that panics.
struct Over<'a>(&'a Floor);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.pins().going_before = Lsn::ZERO;
    }
}

/// Keeps the log's records from one on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    floor: Arc<Floor>,
    at: Lsn,
}

impl Pin {
    /// The first record that is kept.
    pub(crate) fn at(&self) -> Lsn {
        self.at
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.floor.pins().add(self.at);
        Self {
            floor: Arc::clone(&self.floor),
            at: self.at,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.floor.pins().remove(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_or_above_the_lowest_pin_is_dropped() {
        let floor = Arc::new(Floor::default());
        let high = floor.pin(Lsn(20), || Lsn(0));
        let low = floor.pin(Lsn(10), || Lsn(0));
        let again = low.clone();
        let drop_all = || floor.drop_with(|limit| limit, |lsn| lsn);
        assert_eq!(drop_all(), Lsn(10));
        drop(low);
        assert_eq!(drop_all(), Lsn(10), "its clone is a pin of its own");
        drop(again);
        assert_eq!(drop_all(), Lsn(20));
        drop(high);
        assert_eq!((drop_all(), floor.count()), (Lsn(u64::MAX), 0));
    }

    #[test]
    fn a_pin_that_is_made_during_a_dropping_begins_behind_it() {
        let floor = Arc::new(Floor::default());
        let pinned = floor.drop_with(|_| Lsn(30), |_| floor.pin(Lsn(0), || Lsn(10)).at());
        assert_eq!(pinned, Lsn(30), "the log may still have 10 to 29");
        assert_eq!(
            floor.pin(Lsn(0), || Lsn(10)).at(),
            Lsn(10),
            "dropping failed"
        );
    }
}
