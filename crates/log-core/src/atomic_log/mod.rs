//! One writer, many readers, typed values in memory.
//!
//! An [`AtomicLog`] is a sequence of values to which one thread appends and
//! which any number of threads read, without a lock between them. Values are
//! never moved, copied or changed once they are in it. A reader takes a
//! [`Snapshot`], which stays as it is for as long as it is held, or lets a
//! [`Follower`] hand out what is new. Old values are dropped by whole segments.
//!
//! # The algorithm
//!
//! ```text
//!               window (retained)                         the writer
//!      .--------------------------------------.           appends here
//!     | segment 3 | segment 4 | segment 5 (head) ...........|.......
//!           ^           ^           ^
//!         full        full     pins: 2    published: 17
//!
//!     retired, kept by a snapshot of head 3:  segments 1, 2   (and 3)
//!     free, to be the next heads:             two more
//! ```
//!
//! **Append.** The writer stores the value behind the last one in the *head*,
//! then stores the new count of values with release ordering. A reader that
//! loads the count with acquire ordering sees the values. That is all there is
//! to most appends.
//!
//! **Roll.** When the head is full, the writer takes a free segment, makes it
//! the head, and marks the old one as replaced. The segment that leaves the
//! window is *retired*. If nobody can see it, it is free at once.
//!
//! **Snapshot.** A reader increments the *pins* of the head. One atomic word
//! has both the pins of a head and the mark that it was replaced, so one of two
//! things happens: the pin comes first, and the writer sees it when it replaces
//! the head; or the mark comes first, and the reader goes to the new head
//! instead. There is no moment in between, hence no fence and no second look.
//!
//! **What a pin keeps.** The head that was seen, and the window behind it: the
//! snapshot need not touch the segments that it shows, be it one or a thousand.
//! The writer looks at the pins of a head once, when it replaces it, and
//! remembers the head if it was pinned. A segment that is retired later becomes
//! a *ward* of every remembered head in whose window it is: the segment counts
//! them, and the head counts its wards, in the same word as its pins. The last
//! to unpin a replaced head therefore learns how many wards there are. They are
//! the first segments of that head's window; it lets go of each, and a segment
//! that nobody holds any more is free.
//!
//! **Who cleans up.** Whoever lets go last: the writer as it rolls, or the
//! reader that gives up the last pin. Values are dropped then and there. If
//! the type needs no drop, the reader just leaves a note, and the writer counts
//! down when it wants a segment, a few steps each time.
//!
//! **Memory.** A segment, once allocated, is a segment of this log until the
//! log goes away: its memory is *type-stable*. So a reader that was held up
//! between loading the head and pinning it may still touch the pins of that
//! segment, whatever has become of it. It finds it replaced, or it finds it to
//! be the head once more. This takes the place of the hazard pointers, epochs
//! or registries that are otherwise needed to make memory reclamation safe.
//!
//! # Why it is right
//!
//! - *A visible record is complete and never changes* (`INV-C2`). The store of
//!   the count is a release, its load an acquire. The writer writes only above
//!   the count; no segment is written again before it is free.
//! - *What a snapshot shows stays* (`INV-C4`). A segment is free when its hold
//!   for the window is gone, and it is nobody's ward, and its own pins, if it
//!   had any, are settled. A pinned head either is the head, so that its window
//!   is the window, or was remembered before any segment of its window was
//!   retired. A retired segment is held for each ward relation *before* that
//!   relation is written into the head's word, and the word decides whether it
//!   came before the last unpin.
//! - *Nobody waits* (`INV-C6`). The writer takes what is free or allocates. A
//!   reader tries again only if a head was replaced in between, which is to
//!   say that the writer got on. A segment that a reader holds is missing from
//!   the free ones for as long as the reader holds it, and no longer: memory
//!   is bounded by one window, plus what the readers hold (a window for each
//!   snapshot or follower, two after a refresh), plus one segment. It does not
//!   grow with the time for which a reader stalls.
//! - *No steady allocation* (`INV-C5`): what was allocated is used again before
//!   anything new is.
//! - *One writer* (`INV-C3`): a flag that is claimed with a compare-exchange and
//!   given back with a release store; the writer's books go with it.
//! - *Numbers are dense* (`INV-C1`), and never wrap: the writer refuses to begin
//!   a segment that has no numbers.
//!
//! | ordering | pairs with | hands over |
//! |---|---|---|
//! | release store of the count | acquire load of the count | the values |
//! | release store of the head | acquire load of the head | a new segment, and that the one before it is full |
//! | release store that opens the pins | acquire when pinning | where the segment is in this life |
//! | release when a head is replaced | acquire of who finds it replaced | the next head |
//! | release when unpinning | acquire of the last to unpin, of the writer that replaces the head, or that offers a ward and is refused | the reads that are done, before the memory is used again |
//! | release when a ward is added | acquire of the last to unpin | that the ward is held |
//! | release when letting go of a segment | acquire of the last to let go | all reads of it |
//! | release push of a free segment | acquire when the writer takes all | the segment |
//! | release store of the claim | acquire when claiming | the writer's books |
//!
//! Each of these is checked by exploring thread schedules with loom; weaken one
//! and a model fails (`tests/loom_atomic_log.rs`).
//!
//! # What things cost
//!
//! With `s` the segments that a snapshot shows:
//!
//! | operation | time | memory |
//! |---|---|---|
//! | [`append`](Writer::append) | constant: two stores, one relaxed load | none |
//! | the append that rolls | constant, plus one step for each distinct head that readers pin in the window, plus dropping the values of a segment | none in steady state |
//! | [`snapshot`](AtomicLog::snapshot), [`refresh`](Snapshot::refresh), clone | constant | none |
//! | dropping the last snapshot of a head | constant, or for types that need dropping: the values that only it showed | none |
//! | [`get`](Snapshot::get), [`iter_from`](Snapshot::iter_from) | O(log² s), in practice about log s | none |
//! | [`Follower::next_slice`] | constant; one load if there is nothing new | none |
//! | iterating | that of a slice, plus a step for each segment | none |
//! | waiting | a look or two, then sleep; the writer pays one relaxed load when nobody waits | a waker, if asked for one |
//!
//! # Ancestors
//!
//! - The segments, filled in order and published by one word, are those of
//!   *Aeron*'s log buffers (M. Thompson, T. Montgomery, 2014), which rotate
//!   through three. Ours are as many as retention asks for.
//! - One writer whose progress is a sequence that readers watch: the *LMAX
//!   Disruptor* (M. Thompson and others, 2011). A disruptor's writer must wait
//!   for its slowest reader, as the ring is all there is. Here retention
//!   decides; a slow reader keeps its segments, or learns that it missed some.
//! - Type-stable memory in place of reclamation schemes: M. Greenwald and D.
//!   Cheriton, "The Synergy between Non-blocking Synchronization and Operating
//!   System Structure" (OSDI 1996). *Hazard pointers* (M. Michael, 2004) and
//!   epochs (K. Fraser, 2004; *crossbeam-epoch*) answer the question whether a
//!   pointer may be followed at all. Here it always may be, and the segment
//!   itself says whether it is still the one that was meant. That leaves no
//!   list of readers for anyone to walk, and no epoch for a stalled reader to
//!   hold up.
//! - *Left-right* (P. Ramalhete, A. Correia, 2015) also gives readers without
//!   locks, at the price of a second copy and a writer that waits for readers
//!   to leave. As a log never changes what it has published, one copy will do.
//! - A count and a closing flag in one word, so that who joins either is seen
//!   by who closes or is turned away: *rundown protection*, as in the Windows
//!   kernel (`ExAcquireRundownProtection`).
//! - The short cuts of [`Snapshot::get`] go from each segment to the one whose
//!   number is its own without the lowest set bit: a *Fenwick tree* (P. Fenwick,
//!   1994) turned into a list.
//!
//! # When to use something else
//!
//! - Several writers: [`Tail`](crate::Tail) for bytes; a `Mutex<Writer<T>>` if
//!   typed values and modest rates are enough.
//! - Every value to exactly one consumer: a channel.
//! - Only the latest value: an atomic, or `arc-swap`.
//! - A writer that must slow down for its readers: a bounded channel or a
//!   disruptor. This log never pushes back.
//! - Values that must survive the process: `log-wal`.

