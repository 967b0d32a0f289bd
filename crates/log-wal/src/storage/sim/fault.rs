//! What can go wrong while the power is on.

use std::fmt;
use std::io;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Storage::list`](crate::Storage::list).
    List,
    /// [`Storage::create`](crate::Storage::create).
    Create,
    /// [`Storage::open`](crate::Storage::open).
    Open,
    /// [`Storage::rename`](crate::Storage::rename); the file is called as
    /// before.
    Rename,
    /// [`Storage::remove`](crate::Storage::remove).
    Remove,
    /// [`Storage::sync_directory`](crate::Storage::sync_directory).
    SyncDirectory,
    /// [`SegmentFile::read_at`](crate::storage::SegmentFile::read_at).
    Read,
    /// [`SegmentFile::write_at`](crate::storage::SegmentFile::write_at).
    Write,
    /// [`SegmentFile::sync`](crate::storage::SegmentFile::sync), and
    /// [`sync_front`](crate::storage::SegmentFile::sync_front).
    Sync,
    /// [`SegmentFile::shrink`](crate::storage::SegmentFile::shrink).
    Shrink,
    /// [`SegmentFile::region`](crate::storage::SegmentFile::region).
    Map,
}

impl Operation {
    /// Whether the disk may be another one afterwards: such a call is a
    /// *step*, between which the power can go.
    #[must_use]
    pub fn is_step(self) -> bool {
        !matches!(self, Self::List | Self::Open | Self::Read | Self::Map)
    }
}

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What it does.
    pub operation: Operation,
    /// The name of the file; empty for the directory, and for a file that was
    /// removed.
    pub file: &'a str,
    /// Where it reads or writes, in bytes; for a sync where that ends, which is
    /// [`u64::MAX`] for all of the file.
    pub position: u64,
    /// What it writes.
    pub bytes: &'a [u8],
}

/// What the operating system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// The device failed (`EIO`).
    Io,
    /// The disk is full (`ENOSPC`).
    Full,
    /// A write that wrote nothing.
    WroteNothing,
    /// The power is off; no real system says so.
    PowerOff,
}

impl SimError {
    const EIO: i32 = 5;

    pub(super) fn to_io(self) -> io::Error {
        match self {
            Self::Io => io::Error::from_raw_os_error(Self::EIO),
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::WroteNothing => io::ErrorKind::WriteZero.into(),
            Self::PowerOff => io::Error::other("the simulated power is off"),
        }
    }
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does nothing and says so.
    Refused(SimError),
    /// A write does the first half of its bytes, and fails. Other calls do
    /// nothing, and fail.
    Torn(SimError),
    /// It does everything and says that it failed.
    DoneAll(SimError),
    /// A sync fails and drops what it should have written, as Linux does: the
    /// page cache shows the data and calls it clean, the medium does not have
    /// it, and the next sync succeeds (Rebello et al., "Can Applications
    /// Recover from fsync Failures?", 2020). Other calls do nothing, and fail.
    PagesLost,
    /// It does nothing and says that it succeeded, as a device does that lies
    /// about its cache. Calls that return something cannot do that, and
    /// succeed.
    Ignored,
}

type Matches = Box<dyn Fn(&Call<'_>) -> bool + Send + Sync>;

/// Which calls go wrong, and how. By default the first of its kind, once.
pub struct Fault {
    operation: Operation,
    failure: Failure,
    matches: Option<Matches>,
    /// How many that match pass first.
    passing: u64,
    /// How many fail then.
    failing: u64,
}

impl Fault {
    /// The next call of this kind fails so.
    #[must_use]
    pub fn on(operation: Operation, failure: Failure) -> Self {
        Self {
            operation,
            failure,
            matches: None,
            passing: 0,
            failing: 1,
        }
    }

    /// Only calls for which this is true count. It is asked once for each, with
    /// the disk locked.
    #[must_use]
    pub fn only_if(mut self, matches: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.matches = Some(Box::new(matches));
        self
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.passing = calls;
        self
    }

    /// Every such call fails from then on, not only one.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        self.failing = u64::MAX;
        self
    }

    /// How this call goes wrong, if it does because of this fault.
    pub(super) fn strikes(&mut self, call: &Call<'_>) -> Option<Failure> {
        if self.operation != call.operation || self.failing == 0 {
            return None;
        }
        if let Some(matches) = &self.matches
            && !matches(call)
        {
            return None;
        }
        if self.passing > 0 {
            self.passing -= 1;
            return None;
        }
        self.failing = self.failing.saturating_sub(1);
        Some(self.failure)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("operation", &self.operation)
            .field("failure", &self.failure)
            .field("passing", &self.passing)
            .field("failing", &self.failing)
            .finish_non_exhaustive()
    }
}
