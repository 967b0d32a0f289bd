//! Group commit: many callers wait, one of them works for all.
//!
//! Whoever arrives while nobody is at work becomes the *leader*: it brings
//! everything published so far to the disk and wakes the rest. Whoever arrives
//! meanwhile waits: if the leader's work covered its records it returns, else
//! it may lead next. So the syncs of concurrent callers are shared, and nobody
//! who only appends waits for one.
//!
//! Promises `INV-W1` (what was acknowledged as durable is) and `INV-W6` (after
//! a failed write or sync nothing is acknowledged again). Borrows the callers'
//! threads and has none of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use log_core::Lsn;

use crate::error::CommitError;

#[derive(Debug, Default)]
struct State {
    /// Whether somebody leads.
    led: bool,
    /// The failure after which nothing is acknowledged.
    poison: Option<CommitError>,
}

/// Where callers that wait for the disk meet.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether there is a poison, to look at without the lock.
    poisoned: AtomicBool,
}

/// What a caller may do.
enum Turn {
    Done,
    Lead,
}

impl Group {
    /// Fails if the log is poisoned. One relaxed load if it is not.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        // Relaxed: an append that slips in beside a failing sync is published
        // and never acknowledged further; who wants more comes through
        // `commit`, which asks under the lock.
        if !self.poisoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &self.state().poison {
            Some(poison) => Err(poison.clone()),
            None => Ok(()),
        }
    }

    /// Returns when `reached` says that `end` is passed, leading `work` if
    /// nobody else does.
    pub(crate) fn commit(
        &self,
        end: Lsn,
        reached: impl Fn() -> Lsn,
        mut work: impl FnMut() -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        loop {
            if reached() >= end {
                return Ok(());
            }
            match self.turn(end, &reached)? {
                Turn::Done => return Ok(()),
                Turn::Lead => self.lead(&mut work)?,
            }
        }
    }

    /// Does `work` once, when nobody else leads.
    pub(crate) fn exclusively(
        &self,
        mut work: impl FnMut() -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        match self.turn(Lsn(u64::MAX), || Lsn::ZERO)? {
            Turn::Done => Ok(()),
            Turn::Lead => self.lead(&mut work),
        }
    }

    /// Waits until `end` is passed, or until this thread may lead.
    fn turn(&self, end: Lsn, reached: impl Fn() -> Lsn) -> Result<Turn, CommitError> {
        let mut state = self.state();
        loop {
            if let Some(poison) = &state.poison {
                return Err(poison.clone());
            }
            if reached() >= end {
                return Ok(Turn::Done);
            }
            if !state.led {
                state.led = true;
                return Ok(Turn::Lead);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lead(&self, work: &mut impl FnMut() -> Result<(), CommitError>) -> Result<(), CommitError> {
        let leadership = Leadership(self);
        let result = work();
        if let Err(poison @ CommitError::Poisoned { .. }) = &result {
            tracing::error!(error = %poison, "the log acknowledges nothing any more");
            self.poisoned.store(true, Ordering::Relaxed);
            self.state().poison = Some(poison.clone());
        }
        drop(leadership);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the leader; lets the next one lead, also when a panic unwinds.
struct Leadership<'a>(&'a Group);

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        self.0.state().led = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    fn failure() -> CommitError {
        CommitError::Poisoned {
            path: "segment".into(),
            action: "sync",
            first_unsure: Lsn(0),
            source: Arc::new(io::Error::other("injected")),
        }
    }

    #[test]
    fn nobody_works_for_what_is_there_already() {
        let worked = Cell::new(false);
        let result = Group::default().commit(
            Lsn(3),
            || Lsn(3),
            || {
                worked.set(true);
                Ok(())
            },
        );
        assert!(result.is_ok() && !worked.get());
    }

    #[test]
    fn many_callers_share_the_work_of_few() {
        const CALLERS: u64 = 8;
        let (group, end, works) = (Group::default(), AtomicU64::new(0), AtomicU64::new(0));
        let appended = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let mine = appended.fetch_add(1, Ordering::SeqCst) + 1;
                    let work = || {
                        works.fetch_add(1, Ordering::SeqCst);
                        end.store(appended.load(Ordering::SeqCst), Ordering::SeqCst);
                        Ok(())
                    };
                    let reached = || Lsn(end.load(Ordering::SeqCst));
                    assert!(group.commit(Lsn(mine), reached, work).is_ok());
                    assert!(reached() >= Lsn(mine), "INV-F1: acknowledged means reached");
                });
            }
        });
        assert!(
            works.into_inner() <= CALLERS,
            "never more work than callers"
        );
    }

    #[test]
    fn after_a_failure_nothing_is_acknowledged_again() {
        let group = Group::default();
        let failed = group.commit(Lsn(1), || Lsn(0), || Err(failure()));
        assert!(failed.is_err());
        let later = group.commit(Lsn(1), || Lsn(0), || unreachable!("nobody may lead"));
        assert!(later.is_err(), "INV-W6");
        assert!(group.check().is_err(), "INV-W6");
    }

    #[test]
    fn a_full_disk_poisons_nothing() {
        let group = Group::default();
        let full = || CommitError::StorageFull {
            path: "segment".into(),
            source: Arc::new(io::ErrorKind::StorageFull.into()),
        };
        let end = Cell::new(Lsn(0));
        assert!(group.commit(Lsn(1), || end.get(), || Err(full())).is_err());
        let work = || {
            end.set(Lsn(1));
            Ok(())
        };
        assert!(
            group.commit(Lsn(1), || end.get(), work).is_ok(),
            "there is room again"
        );
    }

    #[test]
    fn a_leader_that_panics_leaves_the_lead_to_others() {
        let group = Group::default();
        let end = Cell::new(Lsn(0));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            group.commit(Lsn(1), || end.get(), || panic!("injected"))
        }));
        assert!(panicked.is_err());
        let work = || {
            end.set(Lsn(1));
            Ok(())
        };
        assert!(group.commit(Lsn(1), || end.get(), work).is_ok());
    }
}