mod arena;
mod error;
mod follower;
mod list;
mod pin;
mod pins;
mod recycler;
mod segment;
mod settlement;
mod shared;
mod slices;
mod snapshot;
mod thorough;
mod writer;

use std::fmt;

pub use error::{AppendError, AppendErrorCause, Gap};
pub use follower::Follower;
pub use slices::{Chunks, Iter, SegmentSlice};
pub use snapshot::{Refresh, Snapshot};
pub use writer::Writer;

use crate::Lsn;
use crate::sync::Arc;
use pins::WARDS_MAX;
use segment::Shape;
use shared::Shared;

/// A log of typed values in memory, with one writer and any number of readers.
///
/// This is a handle; clones of it are the same log, which lives until the last
/// handle, [`Writer`], [`Snapshot`] and [`Follower`] is gone. See the
/// [module](crate::atomic_log) for what it promises and how.
///
/// ```
/// use log_core::AtomicLog;
///
/// let (mut writer, log) = AtomicLog::new_claimed(1000, 64);
/// writer.append("first");
/// writer.append("second");
/// assert!(log.snapshot().iter().eq(&["first", "second"]));
/// ```
pub struct AtomicLog<T> {
    shared: Arc<Shared<T>>,
}

impl<T> AtomicLog<T> {
    /// An empty log without a writer, whose first record is number 0.
    ///
    /// Retains `ceil(retained_capacity / segment_capacity) + 1` segments, the
    /// one being filled among them, and drops the oldest when one more is
    /// begun: so `retained_capacity` values at least, once there were as many.
    /// Not more than `u32::MAX` segments. Memory is allocated when it is first
    /// needed, a segment at a time.
    ///
    /// # Panics
    ///
    /// When a capacity is zero, or when a segment would not fit into the
    /// address space.
    ///
    /// ```
    /// use log_core::AtomicLog;
    ///
    /// let log = AtomicLog::new(3, 1);
    /// let mut writer = log.try_claim_writer().expect("nobody else has it");
    /// writer.append_batch(0..20);
    /// assert!(log.snapshot().iter().eq(&[16, 17, 18, 19]));
    /// ```
    #[must_use]
    pub fn new(retained_capacity: usize, segment_capacity: usize) -> Self {
        Self::starting_at(Lsn::ZERO, retained_capacity, segment_capacity)
    }

