//! How a log is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log_mmap::{StoreOptions, WalOptions};

use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, Storage, StoreEngine};
use crate::error::{OpenError, OptionsError};
use crate::meters::Meters;
use crate::policy::{FlushPolicy, Policies, Retention, Rotation};
use crate::{Level, Log, RecoveryPolicy, Timestamp, Verify};

/// Options of a [`Log`], from [`Log::options`].
///
/// The defaults serve most. None of them is stored: they hold for as long as
/// this handle is open, and a log can be opened with others the next time.
///
/// ```
/// use std::time::Duration;
/// use log_facade::{Level, Log};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::options()
///     .segment_bytes(64 << 20)
///     .flush_interval(Duration::from_millis(200)) // lose no more than that
///     .retain_bytes(10 << 30)                     // and keep no more than that
///     .open(directory.path())?;
/// log.append(b"durable in a fifth of a second")?;
/// log.append_to(Level::Durable, b"durable when this returns")?;
/// assert_eq!(log.watermarks().durable_end, log.next_lsn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a log is opened with them"]
pub struct LogOptions {
    wal: WalOptions,
    store: StoreOptions,
    record_bytes_max: Option<usize>,
    name: Option<String>,
    read_level: Level,
    policies: Policies,
    clock: Arc<dyn Clock>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            wal: WalOptions::default(),
            store: StoreOptions::default(),
            record_bytes_max: None,
            name: None,
            read_level: Level::Published,
            policies: Policies {
                acknowledge: Level::Published,
                flush: FlushPolicy::default(),
                retention: Retention::default(),
                rotation: Rotation::default(),
                prepares_ahead: false,
                stamps: true,
            },
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// What the log consists of.
impl LogOptions {
    /// Whether sealed segments are mapped and indexed. Default true.
    ///
    /// Without, the log is the segment files and nothing beside them, and reads
    /// go through the operating system's `read`: for logs that are read seldom,
    /// after a crash only say, or that have no address space to spare. The same
    /// directory can be opened either way, in turn.
    pub fn mapped_reading(mut self, is_mapped: bool) -> Self {
        self.store = self.store.mapped_reading(is_mapped);
        self
    }

    /// Whether records are appended through a mapping of the segment's file.
    /// Default false.
    ///
    /// Then an append that returns is *written*, at the price of a copy in
    /// memory: records survive `kill -9` without a system call, and other
    /// processes see them at once. What it costs: a page fault at the first
    /// touch of each page, syncs that take longer, and rotations that the
    /// append which needs them waits for. Only for logs in a directory.
    pub fn mapped_writing(mut self, is_mapped: bool) -> Self {
        self.store = self.store.mapped_writing(is_mapped);
        self
    }

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

    /// The longest record that is accepted: its payload and what else it
    /// carries, less the timestamp. Default, and limit: 256 MiB less one byte,
    /// the timestamp included.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = Some(bytes);
        self
    }

    /// How many full segments may wait in memory to be written out. Default 2,
    /// at least 1. When they are used up an append waits for the disk: memory
    /// stays bounded however slow it is.
    pub fn backlog_segments_max(mut self, segments: usize) -> Self {
        self.wal = self.wal.backlog_segments_max(segments);
        self
    }

    /// How many files of dropped segments, or made ahead of need, may lie by to
    /// be used again. Default 2. 0 keeps none: dropped segments are removed at
    /// once.
    pub fn spare_segments_max(mut self, segments: usize) -> Self {
        self.wal = self.wal.spare_segments_max(segments);
        self
    }

    /// How many bytes of a sealed segment one entry of its index stands for.
    /// Default 1024; 0 gives every record its own: lookups by number get
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

    /// What opening does with a log in which acknowledged data is damaged or
    /// missing. Default [`RecoveryPolicy::Refuse`].
    pub fn recovery(mut self, policy: RecoveryPolicy) -> Self {
        self.wal = self.wal.recovery(policy);
        self
    }

