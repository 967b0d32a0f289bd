//! Where a subscription begins, and what it shows.

use std::fmt;
use std::sync::Arc;

use crate::news::Door;
use crate::shared::Shared;
use crate::{Cursor, CursorError, Level, Lsn, ReadError, Record, Timestamp};

/// With which record a [`Subscription`](crate::Subscription) begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The first that the log has.
    Beginning,
    /// The first that is not shown yet: only what comes.
    End,
    /// This one. It may be still to come; if it was dropped, the subscription
    /// says so first.
    Lsn(Lsn),
    /// The first whose timestamp is at or after this, as
    /// [`Log::lsn_at_or_after`](crate::Log::lsn_at_or_after) finds it; if there
    /// is none, the first that is appended after that was looked up.
    Time(Timestamp),
    /// The first that the consumer of this [cursor](crate::Cursor) has not
    /// confirmed; the cursor is made if there is none, as
    /// [`Log::cursor`](crate::Log::cursor) makes it.
    Cursor(String),
}

impl StartAt {
    pub(super) fn resolve(
        self,
        shared: &Shared,
        door: &Arc<Door>,
        level: Level,
    ) -> Result<Lsn, SubscribeError> {
        Ok(match self {
            Self::Beginning => shared.engine.first_lsn(),
            Self::End => shared.reached(level),
            Self::Lsn(lsn) => lsn,
            Self::Cursor(name) => Cursor::open(shared, door, &name)?.position(),
            Self::Time(moment) => {
                // In front of the search: a record that comes meanwhile is
                // not passed over.
                let end = shared.engine.next_lsn();
                shared.engine.lsn_at_or_after(moment)?.unwrap_or(end)
            }
        })
    }
}

/// Why a log cannot be subscribed to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The log's engine does not keep that level, so nothing would ever come.
    #[error("a subscription at level {asked:?} was asked for, and this log keeps {kept:?} at most")]
    LevelNotKept {
        /// What was asked for.
        asked: Level,
        /// The highest level that the engine keeps.
        kept: Level,
    },

    /// The record to begin with was not found, for an error on the way.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// The cursor to begin at cannot be had.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

type Predicate = dyn Fn(&Record) -> bool + Send + Sync;

/// Which records a [`Subscription`](crate::Subscription) delivers.
///
/// ```
/// use log_facade::{Level, Log, NewRecord, StartAt, SubscribeOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path())?;
/// log.append_record(&NewRecord::new(b"paid").key(b"order/1"))?;
/// log.append_record(&NewRecord::new(b"moved").key(b"user/1"))?;
/// log.sync()?;
/// let users = SubscribeOptions::new().level(Level::Durable).key_prefix(b"user/");
/// let mut users = log.subscribe_with(StartAt::Beginning, users)?;
/// assert_eq!(users.try_next()?.ok_or("none")?.payload(), b"moved");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until a log is subscribed to with them"]
pub struct SubscribeOptions {
    level: Option<Level>,
    key_prefix: Option<Vec<u8>>,
    predicate: Option<Arc<Predicate>>,
}

impl SubscribeOptions {
    /// Every record, as soon as the log [shows](crate::LogOptions::read_level)
    /// it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delivers records only when they have reached this level. No less than
    /// the log [shows](crate::LogOptions::read_level); default: that.
    ///
    /// Nothing is brought to that level by being waited for: somebody has to
    /// sync, by hand or by a policy.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Delivers only records whose key begins so. Records without a key are
    /// passed over.
    pub fn key_prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.key_prefix = Some(prefix.into());
        self
    }

    /// Delivers only records of which this says so. It runs where the
    /// subscription is read, and holds up nobody else.
    pub fn filter(mut self, is_wanted: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(is_wanted));
        self
    }

    pub(super) fn level_in(&self, shared: &Shared) -> Result<Level, SubscribeError> {
        let asked = self
            .level
            .unwrap_or(Level::Published)
            .max(shared.read_level);
        let kept = shared.keeps;
        match asked > kept {
            true => Err(SubscribeError::LevelNotKept { asked, kept }),
            false => Ok(asked),
        }
    }

    pub(super) fn wants(&self, record: &Record) -> bool {
        let has_prefix = |prefix: &Vec<u8>| record.key().is_some_and(|key| key.starts_with(prefix));
        self.key_prefix.as_ref().is_none_or(has_prefix)
            && self.predicate.as_ref().is_none_or(|wants| wants(record))
    }
}

impl fmt::Debug for SubscribeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeOptions")
            .field("level", &self.level)
            .field("key_prefix", &self.key_prefix)
            .field("has_filter", &self.predicate.is_some())
            .finish()
    }
}
