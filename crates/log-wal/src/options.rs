//! What a user may choose, with defaults that hold for most.

use log_core::PAYLOAD_BYTES_MAX;

use crate::format::SEGMENT_BYTES_MIN;

/// How far a record has come when a call returns.
///
/// Each level includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Visible to readers of this log, in order. Lost when the process dies.
    Published,
    /// Handed to the operating system. Survives the death of the process
    /// (`kill -9` included); lost when the machine loses power.
    Written,
    /// On stable storage. Survives power loss, as far as the device keeps what
    /// it says it has flushed.
    Durable,
}

/// How much of the log is checked when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Every frame of the newest segment; sealed ones by header and seal. The
    /// cost of opening does not grow with the records in the log.
    #[default]
    Tail,
    /// Every frame of every segment.
    All,
}

/// What opening does with a log in which acknowledged data is damaged or
/// missing.
///
/// To read what is left of it without changing anything, see
/// [`Salvage`](crate::Salvage).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecoveryPolicy {
    /// Refuses, and touches nothing.
    #[default]
    Refuse,
    /// Ends the log in front of the first damage, and discards everything
    /// behind it for good, whole records too.
    /// [`OpenReport::cut`](crate::OpenReport::cut) lists it. Only where opening
    /// would be refused; then every frame is read to find the first damage.
    CutToLastGood,
}

/// Options of a [`Wal`](crate::Wal).
///
/// ```
/// use log_wal::{Verify, WalOptions};
///
/// let options = WalOptions::default()
///     .segment_bytes(64 << 20)
///     .verify(Verify::All);
/// assert_eq!(options, WalOptions::default().verify(Verify::All).segment_bytes(64 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalOptions {
    pub(crate) segment_bytes: u64,
    pub(crate) record_bytes_max: usize,
    pub(crate) backlog_segments_max: usize,
    pub(crate) spare_segments_max: usize,
    pub(crate) verify: Verify,
    pub(crate) recovery: RecoveryPolicy,
    pub(crate) keep_torn_tail: bool,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            record_bytes_max: PAYLOAD_BYTES_MAX,
            backlog_segments_max: 2,
            spare_segments_max: 2,
            verify: Verify::Tail,
            recovery: RecoveryPolicy::Refuse,
            keep_torn_tail: false,
        }
    }
}

impl WalOptions {
    /// Size of a segment file, headers included. Default 16 MiB; rounded up to
    /// a multiple of 4 KiB; at least 16 KiB and at most 4 GiB, a value outside
    /// counts as the nearest one inside.
    ///
    /// Also the memory that a segment takes while it is written: two segments
    /// in normal operation, and see
    /// [`backlog_segments_max`](Self::backlog_segments_max). A record too long
    /// for it gets a segment of its own size.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes
            .clamp(SEGMENT_BYTES_MIN, 4 << 30)
            .next_multiple_of(4096);
        self
    }

    /// The longest record that is accepted. Default, and limit: 256 MiB less
    /// one byte.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes.min(PAYLOAD_BYTES_MAX);
        self
    }

    /// How many full segments may wait in memory to be written out. Default 2,
    /// at least 1. When they are used up an append waits for the disk: memory
    /// stays bounded however slow it is.
    #[must_use]
    pub fn backlog_segments_max(mut self, segments: usize) -> Self {
        self.backlog_segments_max = segments.max(1);
        self
    }

    /// How many files the log keeps ready to become segments. Default 2.
    ///
    /// One is made before it is needed, so that a rotation takes less time; the
    /// others are segments that [`checkpoint`](crate::Wal::checkpoint) dropped
    /// and nobody reads, which saves writing them anew. They take
    /// [`segment_bytes`](Self::segment_bytes) each on the disk, and are removed
    /// when the log is closed, or next opened. 0 keeps none: then dropped
    /// segments are removed at once.
    ///
    /// A file that is used again is overwritten. Who copies the files of a log
    /// while it is written must hold them
    /// ([`open_held`](crate::storage::open_held)) or choose 0; a copy by a hard
    /// link is noticed, and left alone.
    #[must_use]
    pub fn spare_segments_max(mut self, segments: usize) -> Self {
        self.spare_segments_max = segments;
        self
    }

    /// How much is checked on opening. Default [`Verify::Tail`].
    #[must_use]
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// What is done with a damaged log. Default [`RecoveryPolicy::Refuse`].
    #[must_use]
    pub fn recovery(mut self, policy: RecoveryPolicy) -> Self {
        self.recovery = policy;
        self
    }

    /// Whether the bytes of a torn tail are copied, before it is cut, into a
    /// file beside its segment, with its name but for the ending `.torn`.
    /// Default false. [`OpenReport::torn_file`](crate::OpenReport::torn_file)
    /// names the file.
    ///
    /// The log never reads, counts or removes such a file. Opening a log with a
    /// torn tail then needs room for it, and fails without. What
    /// [`RecoveryPolicy::CutToLastGood`] discards is not a torn tail: look at
    /// that with a [`Salvage`](crate::Salvage) before it is cut.
    #[must_use]
    pub fn keep_torn_tail(mut self, yes: bool) -> Self {
        self.keep_torn_tail = yes;
        self
    }
}