    /// Whether the bytes of a torn tail are copied into a file of their own,
    /// which [`OpenReport::torn_file`] names, before it is cut. Default false.
    /// With it, a torn log opens only where there is room for the copy.
    ///
    /// [`OpenReport::torn_file`]: crate::OpenReport::torn_file
    pub fn keep_torn_tail(mut self, yes: bool) -> Self {
        self.wal = self.wal.keep_torn_tail(yes);
        self
    }
}

/// What is acknowledged, and what is shown.
impl LogOptions {
    /// What the appends that name no level wait for. Default
    /// [`Level::Published`].
    pub fn acknowledge(mut self, level: Level) -> Self {
        self.policies.acknowledge = level;
        self
    }

    /// What a record must have reached to be shown to readers of this log.
    /// Default [`Level::Published`]: at once. With [`Level::Durable`] nobody
    /// sees what a power cut can undo.
    pub fn read_level(mut self, level: Level) -> Self {
        self.read_level = level;
        self
    }
}

/// What happens by itself. Each of these but `flush_records` and
/// `rotate_records` needs the log's housekeeper, a thread that is started for
/// it.
impl LogOptions {
    /// Brings what was appended to the disk whenever `interval` has passed
    /// since the last time. Default: no interval; what nobody flushes is
    /// written when its segment is full.
    ///
    /// A flush by hand, if it goes as far as this one, begins the interval
    /// anew.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.policies.flush.interval = Some(interval);
        self
    }

    /// Brings what was appended to the disk whenever so many records are not
    /// there yet: the append that makes them so many waits for it, so a crash
    /// takes no more than that, and what others append meanwhile. Default: any
    /// number.
    ///
    /// To flush with every record, [`acknowledge`](Self::acknowledge) a level.
    pub fn flush_records(mut self, records: u64) -> Self {
        self.policies.flush.records = Some(records);
        self
    }

    /// How far the two above bring records. Default [`Level::Durable`].
    pub fn flush_level(mut self, level: Level) -> Self {
        self.policies.flush.level = level;
        self
    }

    /// Drops old segments when every record in them is older than `age`, by its
    /// timestamp. Default: any age.
    ///
    /// A record without a timestamp counts as old as the next one behind it
    /// that has one. If the time of day jumps forward while the log is open, it
    /// is believed only when `age` has passed since: a clock that is set wrong
    /// for a while deletes nothing. Only sealed segments go, so see
    /// [`rotate_age`](Self::rotate_age) for a log that grows slowly.
    pub fn retain_age(mut self, age: Duration) -> Self {
        self.policies.retention.age = Some(age);
        self
    }

    /// Drops old segments as long as the rest of the log has at least so many
    /// bytes of frames. Default: any number.
    ///
    /// So the log has about as many bytes as this, and a segment more.
    pub fn retain_bytes(mut self, bytes: u64) -> Self {
        self.policies.retention.bytes = Some(bytes);
        self
    }

    /// Drops old segments as long as the rest of the log has at least so many
    /// records. Default: any number.
    pub fn retain_records(mut self, records: u64) -> Self {
        self.policies.retention.records = Some(records);
        self
    }

    /// How often retention looks whether something can go, beside every time
    /// that a segment was sealed. Default 30 seconds.
    pub fn retention_interval(mut self, interval: Duration) -> Self {
        self.policies.retention.interval = interval;
        self
    }

    /// Begins a new segment when the active one has had records for so long.
    /// Default: only when it is full.
    ///
    /// Counts from the time that the segment's first record bears, so also
    /// while the log is closed; what was due then is done when it is opened. A
    /// segment of which that record has no time counts from when the
    /// housekeeper first sees it, and one with a time that cannot be true, from
    /// when it was last seen without a record.
    ///
    /// Retention drops whole segments that are sealed: in a log that grows
    /// slowly, this is what lets old records go.
    pub fn rotate_age(mut self, age: Duration) -> Self {
        self.policies.rotation.age = Some(age);
        self
    }

    /// Begins a new segment when the active one has so many records. Default:
    /// only when it is full.
    ///
    /// The append that finds it so waits for several syncs. A batch stays
    /// together, and what others append meanwhile may still go to the old
    /// segment.
    pub fn rotate_records(mut self, records: u64) -> Self {
        self.policies.rotation.records = Some(records);
        self
    }

    /// Whether the housekeeper makes the next segment's file ahead of need.
    /// Default false: then callers that wait for the disk make it, a piece at a
    /// time.
    pub fn prepare_ahead(mut self, prepares: bool) -> Self {
        self.policies.prepares_ahead = prepares;
        self
    }

    /// Whether records that are appended without a timestamp get one: the time
    /// at which they are appended, by the log's clock, in 8 bytes each. Default
    /// true; retention by age needs it.
    pub fn stamp(mut self, stamps: bool) -> Self {
        self.policies.stamps = stamps;
        self
    }

    /// What the log is called where it is measured (feature `metrics`).
    /// Default: its directory.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where the time comes from. Default: the machine's clocks. Tests take a
    /// [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl LogOptions {
    /// Opens the log in `directory`, making both if they are missing.
    ///
    /// Blocks for the recovery of the newest segment, or of all of them with
    /// [`Verify::All`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Log, OpenError> {
        self.check(Level::Durable)?;
        let directory = directory.as_ref();
        let _span = tracing::info_span!("open log", path = %directory.display()).entered();
        let engine = StoreEngine::open(directory, self.store())?;
        let name = directory.display().to_string();
        self.start(Box::new(engine), name)
    }

    /// Makes a log in memory, which is gone when it is closed. It takes the
    /// same calls, and refuses levels above *published*: nothing in it survives
    /// anything.
    ///
    /// Its memory is bounded by retention and by nothing else.
    ///
    /// ```
    /// use log_facade::{CommitError, Level, Log};
    ///
    /// let log = Log::options().retain_bytes(64 << 20).open_in_memory()?;
    /// log.append(b"gone tomorrow")?;
    /// assert!(matches!(log.sync(), Err(CommitError::LevelNotKept { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OptionsError::LevelNotKept`] if the options ask for more than
    /// *published*, and see [`OpenError`].
    pub fn open_in_memory(self) -> Result<Log, OpenError> {
        self.check(Level::Published)?;
        let engine = StoreEngine::ephemeral(self.store())?;
        self.start(Box::new(engine), "memory".to_owned())
    }

    /// Opens a log on a storage that the caller brings, with nothing beside its
    /// segments: as [`open`](Self::open) does without [`mapped_reading`](Self::mapped_reading).
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_on(self, storage: Arc<dyn Storage>) -> Result<Log, OpenError> {
        self.check(Level::Durable)?;
        let name = storage.path("").display().to_string();
        let engine = StoreEngine::open_on(storage, self.store())?;
        self.start(Box::new(engine), name)
    }

    /// Makes a log on an engine that the caller brings. Options that say what
    /// the log consists of are the engine's business, and do nothing here.
    ///
    /// # Errors
    ///
    /// [`OpenError::Options`] and [`OpenError::Housekeeper`].
    pub fn open_engine(self, engine: Box<dyn Engine>) -> Result<Log, OpenError> {
        self.check(engine.keeps())?;
        self.start(engine, "engine".to_owned())
    }

    fn store(&self) -> StoreOptions {
        let mut wal = self.wal.clone();
        if let Some(bytes) = self.record_bytes_max {
            let stamp_bytes = match self.policies.stamps {
                true => size_of::<Timestamp>(),
                false => 0,
            };
            wal = wal.record_bytes_max(bytes.saturating_add(stamp_bytes));
        }
        self.store.clone().wal(wal)
    }

    fn check(&self, kept: Level) -> Result<(), OptionsError> {
        self.policies.check(kept)?;
        let asked = self.read_level;
        match asked > kept {
            true => Err(OptionsError::LevelNotKept { asked, kept }),
            false => Ok(()),
        }
    }

    fn start(self, engine: Box<dyn Engine>, name: String) -> Result<Log, OpenError> {
        let meters = Meters::new(&self.name.unwrap_or(name));
        Log::start(engine, self.policies, self.read_level, self.clock, meters)
    }
}
