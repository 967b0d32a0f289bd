//! Following a log while another process writes it.
//!
//! A [`Follower`] maps the segment it stands in and looks at the one word where
//! the next frame will begin. As long as there is nothing new that is all it
//! does: no system call, and nothing that the writer could notice. At the end
//! of a segment it looks into the directory for the next one.
//!
//! What it shows is a prefix of the log: every record has passed its checksum,
//! numbers leave out only those that were given up, and a batch is shown when
//! all of it is there (`INV-M6`).
//!
//! `live` reads one segment, `chain` finds the next.

mod chain;
mod live;

use std::path::Path;
use std::time::{Duration, Instant};

use log_wal::{Damage, Lsn, OpenError, ReadError};

use crate::envelope::Record;

use chain::{Chain, Found, Next, TRIES, unreadable};
use live::{Fetched, LiveSegment};

/// How many looks that find nothing go by before one at the directory, which
/// is a system call: a truncation leaves no word where we wait.
const LOOKS_PER_CALL: u32 = 4096;

/// Looks in a row before a waiting thread gives up its core, and how often it
/// does that before it sleeps.
const SPINS: u32 = 500;
const YIELDS: u32 = 50;

/// The shortest and the longest sleep between two looks.
const SLEEP_MIN: Duration = Duration::from_micros(20);
const SLEEP_MAX: Duration = Duration::from_millis(1);

/// Why a follower has no record to show.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The next record was dropped, or is damaged, or cannot be read.
    ///
    /// After [`ReadError::Truncated`] the follower goes on at the first record
    /// that the log still has, after [`ReadError::Undecodable`] behind that
    /// record. After the others it stays where it is.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// Records that may have been shown are no longer part of the log: its
    /// writer truncated it, or lost what was not durable. Take back what
    /// followed from them. The follower goes on at `first`, where other records
    /// get the same numbers.
    #[error("the records from {first} to {next} were discarded after they could be read")]
    Discarded {
        /// The first record that was discarded.
        first: Lsn,
        /// One past the last record that was shown.
        next: Lsn,
    },
}

/// Follows a log from a record on, while another process writes it.
///
/// Takes no lock that its writer could wait for and writes nothing; one that is
/// stopped, or dies, costs the writer nothing but the file it has mapped, which
/// is not used again before it is let go.
///
/// Shows what the writer has handed to the operating system, and so may show
/// records that are not durable yet: what [`Store::flush`](crate::Store::flush)
/// or a sync has written, or everything that is published if the writer has
/// [`mapped_writing`](crate::StoreOptions::mapped_writing). Nothing of that is
/// lost when the writer's process dies. After a loss of power, records that
/// were shown may be gone; compare what you have kept with
/// [`Reader::next_lsn`](crate::Reader::next_lsn).
///
/// Records are copies, which share memory with others that were read at the
/// same time (up to 64 KiB, or a batch).
///
/// ```
/// use log_mmap::{Lsn, Reader, Store, StoreOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path(), StoreOptions::default())?;
/// let mut follower = Reader::open(directory.path())?.follow(Lsn(0))?;
/// assert!(follower.poll()?.is_none(), "nothing yet");
///
/// store.append(b"news")?;
/// store.flush()?;
/// let record = follower.poll()?.ok_or("it was written")?;
/// assert_eq!(record.payload(), b"news");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follower {
    chain: Chain,
    log_uuid: [u8; 16],
    segment: LiveSegment,
    /// The number of the next record.
    next: Lsn,
    /// Whether any record was shown.
    has_shown: bool,
    /// Looks that found nothing, modulo 2^32.
    looks: u32,
}