    /// As [`new`](Self::new), with `base` as the number of the first record.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn starting_at(base: Lsn, retained_capacity: usize, segment_capacity: usize) -> Self {
        assert!(retained_capacity > 0, "retained_capacity is zero");
        assert!(segment_capacity > 0, "segment_capacity is zero");
        let Some(shape) = Shape::new::<T>(segment_capacity) else {
            panic!("segment_capacity {segment_capacity} exceeds the address space");
        };
        let segments = retained_capacity.div_ceil(segment_capacity) as u64;
        let window = segments.saturating_add(1).min(WARDS_MAX);
        Self {
            shared: Arc::new(Shared::new(base, window, shape)),
        }
    }

    /// An empty log and its writer.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn new_claimed(retained_capacity: usize, segment_capacity: usize) -> (Writer<T>, Self) {
        let log = Self::new(retained_capacity, segment_capacity);
        let Some(writer) = log.try_claim_writer() else {
            unreachable!("nobody else knows of the log")
        };
        (writer, log)
    }

    /// The writer, unless there is one already. `INV-C3`
    #[must_use]
    pub fn try_claim_writer(&self) -> Option<Writer<T>> {
        Writer::claim(self)
    }

    /// Whether there is a writer at this moment.
    #[must_use]
    pub fn is_writer_claimed(&self) -> bool {
        self.shared.is_claimed()
    }

    /// What the log holds now. See [`Snapshot`] for the price.
    #[inline]
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<T> {
        Snapshot::of(self.clone())
    }

    /// A follower that begins with the oldest value retained now.
    #[must_use]
    pub fn follow(&self) -> Follower<T> {
        let snapshot = self.snapshot();
        Follower::within(&snapshot, (snapshot.sequences_start(), 0))
    }

    /// A follower that begins with the record `lsn`; `None` if that is not
    /// retained any more, or is beyond the end.
    #[must_use]
    pub fn follow_from(&self, lsn: Lsn) -> Option<Follower<T>> {
        let snapshot = self.snapshot();
        if lsn == snapshot.end() {
            return Some(snapshot.follow());
        }
        snapshot.get(lsn)?;
        Some(Follower::within(&snapshot, self.shared.locate(lsn)?))
    }

    /// How many values a segment has room for.
    #[must_use]
    pub fn segment_capacity(&self) -> usize {
        self.shared.capacity()
    }

    /// How many segments are retained at most, the one being filled among them.
    #[must_use]
    pub fn retained_segments(&self) -> u64 {
        self.shared.window()
    }

    /// How many segments were ever allocated: the memory the log has now, as
    /// none is given back before its end. It grows to one more than is
    /// retained, and further only while readers hold on to more.
    #[must_use]
    pub fn allocated_segments(&self) -> usize {
        self.shared.arena().segments()
    }
}

impl<T> From<&Snapshot<T>> for AtomicLog<T> {
    fn from(snapshot: &Snapshot<T>) -> Self {
        snapshot.log().clone()
    }
}

impl<T> From<&Writer<T>> for AtomicLog<T> {
    fn from(writer: &Writer<T>) -> Self {
        writer.log().clone()
    }
}

impl<T> Clone for AtomicLog<T> {
    /// Another handle of the same log.
    #[inline]
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for AtomicLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicLog")
            .field("segment_capacity", &self.segment_capacity())
            .field("retained_segments", &self.retained_segments())
            .field("allocated_segments", &self.allocated_segments())
            .field("is_writer_claimed", &self.is_writer_claimed())
            .finish_non_exhaustive()
    }
}
