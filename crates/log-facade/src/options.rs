//! How a log is opened.

use std::path::Path;

use log_mmap::{Level, OpenError, StoreOptions, Verify, WalOptions};

use crate::Log;

/// Options of a [`Log`], from [`Log::options`].
///
/// The defaults serve most. None of them is stored: they hold for as long as
/// this handle is open, and a log can be opened with others the next time.
///
/// ```
/// use log_facade::{Level, Log};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::options()
///     .segment_bytes(64 << 20)
///     .acknowledge(Level::Durable)
///     .open(directory.path())?;
/// log.append(b"durable when this returns")?;
/// assert_eq!(log.watermarks().durable_end, log.next_lsn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a log is opened with them"]
pub struct LogOptions {
    wal: WalOptions,
    store: StoreOptions,
    acknowledge: Level,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            wal: WalOptions::default(),
            store: StoreOptions::default(),
            acknowledge: Level::Published,
        }
    }
}

impl LogOptions {
    /// Size of a segment file. Default 16 MiB; at least 16 KiB and at most
    /// 4 GiB, a value outside counts as the nearest one inside.
    ///
    /// Also the memory that a segment takes while it is written; two of them in
    /// normal operation. A record too long for it gets a segment of its own
    /// size.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.wal = self.wal.segment_bytes(bytes);
        self
    }

    /// The longest record that is accepted. Default, and limit: 256 MiB less
    /// one byte.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.wal = self.wal.record_bytes_max(bytes);
        self
    }

    /// How many bytes of a sealed segment one entry of its index stands for.
    /// Default 4096; 0 gives every record its own: lookups by number get
    /// faster, and the index takes 8 bytes a record.
    pub fn index_interval_bytes(mut self, bytes: u32) -> Self {
        self.store = self.store.index_interval_bytes(bytes);
        self
    }

    /// How much is checked on opening. Default [`Verify::Tail`]: the newest
    /// segment, so that opening takes the same time however long the log is.
    pub fn verify(mut self, verify: Verify) -> Self {
        self.wal = self.wal.verify(verify);
        self
    }

    /// What [`Log::append`] and [`Log::append_batch`] wait for. Default
    /// [`Level::Published`].
    pub fn acknowledge(mut self, level: Level) -> Self {
        self.acknowledge = level;
        self
    }

    /// Opens the log in `directory`, making both if they are missing.
    ///
    /// Blocks for the recovery of the newest segment, or of all of them with
    /// [`Verify::All`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Log, OpenError> {
        let store = self.store.wal(self.wal);
        Log::open_with(directory.as_ref(), store, self.acknowledge)
    }
}
