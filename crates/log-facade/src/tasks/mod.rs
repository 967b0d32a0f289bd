//! The same log for tasks of a tokio runtime (feature `tokio`).
//!
//! No verb here blocks a worker of the runtime. Records are appended by the
//! task that appends them, in memory; waiting for the disk is done by futures,
//! for which one thread of the log's writes and syncs, once for all that wait.
//! Batches are appended like that, too.
//!
//! What must touch files runs in tokio's threads for that (`spawn_blocking`):
//! opening and closing; reading what is no longer in memory; rotating, also
//! where `rotate_records` wants it before an append; dropping, compacting, and
//! confirming a cursor. Each of them makes, renames or deletes a file and syncs
//! it or its directory, for which there is no future, and each is rare.

mod append;
mod stream;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{AppendError, CommitError, CompactError, OpenError};
use crate::housekeeper::CommitterThread;
use crate::{
    CompactReport, Cursor, CursorError, Level, Log, LogOptions, Lsn, NewRecord, ReadError, Record,
    StartAt, SubscribeError, SubscribeOptions,
};

pub use stream::SubscriptionStream;

/// A [`Log`] for tasks (feature `tokio`).
///
/// Clones are the same log; it is closed when the last one is dropped, or by
/// [`close`](Self::close). What does not wait is called on the [`Log`] itself,
/// which it derefs to: `log.next_lsn()`, `log.stats()`; verbs of the same name
/// here are those that do not block.
///
/// All futures must be polled within a tokio runtime; any flavour will do.
///
/// # When a future is dropped
///
/// | verb | dropped before it is done |
/// |---|---|
/// | `append*` | not appended, if it was waiting for room in memory; otherwise it is in the log, and whether it has reached the level is not known; of a batch all or nothing |
/// | `rotate`, `drop_before`, `compact_before`, `confirm` | is done all the same, in the background; all or nothing |
/// | `flush`, `sync`, `read` | nothing; others that wait are not held up |
/// | the next item of a [`SubscriptionStream`] | nothing is lost: the stream delivers it when it is polled again |
///
/// ```
/// use log_facade::{AsyncLog, Level, Log};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().to_owned();
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let log = AsyncLog::open(Log::options(), path).await?;
/// let tasks: Vec<_> = (0..100_u8)
///     .map(|number| {
///         let log = log.clone();
///         tokio::spawn(async move { log.append_to(Level::Durable, &[number]).await })
///     })
///     .collect();
/// for task in tasks {
///     task.await??; // they shared a few syncs
/// }
/// assert_eq!(log.watermarks().durable_end, log.next_lsn());
/// log.close().await?;
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AsyncLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Stopped first: it works on the other.
    committer: Option<CommitterThread>,
    log: Log,
}

impl std::ops::Deref for AsyncLog {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.inner.log
    }
}