impl Follower {
    /// Follows the log in `directory` from record `lsn` on. If the log has not
    /// come that far, it waits for that record.
    ///
    /// Blocks for reading headers, and the segment up to the record.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoLog`] if there is none. [`OpenError::Damaged`] and
    /// [`OpenError::Io`] if its headers cannot be read. A record that was
    /// dropped is told by the first [`poll`](Self::poll).
    pub fn open(directory: impl AsRef<Path>, lsn: Lsn) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let mut chain = Chain::of(directory);
        let segment = open_at(&mut chain, lsn).map_err(|error| open_error(directory, error))?;
        let segment = segment.ok_or_else(|| OpenError::NoLog {
            path: directory.to_path_buf(),
        })?;
        Ok(Self {
            chain,
            log_uuid: segment.header.log_uuid,
            segment,
            next: lsn,
            has_shown: false,
            looks: 0,
        })
    }

    /// The number of the next record that will be shown, or of a later one if
    /// its number is given up.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// The next record; `None` if it is not there yet.
    ///
    /// Never waits. A look that finds nothing, or a record, makes no system
    /// call; once in a few thousand fruitless looks, and at the end of a
    /// segment, the directory is looked at.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Record>, FollowError> {
        loop {
            while let Some(record) = self.segment.next() {
                if record.lsn() >= self.next {
                    return self.show(record);
                }
            }
            let goes_on = match self.segment.fetch() {
                Fetched::Frames => true,
                Fetched::Nothing => self.look_at_times()?,
                Fetched::End => self.go_on()?,
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    /// The first record behind those that were skipped, or shown before.
    #[inline]
    fn show(&mut self, record: log_wal::Record) -> Result<Option<Record>, FollowError> {
        let base = self.segment.header.base;
        if self.next < base {
            // The log was asked for a record that is in front of it. This one
            // comes again.
            return Err(self.dropped(base)?);
        }
        self.next = Lsn(record.lsn().0.saturating_add(1));
        self.has_shown = true;
        Ok(Some(Record::try_from(record)?))
    }

    /// The next record, waiting for it at most for `timeout`; `None` if it did
    /// not come.
    ///
    /// Looks without pause for some microseconds, then gives up its core, then
    /// sleeps, never longer than a millisecond at a time.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Record>, FollowError> {
        let mut looks = 0;
        let mut pause = SLEEP_MIN;
        let mut began = None;
        loop {
            if let Some(record) = self.poll()? {
                return Ok(Some(record));
            }
            looks += 1;
            if looks < SPINS {
                std::hint::spin_loop();
                continue;
            }
            let waited = began.get_or_insert_with(Instant::now).elapsed();
            let Some(left) = timeout.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Ok(None);
            };
            if looks < SPINS + YIELDS {
                std::thread::yield_now();
                continue;
            }
            if !self.look()? {
                std::thread::sleep(pause.min(left));
                pause = (pause * 2).min(SLEEP_MAX);
            }
        }
    }

    /// There is nothing whole. Returns whether there is something to read.
    #[inline]
    fn look_at_times(&mut self) -> Result<bool, FollowError> {
        if let Some(end) = self.segment.stated_end() {
            let place = self.segment.place();
            debug_assert!(place.position < end.position);
            // The next segment came after all of this one was written.
            return Err(self.damaged("the bytes are not what was written"));
        }
        self.looks = self.looks.wrapping_add(1);
        Ok(self.looks.is_multiple_of(LOOKS_PER_CALL) && self.look()?)
    }

    /// Looks whether the log went on in another segment, if the directory
    /// changed. Returns whether there is something to read.
    fn look(&mut self) -> Result<bool, FollowError> {
        Ok(self.chain.may_have_changed()? && self.go_on()?)
    }

    /// Goes on in the next segment, or learns where this one ends. Returns
    /// whether there is something to read.
    #[cold]
    fn go_on(&mut self) -> Result<bool, FollowError> {
        match self.chain.after(self.segment.header.id)? {
            Next::Nothing => Ok(false),
            Next::Segment(found) => self.go_on_in(found),
            Next::Discarded(first) => self.discarded(first),
            Next::Dropped(first) if first < self.next => self.discarded(first),
            Next::Dropped(first) => Err(self.dropped(first)?),
        }
    }

    fn go_on_in(&mut self, found: Found) -> Result<bool, FollowError> {
        self.check_uuid(&found)?;
        let Some(end) = self.segment.end_before(&found.header) else {
            return Err(self.damaged("the next segment does not say where this one ends"));
        };
        let place = self.segment.place();
        if place.lsn > end.lsn {
            return self.discarded(end.lsn);
        }
        if place.position < end.position {
            return Ok(true);
        }
        if place.lsn < end.lsn {
            return Err(self.damaged("it has fewer records than the next segment says"));
        }
        let path = self.chain.path(found.header.name());
        let opened = LiveSegment::open(&path, found.header, found.successor.as_ref());
        match opened.map_err(|error| unreadable(&path, error))? {
            // Numbers at the end of the last one may have been given up.
            Some(segment) => {
                self.next = self.next.max(end.lsn);
                self.segment = segment;
                Ok(true)
            }
            // It is gone already: the next look finds out how.
            None => Ok(false),
        }
    }

    /// Goes on where the log does, behind what is left of it. Not a word of it
    /// if nothing that was discarded was shown.
    #[cold]
    fn discarded(&mut self, first: Lsn) -> Result<bool, FollowError> {
        let next = self.next;
        if !self.has_shown || next <= first {
            self.enter(next)?;
            return Ok(true);
        }
        self.enter(first)?;
        // Lower if more was discarded meanwhile.
        let first = first.min(self.segment.header.base);
        self.next = first;
        Err(FollowError::Discarded { first, next })
    }

    #[cold]
    fn dropped(&mut self, first: Lsn) -> Result<FollowError, FollowError> {
        let requested = self.next;
        self.enter(first)?;
        let first = first.max(self.segment.header.base);
        self.next = first;
        Ok(ReadError::Truncated { requested, first }.into())
    }

    /// Goes on in the segment of record `lsn`.
    fn enter(&mut self, lsn: Lsn) -> Result<(), FollowError> {
        if let Some(segment) = open_at(&mut self.chain, lsn)? {
            self.segment = segment;
        }
        Ok(())
    }

    fn check_uuid(&self, found: &Found) -> Result<(), FollowError> {
        if found.header.log_uuid == self.log_uuid {
            return Ok(());
        }
        let path = self.chain.path(found.header.name());
        let reason = "it belongs to another log";
        let damage = Damage::in_sealed(&path, 0, Some(found.header.base), reason);
        Err(ReadError::from(damage).into())
    }

    #[cold]
    fn damaged(&self, reason: &str) -> FollowError {
        let place = self.segment.place();
        let (path, lsn) = (&self.segment.path, Some(place.lsn));
        ReadError::from(Damage::in_sealed(path, place.position, lsn, reason)).into()
    }
}

