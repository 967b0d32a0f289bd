//! A cursor, as its consumer holds it.

use std::sync::Arc;

use super::Cursors;
use super::error::CursorError;
use crate::news::Door;
use crate::shared::Shared;
use crate::{Level, Lsn, SegmentInfo};

/// How far a consumer has come: made by [`Log::cursor`](crate::Log::cursor).
///
/// It moves only by [`confirm`](Self::confirm), which a consumer calls when it
/// has done with a record. Whatever happens, the consumer finds it again where
/// it has confirmed, so it sees every record at least once: those that it had
/// done with and not confirmed it sees again.
///
/// ```
/// use log_facade::{Log, Lsn, StartAt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path())?;
/// log.append_batch(&[b"one", b"two", b"three"])?;
///
/// let cursor = log.cursor("billing")?;
/// let mut bills = log.subscribe(StartAt::Cursor("billing".to_owned()))?;
/// for _ in 0..2 {
///     let record = bills.try_next()?.ok_or("none")?;
///     // ... send the bill, and then:
///     cursor.confirm(record.lsn())?;
/// }
/// log.close()?;
///
/// let log = Log::open(directory.path())?;
/// assert_eq!(log.cursor("billing")?.position(), Lsn(2));
/// # Ok(())
/// # }
/// ```
///
/// All methods may be called by any number of threads; clones, and what
/// [`Log::cursor`](crate::Log::cursor) gives for the same name, are the same
/// cursor. It does not keep the log open. If the log is
/// [truncated](crate::Log::truncate_after) in front of where it stands, it is
/// set back to there.
///
/// On a log [in memory](crate::LogOptions::open_in_memory) a cursor is gone
/// with the log.
#[derive(Clone, Debug)]
pub struct Cursor {
    cursors: Arc<Cursors>,
    door: Arc<Door>,
    name: Arc<str>,
    /// How many cuts of the log there had been when it was asked for.
    cuts_seen: u64,
}