impl AsyncLog {
    /// Opens the log in `directory`, as [`LogOptions::open`] does.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(
        options: LogOptions,
        directory: impl Into<PathBuf>,
    ) -> Result<Self, OpenError> {
        let directory = directory.into();
        in_a_thread(move || Self::new(options.open(directory)?)).await
    }

    /// Takes a log that is open, and starts the thread that works for tasks.
    ///
    /// # Errors
    ///
    /// [`OpenError::Housekeeper`] if that could not be started.
    pub fn new(log: Log) -> Result<Self, OpenError> {
        let (shared, _) = log.parts();
        let committer = CommitterThread::start(shared).map_err(OpenError::Housekeeper)?;
        Ok(Self {
            inner: Arc::new(Inner { committer, log }),
        })
    }

    /// The log itself, whose verbs block: for threads beside the tasks.
    #[must_use]
    pub fn as_log(&self) -> &Log {
        self
    }

    /// As [`Log::append`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append`].
    pub async fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.append_record(&NewRecord::new(payload)).await
    }

    /// As [`Log::append_to`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append`].
    pub async fn append_to(&self, level: Level, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.append_record_to(level, &NewRecord::new(payload)).await
    }

    /// As [`Log::append_record`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append`].
    pub async fn append_record(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        self.append_record_to(self.level(), record).await
    }

    /// As [`Log::append_record_to`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append`].
    pub async fn append_record_to(
        &self,
        level: Level,
        record: &NewRecord<'_>,
    ) -> Result<Lsn, AppendError> {
        append::one(self, level, record).await
    }

    /// As [`Log::append_batch`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append_batch`].
    pub async fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.append_batch_to(self.level(), payloads).await
    }

    /// As [`Log::append_batch_to`].
    ///
    /// # Errors
    ///
    /// As for [`Log::append_batch`].
    pub async fn append_batch_to(
        &self,
        level: Level,
        payloads: &[&[u8]],
    ) -> Result<Range<Lsn>, AppendError> {
        append::batch(self, level, payloads).await
    }

    /// As [`Log::flush`].
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub async fn flush(&self) -> Result<Lsn, CommitError> {
        append::flush_to(self, Level::Written).await
    }

    /// As [`Log::sync`], but for indexing full segments: that is left to a
    /// housekeeper, or to their first reader.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub async fn sync(&self) -> Result<Lsn, CommitError> {
        append::flush_to(self, Level::Durable).await
    }

    /// As [`Log::read`].
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        if self.parts().0.engine.is_hot(lsn) {
            return self.inner.log.read(lsn);
        }
        self.with(move |log| log.read(lsn)).await
    }

    /// As [`Log::subscribe`], as a stream.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub async fn subscribe(&self, start: StartAt) -> Result<SubscriptionStream, SubscribeError> {
        let options = SubscribeOptions::default();
        self.subscribe_with(start, options).await
    }

    /// As [`Log::subscribe_with`], as a stream.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub async fn subscribe_with(
        &self,
        start: StartAt,
        options: SubscribeOptions,
    ) -> Result<SubscriptionStream, SubscribeError> {
        let subscription = match start {
            StartAt::Beginning | StartAt::End | StartAt::Lsn(_) => {
                self.inner.log.subscribe_with(start, options)
            }
            // Looks into files.
            _ => {
                self.with(move |log| log.subscribe_with(start, options))
                    .await
            }
        };
        subscription.map(SubscriptionStream::from)
    }

    /// As [`Cursor::confirm`].
    ///
    /// # Errors
    ///
    /// See [`CursorError`].
    pub async fn confirm(&self, cursor: &Cursor, lsn: Lsn) -> Result<(), CursorError> {
        let cursor = cursor.clone();
        in_a_thread(move || cursor.confirm(lsn)).await
    }

    /// As [`Log::rotate`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub async fn rotate(&self) -> Result<bool, AppendError> {
        self.with(Log::rotate).await
    }

    /// As [`Log::drop_before`].
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub async fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.with(move |log| log.drop_before(lsn)).await
    }

    /// As [`Log::compact_before`].
    ///
    /// # Errors
    ///
    /// See [`CompactError`].
    pub async fn compact_before(
        &self,
        lsn: Lsn,
        keep: impl FnMut(&Record) -> bool + Send + 'static,
    ) -> Result<CompactReport, CompactError> {
        self.with(move |log| log.compact_before(lsn, keep)).await
    }

    /// The log itself, with the thread that works for tasks stopped: for what
    /// needs it alone, as [`Log::truncate_after`] does.
    ///
    /// # Errors
    ///
    /// This, if other clones of it are held, or work for one is still going on
    /// in the background.
    pub async fn into_log(self) -> Result<Log, Self> {
        let inner = Arc::try_unwrap(self.inner).map_err(|inner| Self { inner })?;
        let stop = move || {
            drop(inner.committer);
            inner.log
        };
        Ok(in_a_thread(stop).await)
    }

    /// As [`Log::close`]. If there are other clones, everything is made
    /// durable, and the last of them closes the log when it is dropped.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub async fn close(self) -> Result<(), CommitError> {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => {
                in_a_thread(move || {
                    drop(inner.committer);
                    inner.log.close()
                })
                .await
            }
            Err(inner) => {
                let level = inner.log.keeps();
                append::flush_to(&Self { inner }, level).await.map(drop)
            }
        }
    }

    /// Does something that blocks with the log, elsewhere.
    async fn with<R: Send + 'static>(&self, work: impl FnOnce(&Log) -> R + Send + 'static) -> R {
        let inner = Arc::clone(&self.inner);
        in_a_thread(move || work(&inner.log)).await
    }
}

/// Does something that blocks where that holds up no task.
async fn in_a_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and us with it: nobody polls again.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
