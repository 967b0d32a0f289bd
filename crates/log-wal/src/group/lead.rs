//! The lead in one word, for callers who find nobody there.
//!
//! Most callers find nobody at work, and nobody comes while they work. Such a
//! caller takes the lead with one compare-exchange and gives it back with
//! another. Whoever has more to say (it wants to sleep, or the work has failed)
//! says so under the group's lock and *lists* the lead: from then on the
//! group's state tells who leads, until nobody is left who waits.
//!
//! ```text
//!         take                     list
//!   FREE <-----> TAKEN      FREE or TAKEN --> LISTED --> FREE
//!         give back                              unlist
//! ```
//!
//! Who waits for a write stands by, because falling asleep takes longer. It
//! looks only now and then, and leaves a lead that falls free to the one who
//! had it for a moment longer: that one comes back with its next record, has
//! all that a write needs in its processor's caches, and takes the records of
//! the others along.

use super::Counts;
use crate::sync::{AtomicU8, AtomicU64, Ordering, spin_loop, yield_now};

/// How often a caller that waits for a write looks, and how often it then steps
/// aside, before it falls asleep: some microseconds, as falling asleep and
/// waking up take.
const LOOKS: u32 = if cfg!(log_loom) { 0 } else { 32 };
const YIELDS: u32 = if cfg!(log_loom) { 0 } else { 16 };
/// How long it looks away in between: some 200 ns. Each look takes a cache line
/// from the leader.
const SPINS: u32 = 8;
/// For how many looks it leaves the lead free.
const FREE_LOOKS: u32 = 3;

/// Nobody leads, nobody waits.
const FREE: u8 = 0;
/// Somebody leads, and nobody has listed that.
const TAKEN: u8 = 1;
/// The group's state tells.
const LISTED: u8 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lead {
    word: AtomicU8,
    /// Changed by the leader alone, and Relaxed: handed on with the lead, and
    /// else for people.
    commits: AtomicU64,
    groups: AtomicU64,
}

impl Lead {
    /// Takes the lead, if nobody has it and nobody waits for it.
    #[inline]
    pub(super) fn take(&self) -> bool {
        // Relaxed: a look that spares others the exchange. Acquire pairs with
        // the Release in `give_back` and `unlist`.
        self.word.load(Ordering::Relaxed) == FREE
            && self
                .word
                .compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Gives the lead back that was taken, unless it was listed meanwhile.
    #[inline]
    pub(super) fn give_back(&self) -> bool {
        // Release pairs with the Acquire in `take` and `list`.
        self.word
            .compare_exchange(TAKEN, FREE, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Makes the group's state tell who leads; whether somebody does who has
    /// taken the lead. The group's lock is held.
    pub(super) fn list(&self) -> bool {
        // Relaxed: listed and unlisted under the lock that our caller holds.
        if self.word.load(Ordering::Relaxed) == LISTED {
            return false;
        }
        // Acquire pairs with the Release in `give_back`.
        self.word.swap(LISTED, Ordering::Acquire) == TAKEN
    }

    /// Nobody leads, and nobody waits. The group's lock is held.
    pub(super) fn unlist(&self) {
        // Release pairs with the Acquire in `take`.
        self.word.store(FREE, Ordering::Release);
    }

    /// Waits until it `is_served` by somebody who has taken the lead, or the
    /// lead stays free. False if it took too long, or the lead is listed.
    pub(super) fn stand_by(&self, is_served: impl Fn() -> bool) -> bool {
        let mut free_looks = 0;
        for look in 0..LOOKS + YIELDS {
            // Relaxed: `take` acquires, and so does `is_served`.
            match self.word.load(Ordering::Relaxed) {
                LISTED => return false,
                FREE if free_looks == FREE_LOOKS => return true,
                FREE => free_looks += 1,
                _ => free_looks = 0,
            }
            match look < LOOKS {
                true => (0..SPINS).for_each(|_| spin_loop()),
                false => yield_now(),
            }
            if is_served() {
                return true;
            }
        }
        false
    }

    /// Counts what a turn was for. For the leader, before it gives the lead away.
    #[inline]
    pub(super) fn count(&self, turn: Counts) {
        // No read-modify-write: one leader at a time.
        let add = |count: &AtomicU64, more| {
            count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        };
        add(&self.commits, turn.commits);
        add(&self.groups, turn.groups);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            commits: self.commits.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
        }
    }
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_caller_at_a_time_takes_the_lead() {
        let lead = Lead::default();
        assert!(lead.take());
        assert!(!lead.take());
        assert!(lead.give_back());
        assert!(lead.take());
    }

    #[test]
    fn a_lead_that_is_listed_is_neither_given_back_nor_taken_until_it_is_unlisted() {
        let lead = Lead::default();
        assert!(lead.take());
        assert!(lead.list(), "somebody has it");
        assert!(!lead.list(), "and was told of once");
        assert!(!lead.give_back());
        assert!(!lead.take());
        lead.unlist();
        assert!(lead.take());
    }

    #[test]
    fn who_stands_by_goes_on_when_it_is_served_or_the_lead_stays_free() {
        let lead = Lead::default();
        assert!(lead.stand_by(|| false), "nobody comes back for it");
        assert!(lead.take());
        assert!(lead.stand_by(|| true));
        assert!(!lead.stand_by(|| false), "not within its patience");
        lead.list();
        let is_served = || unreachable!("it does not look");
        assert!(!lead.stand_by(is_served), "whoever waits is in the list");
    }
}
