//! Waiting for the disk without a thread: futures, and threads that work for
//! them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use log_core::Lsn;

use crate::error::{AppendError, CommitError};
use crate::group::{OWN_JUDGEMENT, Place};
use crate::options::Level;
use crate::payload::Payload;
use crate::shared::Shared;

/// Resolves when the records below an end have reached a level; made by
/// [`Wal::commit_async`](crate::Wal::commit_async).
///
/// Needs no runtime: whoever polls it is woken through its waker. Dropping it
/// gives up the wait and nothing else: its records stay, and nobody else waits
/// longer for it.
#[derive(Debug)]
#[must_use = "nothing waits until it is polled"]
pub struct Commit {
    wait: Wait,
    end: Lsn,
    level: Level,
}

impl Commit {
    pub(crate) fn new(shared: Arc<Shared>, end: Lsn, level: Level) -> Self {
        let end = end.min(shared.tail.published_end());
        Self {
            wait: Wait::new(shared),
            end,
            level,
        }
    }
}

impl Future for Commit {
    type Output = Result<(), CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (end, level) = (self.end, self.level);
        self.wait.poll(context, end, level)
    }
}

/// Appends a record and resolves when it has reached a level; made by
/// [`Wal::append_async`](crate::Wal::append_async).
///
/// It passes through three stages. What dropping it means depends on the stage:
///
/// | stage | [`lsn`](Self::lsn) | dropped then |
/// |---|---|---|
/// | not polled yet, or waiting for room in memory | `None` | the record was not appended, and never will be |
/// | appended, waiting for the disk | its number | the record is *published* and stays in the log; that it reached the level is not known |
/// | resolved | its number, if it was appended | nothing |
#[must_use = "nothing is appended until it is polled"]
pub struct Append<P> {
    wait: Wait,
    payload: P,
    level: Level,
    lsn: Option<Lsn>,
}

impl<P: Payload> Append<P> {
    pub(crate) fn new(shared: Arc<Shared>, payload: P, level: Level) -> Self {
        Self {
            wait: Wait::new(shared),
            payload,
            level,
            lsn: None,
        }
    }

    /// The record's number, once it is appended.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        self.lsn
    }
}

/// The payload is only ever lent, never pinned.
impl<P> Unpin for Append<P> {}

impl<P: Payload> Future for Append<P> {
    type Output = Result<Lsn, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let lsn = match this.lsn {
            Some(lsn) => lsn,
            None => {
                ready!(this.wait.poll_room(context))?;
                let lsn = this.wait.shared.append_payload(&this.payload)?;
                *this.lsn.insert(lsn)
            }
        };
        let end = Lsn(lsn.0 + 1);
        let committed = ready!(this.wait.poll(context, end, this.level));
        Poll::Ready(committed.map(|()| lsn).map_err(AppendError::from))
    }
}

impl<P> fmt::Debug for Append<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("lsn", &self.lsn)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Resolves when an append finds room in memory, without waiting for the disk
/// to take full segments; made by [`Wal::room_async`](crate::Wal::room_async).
///
/// It keeps no room: others may take it first, and then the append blocks.
/// Dropping it gives up the wait and nothing else.
#[derive(Debug)]
#[must_use = "nothing waits until it is polled"]
pub struct Room {
    wait: Wait,
}

impl Room {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            wait: Wait::new(shared),
        }
    }
}

impl Future for Room {
    type Output = Result<(), CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.wait.poll_room(context)
    }
}

/// A place among those who wait for the disk, given up when it is dropped.
#[derive(Debug)]
struct Wait {
    shared: Arc<Shared>,
    place: Place,
}

impl Wait {
    fn new(shared: Arc<Shared>) -> Self {
        let place = Place::default();
        Self { shared, place }
    }

    fn poll(
        &mut self,
        context: &Context<'_>,
        end: Lsn,
        level: Level,
    ) -> Poll<Result<(), CommitError>> {
        let shared = &*self.shared;
        shared.group.poll_commit(
            &mut self.place,
            context,
            (end, level),
            |level| shared.reached(level),
            |level| shared.advance(level),
        )
    }

    /// Waits until an append finds room in memory without waiting for it.
    fn poll_room(&mut self, context: &Context<'_>) -> Poll<Result<(), CommitError>> {
        let shared = &*self.shared;
        shared.group.poll_commit(
            &mut self.place,
            context,
            (OWN_JUDGEMENT, Level::Written),
            |_| shared.room_reached(),
            |level| shared.advance(level),
        )
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.group.leave(&mut self.place);
    }
}

/// A thread that works for futures; made by
/// [`Wal::committer`](crate::Wal::committer).
///
/// While there is one, polling a future of this log does no work on the disk:
/// somebody has to call [`run`](Self::run), over and over. If nobody does,
/// futures wait for as long as it is held; only a thread that commits, or that
/// finds no room for an append, works for them by the way. When the last one is
/// dropped, the futures that wait look after themselves again.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.group.add_committer();
        Self { shared }
    }

    /// Works for the futures that wait now; if there is none, waits for one, at
    /// most for `timeout`. Returns whether it worked: a false may come early.
    ///
    /// One call writes and syncs once, for everyone who waits.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The futures that were waited with get it as well.
    /// After [`CommitError::StorageFull`] go on; after any other this committer
    /// has nothing left to do.
    pub fn run(&self, timeout: Duration) -> Result<bool, CommitError> {
        let shared = &*self.shared;
        let worked = shared.group.lead_for_tasks(
            timeout,
            |level| shared.reached(level),
            |level| shared.advance(level),
        )?;
        if worked {
            shared.prepare_a_piece();
        }
        Ok(worked)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.group.remove_committer();
    }
}
