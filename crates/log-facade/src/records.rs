//! Reading in order.

use crate::engine::{self, Engine};
use crate::{Level, Lsn, ReadError, Record};

/// Records in order, each once: made by `iter`, `iter_from` and `range` of
/// [`Log`](crate::Log), [`Snapshot`](crate::Snapshot) and
/// [`LogReader`](crate::LogReader).
///
/// Yields what is there when it looks, in memory and in files alike, while
/// others append. At the end there is `None`; called again later, it goes on
/// with what was appended meanwhile.
///
/// In front of the first record there is one [`ReadError::Truncated`], and then
/// it goes on at the first. Any other error is the last item; to go on behind
/// it, ask for another iterator from there.
///
/// It can be read from the back too, `log.iter().rev()`: the first call for
/// that settles where the end is, for both directions. Going back,
/// [`ReadError::Truncated`] comes last.
#[derive(Debug)]
pub struct Records<'a> {
    inner: engine::Records<'a>,
    gate: Option<Gate<'a>>,
    /// Said before anything else.
    first: Option<ReadError>,
}

/// Holds back records that have not reached a level.
#[derive(Debug)]
struct Gate<'a> {
    engine: &'a dyn Engine,
    level: Level,
    /// Every record in front of this has reached it.
    end: Lsn,
    /// The number from which on records may come.
    next: Lsn,
    /// Read, and not to be shown yet.
    held: Option<Record>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(inner: engine::Records<'a>) -> Self {
        Self {
            inner,
            gate: None,
            first: None,
        }
    }

    /// Shows only what has reached `level`.
    pub(crate) fn gated(mut self, engine: &'a dyn Engine, level: Level, from: Lsn) -> Self {
        if level > Level::Published {
            self.gate = Some(Gate {
                engine,
                level,
                end: Lsn::ZERO,
                next: from,
                held: None,
            });
        }
        self
    }

    /// Says first that what lies in front is not to be had.
    pub(crate) fn truncated(mut self, error: ReadError) -> Self {
        self.first = Some(error);
        self
    }
}

impl Gate<'_> {
    fn is_open_for(&mut self, lsn: Lsn) -> bool {
        if lsn >= self.end {
            let watermarks = self.engine.watermarks();
            self.end = match self.level {
                Level::Published => watermarks.published_end,
                Level::Written => watermarks.written_end,
                Level::Durable => watermarks.durable_end,
            };
        }
        lsn < self.end
    }

    /// What was read from the front and may be shown by now, if somebody reads
    /// on from the back.
    fn take_held(&mut self) -> Option<Result<Record, ReadError>> {
        let lsn = self.held.as_ref()?.lsn();
        if !self.is_open_for(lsn) {
            return None;
        }
        self.held.take().map(Ok)
    }

    fn next(&mut self, inner: &mut engine::Records<'_>) -> Option<Result<Record, ReadError>> {
        if self.held.is_none() {
            // Not even looked for before it may be shown: the engine may be
            // faster with what has settled.
            if !self.is_open_for(self.next) {
                return None;
            }
            match inner.next()? {
                Ok(record) => self.held = Some(record),
                Err(error) => return Some(Err(error)),
            }
        }
        // Numbers without a record may have been passed over.
        let lsn = self.held.as_ref()?.lsn();
        if !self.is_open_for(lsn) {
            return None;
        }
        self.next = Lsn(lsn.0.saturating_add(1));
        self.held.take().map(Ok)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.first.is_some() {
            return self.first.take().map(Err);
        }
        match &mut self.gate {
            None => self.inner.next(),
            Some(gate) => gate.next(&mut self.inner),
        }
    }
}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let Some(found) = self.inner.next_back() else {
                let held = self.gate.as_mut().and_then(Gate::take_held);
                return held.or_else(|| self.first.take().map(Err));
            };
            match (&found, &mut self.gate) {
                (Ok(record), Some(gate)) => {
                    if gate.is_open_for(record.lsn()) {
                        return Some(found);
                    }
                    // Not shown yet, and what lies in front of it may be.
                }
                _ => return Some(found),
            }
        }
    }
}
