//! Word for those who wait for records to reach a level.
//!
//! Every call that can raise a watermark tells of it here when it is done:
//! behind each append, commit and rotation. There is one bell for each level,
//! so that a record which is published does not wake those who wait for what is
//! durable. Ringing a bell at which nobody waits costs one relaxed load. Where
//! somebody does, an append that raised neither mark rings neither bell: each
//! remembers for which end it was rung.
//!
//! A log that is closed, or cut, is news as well: its subscriptions hold on to
//! the door here and not to the log. The door is shut when the log is closed,
//! and nobody is inside while it is cut.

use std::sync::{Arc, PoisonError};

use log_mmap::Bell;

use crate::cuts::Cuts;
use crate::shared::Shared;
use crate::sync::{AtomicBool, AtomicU64, Ordering, RwLock, RwLockReadGuard};
use crate::{Level, Lsn, Watermarks};

/// The bells of a log.
#[derive(Debug, Default)]
pub(crate) struct News {
    published: Bell,
    written: Settled,
    durable: Settled,
    is_closed: AtomicBool,
    /// Whether somebody waits for all to come out.
    calls_out: AtomicBool,
    pub cuts: Cuts,
}

/// A bell, and the end for which it was rung.
#[derive(Debug, Default)]
struct Settled {
    bell: Bell,
    told_end: AtomicU64,
}

impl Settled {
    /// Rings if `end` is news.
    fn tell(&self, end: u64) {
        // Relaxed: of those who see the same end, one rings, and it has seen
        // that end before; the bell orders what a waiter sees.
        if self.told_end.load(Ordering::Relaxed) < end
            && self.told_end.fetch_max(end, Ordering::Relaxed) < end
        {
            self.bell.ring();
        }
    }
}

impl News {
    /// Comes behind every append.
    #[inline]
    pub(crate) fn tell_published(&self) {
        self.published.ring();
    }

    /// Comes behind everything that may have written or synced. Asks for the
    /// watermarks only if somebody waits for them.
    #[inline]
    pub(crate) fn tell_settled(&self, watermarks: impl FnOnce() -> Watermarks) {
        if self.written.bell.is_awaited() || self.durable.bell.is_awaited() {
            let watermarks = watermarks();
            self.written.tell(watermarks.written_end.0);
            self.durable.tell(watermarks.durable_end.0);
        }
    }

    /// Where to wait for what reaches `level`.
    pub(crate) fn bell(&self, level: Level) -> &Bell {
        match level {
            Level::Published => &self.published,
            Level::Written => &self.written.bell,
            Level::Durable => &self.durable.bell,
        }
    }

    /// Takes down that the log was cut at `end`.
    pub(crate) fn tell_cut(&self, end: Lsn) {
        self.cuts.add(end);
        // What is told next may be below what was told before.
        self.written.told_end.store(0, Ordering::Relaxed);
        self.durable.told_end.store(0, Ordering::Relaxed);
    }

    /// Whether those who wait inside are to come out.
    pub(crate) fn wants_all_out(&self) -> bool {
        // Acquire pairs with the Release in `call_out`.
        self.calls_out.load(Ordering::Acquire) || self.is_closed()
    }

    fn call_out(&self, calls: bool) {
        self.calls_out.store(calls, Ordering::Release);
        self.ring_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire pairs with the Release in `close`.
        self.is_closed.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.ring_all();
    }

    fn ring_all(&self) {
        self.published.ring();
        self.written.bell.ring();
        self.durable.bell.ring();
    }
}

/// The way to a log for those who must not keep it open.
#[derive(Debug)]
pub(crate) struct Door {
    news: Arc<News>,
    log: RwLock<Option<Arc<Shared>>>,
}

impl Door {
    pub(crate) fn of(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            news: Arc::clone(&shared.news),
            log: RwLock::new(Some(Arc::clone(shared))),
        })
    }

    /// Through it to the log, which is not closed while this is held; `None` if
    /// it is closed, or about to be.
    pub(crate) fn enter(&self) -> Inside<'_> {
        Inside {
            is_open: !self.news.is_closed(),
            log: self.log.read().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The cuts of the log behind it, or that was.
    pub(crate) fn cuts(&self) -> &Cuts {
        &self.news.cuts
    }

    /// Sends everyone out, has `work` done with the log to itself, as far as
    /// this door goes, and lets them in again.
    pub(crate) fn alone<R>(
        &self,
        shared: &mut Arc<Shared>,
        work: impl FnOnce(&mut Arc<Shared>) -> R,
    ) -> R {
        self.news.call_out(true);
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        *log = None;
        let done = work(shared);
        *log = Some(Arc::clone(shared));
        drop(log);
        self.news.call_out(false);
        done
    }

    /// Sends everyone out who is inside, and returns when they are.
    pub(crate) fn shut(&self) {
        self.news.close();
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        *log = None;
    }
}

/// Somebody who uses the log.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    is_open: bool,
    log: RwLockReadGuard<'a, Option<Arc<Shared>>>,
}

impl Inside<'_> {
    pub(crate) fn log(&self) -> Option<&Arc<Shared>> {
        self.log.as_ref().filter(|_| self.is_open)
    }
}