/// Maps the segment that record `lsn` is in, or will be; the first one if all
/// begin behind it, and `None` if there is none.
fn open_at(chain: &mut Chain, lsn: Lsn) -> Result<Option<LiveSegment>, ReadError> {
    let mut path = None;
    for _ in 0..TRIES {
        let Some(found) = chain.find(lsn)? else {
            return Ok(None);
        };
        let named = chain.path(found.header.name());
        let opened = LiveSegment::open(&named, found.header, found.successor.as_ref());
        match opened.map_err(|error| unreadable(&named, error))? {
            Some(segment) => return Ok(Some(segment)),
            // It went away between the two looks.
            None => path = Some(named),
        }
    }
    let error = std::io::ErrorKind::NotFound.into();
    Err(unreadable(&path.unwrap_or_default(), error))
}

fn open_error(directory: &Path, error: ReadError) -> OpenError {
    let path = directory.to_path_buf();
    match error {
        ReadError::Damaged(damage) => OpenError::Damaged(damage),
        ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            OpenError::NoLog { path }
        }
        ReadError::Io { path, source, .. } => OpenError::Io {
            action: "read",
            path,
            source: std::io::Error::new(source.kind(), source),
        },
        // Nothing that opening does; and new kinds.
        other => OpenError::Io {
            action: "read",
            path,
            source: std::io::Error::other(other),
        },
    }
}
