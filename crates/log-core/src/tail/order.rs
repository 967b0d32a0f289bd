//! Visibility in order: however threads finish, readers see a prefix.
//!
//! `published` is the lsn below which everything is complete. A thread whose
//! turn it is (its first lsn *is* the mark) moves the mark itself, which is
//! nearly always. A thread that finished early leaves a note, in a ring and
//! under its first lsn, that says how far its records go; whoever completes
//! what is missing follows the notes. So a thread that sleeps after it left its
//! note delays nobody.
//!
//! ```text
//!   lsn     40   41   42   43   44          42 is still being filled
//!   mark              ^                     notes: ring[43] = 44, ring[44] = 45
//! ```
//!
//! Notes are absolute lsns, so that one of an earlier lap (not beyond the
//! mark) can never be taken for a new one, and the ring is never cleared.
//! It is not the cells themselves that say whether they are published, because
//! a recycled region is full of old cells that look so: that would cost a pass
//! of zeroing for each segment. The idea of a ring of sequence numbers beside
//! the data comes from the LMAX Disruptor's multi-producer sequencer.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::Lsn;
use crate::bell::Bell;
use crate::padded::Padded;
use crate::sync::{AtomicU64, Ordering, yield_now};

/// How many lsns may lie between the mark and the first record of a thread
/// that leaves a note. Threads further ahead wait, which takes that many
/// records in flight.
const NOTES: usize = if cfg!(any(log_loom, log_shuttle)) {
    4
} else {
    1024
};

/// How long a thread stands back at a time (some 1.5 microseconds), and how
/// many records others must publish meanwhile for it to do so again: if they
/// take longer for one, moving cache lines costs less than is won by building
/// records side by side.
const STAND_BACK_YIELDS: u32 = 4;
const STAND_BACK_RECORDS: u64 = 8;
/// How long altogether: bounds what it adds to the latency of one append, also
/// where a yield lets others run for a while.
const STAND_BACK_MAX: Duration = Duration::from_micros(50);

/// The mark, and what waits to be passed by it.
#[derive(Debug)]
pub(super) struct Order {
    published: Padded<AtomicU64>,
    notes: Box<[AtomicU64]>,
    bell: Bell,
}

impl Order {
    pub(super) fn new(published_end: Lsn) -> Self {
        Self {
            published: Padded(AtomicU64::new(published_end.0)),
            notes: (0..NOTES).map(|_| AtomicU64::new(0)).collect(),
            bell: Bell::new(),
        }
    }

    /// One past the last record that is visible. Everything below it can be
    /// read. `INV-C2`
    #[inline]
    pub(super) fn published_end(&self) -> Lsn {
        // Acquire pairs with the Release in `pass`.
        Lsn(self.published.0.load(Ordering::Acquire))
    }

    /// Makes the records `base..end` visible, and returns when they are, and
    /// everything before them too. `INV-C7`
    ///
    /// Blocks while an earlier reservation is still being filled.
    #[inline]
    pub(super) fn publish(&self, base: Lsn, end: Lsn) {
        if self.pass(base.0, end.0) {
            self.follow_notes(end.0);
        } else {
            self.publish_later(base.0, end.0);
        }
        self.bell.ring();
    }

    /// Moves the mark from `base` to `end`, if it stands at `base`.
    #[inline]
    fn pass(&self, base: u64, end: u64) -> bool {
        // Release hands over the cells: ours, or those whose note we acquired.
        // Earlier ones travel along, because every move of the mark is a
        // read-modify-write and so carries on the release of the one before.
        // Pairs with the Acquire in `published_end`.
        self.published
            .0
            .compare_exchange(base, end, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Moves the mark along the notes, as far as they go. Returns how far it
    /// came.
    #[inline]
    fn follow_notes(&self, mut mark: u64) -> u64 {
        while let Some(end) = self.note_at(mark)
            && self.pass(mark, end)
        {
            mark = end;
        }
        mark
    }

    /// How far the records go that begin at `mark`, if their thread has left
    /// its note.
    #[inline]
    fn note_at(&self, mark: u64) -> Option<u64> {
        // Acquire pairs with the Release in `leave_note`: we are about to
        // publish that thread's cells for it.
        let end = self.note(mark).load(Ordering::Acquire);
        (end > mark).then_some(end)
    }

    #[inline]
    fn note(&self, base: u64) -> &AtomicU64 {
        &self.notes[base as usize % NOTES]
    }

    #[cold]
    #[inline(never)]
    fn publish_later(&self, base: u64, end: u64) {
        // The note's place may still hold one that is needed: that of the
        // records one lap earlier, until the mark has passed their begin.
        let free = || base.saturating_sub(self.published_end().0) < NOTES as u64;
        self.wait_until(None, free);
        self.leave_note(base, end);
        if self.comes_to(end) {
            return;
        }
        self.stand_back();
        while !self.comes_to(end) {
            let moved = || {
                let mark = self.published_end().0;
                mark >= end || self.note_at(mark).is_some()
            };
            self.wait_until(None, moved);
        }
    }

    /// Whether the mark has reached `end`, or can be moved there now.
    fn comes_to(&self, end: u64) -> bool {
        let mark = self.published_end().0;
        if mark >= end {
            return true;
        }
        let came_to = self.follow_notes(mark);
        if came_to != mark {
            // Those whose notes we followed may be asleep, and we may be about
            // to sleep ourselves.
            self.bell.ring();
        }
        came_to >= end
    }

    /// Keeps out of the way while others append at full speed. Our note is
    /// left, so that nobody waits for us but our caller.
    ///
    /// Two threads that append as fast as they can would otherwise take turns
    /// record by record, and pay for moving two cache lines between their
    /// processors each time: two and more times what one thread pays for a
    /// record. Standing back makes long turns of short ones (bench
    /// `tail_append`): long ones, because threads can take turns for many
    /// records until they get into each other's way again. Yielding, because on
    /// a busy machine the thread that holds us up may be waiting for a
    /// processor.
    fn stand_back(&self) {
        if cfg!(any(log_loom, log_shuttle)) {
            return;
        }
        let mut mark = self.published_end().0;
        let began = Instant::now();
        while began.elapsed() < STAND_BACK_MAX {
            (0..STAND_BACK_YIELDS).for_each(|_| yield_now());
            let now = self.published_end().0;
            if now - mark < STAND_BACK_RECORDS {
                return;
            }
            mark = now;
        }
    }

    fn leave_note(&self, base: u64, end: u64) {
        // Release pairs with the Acquire in `note_at`.
        self.note(base).store(end, Ordering::Release);
    }

    /// Blocks until `ready`, looking again whenever the mark moves.
    pub(super) fn wait_until(
        &self,
        timeout: Option<Duration>,
        ready: impl FnMut() -> bool,
    ) -> bool {
        self.bell.wait_until(timeout, ready)
    }

    /// The same for a task.
    pub(super) fn poll_until(
        &self,
        context: &Context<'_>,
        ready: impl FnMut() -> bool,
    ) -> Poll<()> {
        self.bell.poll_until(context, ready)
    }
}
