//! The one word on which readers and the writer agree about a head.
//!
//! ```text
//!  bit 63           32  31  30              0
//!     +---------------+---+-----------------+
//!     | wards         | R | pins            |
//!     +---------------+---+-----------------+
//! ```
//!
//! *Pins* counts the readers that hold this segment as the head they saw. `R`
//! says that it has been replaced as head, after which nobody new may pin it.
//! *Wards* counts the retired segments that its pins still keep.
//!
//! All changes are read-modify-writes of one word, so they have one order: a
//! reader pins before the writer replaces, and is seen by it, or afterwards,
//! and is turned away. The same goes for the last unpin against the next
//! ward. That is why no fence and no second look at the head is needed.
//!
//! Once replaced and unpinned the word is *frozen*: nobody changes it until
//! the writer opens the segment again.

use crate::sync::{AtomicU64, Ordering};

const ONE_PIN: u64 = 1;
const PINS: u64 = (1 << 31) - 1;
const REPLACED: u64 = 1 << 31;
const WARDS_SHIFT: u32 = 32;
const ONE_WARD: u64 = 1 << WARDS_SHIFT;

/// The most segments a log may show: each may become a ward of one head.
pub(super) const WARDS_MAX: u64 = u32::MAX as u64;

/// Pins, wards and the replaced bit of a segment; see the [module](self).
pub(super) struct Pins(AtomicU64);

impl Pins {
    /// The word of a segment that has never been a head: frozen.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(REPLACED))
    }

    /// Lets readers pin: the segment is about to become the head. Only for a
    /// frozen word.
    pub(super) fn open(&self) {
        // Release hands the segment's new place to the Acquire in `try_pin`,
        // for the reader that comes here by an old pointer to the head.
        self.0.store(0, Ordering::Release);
    }

    /// Pins, unless the segment has been replaced as head.
    #[inline]
    pub(super) fn try_pin(&self) -> bool {
        // Acquire: who is turned away finds the next head (Release in
        // `replace`).
        let mut word = self.0.load(Ordering::Acquire);
        while word & REPLACED == 0 {
            assert_room(word);
            // Acquire: who pins finds the segment's place (Release in `open`).
            // Relaxed: who does not tries again, or comes by the load above.
            let pinned = self.0.compare_exchange_weak(
                word,
                word + ONE_PIN,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match pinned {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Pins once more, for a caller that holds a pin.
    pub(super) fn pin_again(&self) {
        // Relaxed: the caller's own pin already ordered what the new one needs.
        let add = |word| {
            assert_room(word);
            Some(word + ONE_PIN)
        };
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one pin away. True if it was the last one and the segment has
    /// been replaced: the word is frozen now, and the wards are the caller's
    /// to settle.
    #[inline]
    pub(super) fn unpin(&self) -> bool {
        // Release hands our reads to whoever recycles what we read: to the
        // last to unpin, or to the writer in `replace` or `add_ward`. Acquire
        // is for the last: it takes over the other readers' reads, and from
        // `add_ward` the holds of the wards.
        let before = self.0.fetch_sub(ONE_PIN, Ordering::AcqRel);
        before & (REPLACED | PINS) == REPLACED | ONE_PIN
    }

    /// Turns away whoever has not pinned yet, and says whether somebody has.
    pub(super) fn replace(&self) -> bool {
        // Acquire takes over the reads of those who unpinned before. Release
        // shows the next head to those who find this one replaced.
        self.0.fetch_or(REPLACED, Ordering::AcqRel) & PINS != 0
    }

    /// Whether there is a later head, which the caller will find.
    pub(super) fn is_replaced(&self) -> bool {
        // Acquire pairs with the Release in `replace`.
        self.0.load(Ordering::Acquire) & REPLACED != 0
    }

    /// Gives a replaced head one more ward, or says that nobody pins it any
    /// more.
    pub(super) fn add_ward(&self) -> bool {
        // Release shows the ward's new hold to the last who unpins. Acquire,
        // when it is refused, takes over the reads of those who unpinned.
        self.0
            .fetch_update(Ordering::Release, Ordering::Acquire, |word| {
                (word & PINS != 0).then(|| word + ONE_WARD)
            })
            .is_ok()
    }

    /// The wards of a frozen word.
    pub(super) fn wards(&self) -> u64 {
        // Relaxed: frozen, and handed over by whoever saw that.
        self.0.load(Ordering::Relaxed) >> WARDS_SHIFT
    }
}

/// Keeps the count of pins out of the bit above it.
#[inline]
fn assert_room(word: u64) {
    assert!(word & PINS != PINS, "too many snapshots of one segment");
}
