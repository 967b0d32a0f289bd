//! What the housekeeper did and could not do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{HousekeepingCause, HousekeepingError, Task};
use crate::stats::HousekeepingStats;

/// Counters of the housekeeper's work, and failures on their way to somebody
/// who cares.
///
/// Relaxed everywhere: counts by themselves; the failures have a lock.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub is_running: AtomicBool,
    pub rounds: Count,
    pub flushes: Count,
    pub segments_dropped: Count,
    pub rotations: Count,
    pub segments_indexed: Count,
    pub files_prepared: Count,
    pub clock_jumps: Count,
    failures: Count,
    /// Whether there is one that nobody was told, to look at without the lock.
    has_untold: AtomicBool,
    told: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    untold: Option<HousekeepingError>,
    last: Option<HousekeepingError>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Health {
    /// Takes down a failure, for the next call and for the statistics.
    pub(crate) fn fail(&self, task: Task, at: Duration, cause: HousekeepingCause) {
        let error = HousekeepingError { task, at, cause };
        tracing::warn!(%error, "housekeeping");
        self.failures.add(1);
        let mut failures = self.lock();
        failures.untold = Some(error.clone());
        failures.last = Some(error);
        self.has_untold.store(true, Ordering::Relaxed);
    }

    /// Fails with what failed in the background and was not told before. One
    /// relaxed load if there is nothing.
    #[inline]
    pub(crate) fn tell(&self) -> Result<(), HousekeepingError> {
        if self.has_untold.load(Ordering::Relaxed) {
            return self.tell_untold();
        }
        Ok(())
    }

    #[cold]
    fn tell_untold(&self) -> Result<(), HousekeepingError> {
        let mut failures = self.lock();
        self.has_untold.store(false, Ordering::Relaxed);
        failures.untold.take().map_or(Ok(()), Err)
    }

    pub(crate) fn stats(&self) -> HousekeepingStats {
        HousekeepingStats {
            is_running: self.is_running.load(Ordering::Relaxed),
            rounds: self.rounds.get(),
            flushes: self.flushes.get(),
            segments_dropped: self.segments_dropped.get(),
            rotations: self.rotations.get(),
            segments_indexed: self.segments_indexed.get(),
            files_prepared: self.files_prepared.get(),
            clock_jumps: self.clock_jumps.get(),
            failures: self.failures.get(),
            last_failure: self.lock().last.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