impl Cursor {
    pub(crate) fn open(shared: &Shared, door: &Arc<Door>, name: &str) -> Result<Self, CursorError> {
        let saved = shared
            .cursors
            .find_or_make(name, shared.engine.first_lsn())?;
        let next_lsn = shared.engine.next_lsn();
        if saved.position > next_lsn {
            return Err(CursorError::AheadOfLog {
                name: name.to_owned(),
                position: saved.position,
                next_lsn,
            });
        }
        Ok(Self {
            cursors: Arc::clone(&shared.cursors),
            door: Arc::clone(door),
            name: name.into(),
            cuts_seen: shared.news.cuts.count(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the first record that is not confirmed; where its consumer
    /// goes on. The end of the numbers for a cursor that was removed.
    #[must_use]
    pub fn position(&self) -> Lsn {
        let saved = self.cursors.get(&self.name);
        saved.map_or(Lsn(u64::MAX), |saved| saved.position)
    }

    /// Confirms record `lsn` and all before it: the consumer will not see them
    /// again. Does nothing if that was confirmed before.
    ///
    /// On return the cursor is durable, and so is the log up to there: a record
    /// that a power cut can take is not confirmed, because another one would
    /// get its number. Blocks for that, and for three syncs of its own
    /// at most; a consumer of many records confirms only some.
    ///
    /// # Errors
    ///
    /// See [`CursorError`].
    pub fn confirm(&self, lsn: Lsn) -> Result<(), CursorError> {
        let inside = self.door.enter();
        let shared = inside.log().ok_or(CursorError::Closed)?;
        let next_lsn = shared.engine.next_lsn();
        if lsn >= next_lsn {
            return Err(CursorError::NotThere { lsn, next_lsn });
        }
        let cut = shared.news.cuts.lowest_since(self.cuts_seen);
        if let Some((_, first)) = cut.filter(|(_, first)| lsn >= *first) {
            return Err(CursorError::Discarded { lsn, first });
        }
        let position = Lsn(lsn.0.saturating_add(1));
        if shared.keeps > Level::Published {
            let committed = shared.commit(position, Level::Durable);
            committed.map_err(crate::CommitError::from)?;
        }
        self.cursors.change(&self.name, |saved| {
            saved.position = saved.position.max(position);
        })
    }

    /// Keeps retention from dropping what is not confirmed, as long as that is
    /// no more than `bound`: beyond it retention goes on, and the consumer gets
    /// [`ReadError::Truncated`](crate::ReadError::Truncated).
    ///
    /// Kept with the cursor: it holds from the next opening of the log on,
    /// whether or not the consumer is there, until [`unpin`](Self::unpin) or
    /// until the cursor is removed. Blocks as [`confirm`](Self::confirm) does.
    ///
    /// # Errors
    ///
    /// See [`CursorError`].
    pub fn pin(&self, bound: PinBound) -> Result<(), CursorError> {
        self.set_pin(Some(bound))
    }

    /// Lets retention go on without regard to this cursor.
    ///
    /// # Errors
    ///
    /// See [`CursorError`].
    pub fn unpin(&self) -> Result<(), CursorError> {
        self.set_pin(None)
    }

    fn set_pin(&self, pin: Option<PinBound>) -> Result<(), CursorError> {
        let inside = self.door.enter();
        inside.log().ok_or(CursorError::Closed)?;
        self.cursors.change(&self.name, |saved| saved.pin = pin)
    }
}

/// How much a cursor may keep from being dropped. Default: everything that its
/// consumer has not confirmed, however much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a bound does nothing until a cursor is pinned with it"]
pub struct PinBound {
    pub(super) records_max: u64,
    pub(super) bytes_max: u64,
}

impl Default for PinBound {
    fn default() -> Self {
        Self {
            records_max: u64::MAX,
            bytes_max: u64::MAX,
        }
    }
}

impl PinBound {
    /// Everything, however much that is: a consumer that never comes back
    /// fills the disk.
    pub fn unbounded() -> Self {
        Self::default()
    }

    /// At most the newest so many records.
    pub fn records(mut self, records: u64) -> Self {
        self.records_max = records;
        self
    }

    /// At most the newest segments of so many bytes of frames together.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// The first record that a pin so bounded can keep.
    pub(super) fn lowest(self, segments: &[SegmentInfo], next: Lsn) -> Lsn {
        let by_records = Lsn(next.0.saturating_sub(self.records_max));
        let mut bytes = 0_u64;
        let too_much = segments.iter().rev().find(|segment| {
            bytes = bytes.saturating_add(segment.data_bytes);
            bytes > self.bytes_max
        });
        by_records.max(too_much.map_or(Lsn::ZERO, |segment| segment.end))
    }
}

/// What a log says of its cursors.
impl crate::Log {
    /// The cursor of this name, where its consumer left it. Made, durably, at
    /// the first record of the log if there is none.
    ///
    /// Blocks for reading or writing its file.
    ///
    /// # Errors
    ///
    /// See [`CursorError`]. A cursor that is damaged is left as it is.
    pub fn cursor(&self, name: &str) -> Result<Cursor, CursorError> {
        let (shared, door) = self.parts();
        Cursor::open(shared, door, name)
    }

    /// The names of all cursors, ascending; also of those that are damaged.
    ///
    /// # Errors
    ///
    /// [`CursorError::Io`].
    pub fn cursors(&self) -> Result<Vec<String>, CursorError> {
        self.parts().0.cursors.list()
    }

    /// Removes a cursor, durably. Returns whether there was one. Whoever holds
    /// it gets [`CursorError::Removed`].
    ///
    /// # Errors
    ///
    /// See [`CursorError`].
    pub fn remove_cursor(&self, name: &str) -> Result<bool, CursorError> {
        self.parts().0.cursors.remove(name)
    }
}
