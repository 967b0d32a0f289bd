//! What a user of a [`Store`](crate::Store) may choose.

use log_wal::WalOptions;

/// Options of a [`Store`](crate::Store).
///
/// ```
/// use log_mmap::{StoreOptions, WalOptions};
///
/// let options = StoreOptions::default()
///     .wal(WalOptions::default().segment_bytes(64 << 20))
///     .index_interval_bytes(0);
/// assert_ne!(options, StoreOptions::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    pub(crate) wal: WalOptions,
    pub(crate) index_interval_bytes: u32,
    pub(crate) mapped_writing: bool,
    pub(crate) mapped_reading: bool,
    pub(crate) checks: Checks,
}

/// When records in mapped segments are held against their checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checks {
    /// At every read: what changes on the disk or in memory at any time is
    /// noticed by the read that it concerns. The default.
    #[default]
    EachRead,
    /// All of a segment when it is mapped, and not again as long as it stays
    /// so. Reads are quicker then; the first one of each segment waits for
    /// reading all of it. A segment that is found to be damaged is checked at
    /// every read.
    ///
    /// What this gives up: damage that comes later, say to a page that is read
    /// from the disk once more because memory was short, is handed out as it
    /// is. [`Reader::verify`](crate::Reader::verify) finds it.
    OncePerMapping,
}

/// An index of 1/128 of the data, and a few records to walk over for a lookup
/// if they differ in length; each costs a miss of every cache. Such a lookup
/// took 2.4 times as long with 4096, as Kafka has it, and three quarters with an
/// entry for each record, which is then four times the index
/// (`benches/mmap_read.rs`). Records of one length need no walk.
pub(crate) const INDEX_INTERVAL_BYTES_DEFAULT: u32 = 1024;

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            wal: WalOptions::default(),
            index_interval_bytes: INDEX_INTERVAL_BYTES_DEFAULT,
            mapped_writing: false,
            mapped_reading: true,
            checks: Checks::EachRead,
        }
    }
}

impl StoreOptions {
    /// Options of the write-ahead log beneath.
    #[must_use]
    pub fn wal(mut self, options: WalOptions) -> Self {
        self.wal = options;
        self
    }

    /// How many bytes of a segment one index entry stands for: 8 bytes of
    /// index each, and about half of the interval to walk through at a lookup.
    /// Default 1024; 0 gives every record its own entry. Holds for indexes
    /// that are built from now on; existing ones stay as they are.
    #[must_use]
    pub fn index_interval_bytes(mut self, bytes: u32) -> Self {
        self.index_interval_bytes = bytes;
        self
    }

    /// Whether records are appended through a mapping of the file, see
    /// [`MappedStorage`](crate::MappedStorage). Default false.
    ///
    /// Then `append` returns when the record is *written*, and a
    /// [`Follower`](crate::Follower) in another process sees it without any
    /// call of the writer's. What it costs: a page fault at the first touch of
    /// each page, syncs that take longer, and rotations that the append which
    /// needs them waits for. It says nothing about the files: a log may be
    /// opened either way.
    #[must_use]
    pub fn mapped_writing(mut self, is_mapped: bool) -> Self {
        self.mapped_writing = is_mapped;
        self
    }

    /// Whether sealed segments are mapped and indexed. Default true. If not,
    /// they are read through the write-ahead log, and no file lies beside them;
    /// indexes that are there are left alone. It says nothing about the log: it
    /// may be opened either way.
    #[must_use]
    pub fn mapped_reading(mut self, is_mapped: bool) -> Self {
        self.mapped_reading = is_mapped;
        self
    }

    /// When records in mapped segments are held against their checksums, see
    /// [`Checks`]. It says nothing about the log: it may be opened either way.
    #[must_use]
    pub fn checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }
}
