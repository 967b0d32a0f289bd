//! Appending and committing without blocking.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use log_mmap::Payload;

use super::AsyncLog;
use crate::engine::{self, EncodedRecord};
use crate::error::{AppendError, CommitError};
use crate::shared::Shared;
use crate::{Level, Log, Lsn, NewRecord};

/// Appends a record. Only waits where it is not appended yet or is already, so
/// dropping it never leaves it between the two.
pub(super) async fn one(
    log: &AsyncLog,
    level: Level,
    record: &NewRecord<'_>,
) -> Result<Lsn, AppendError> {
    let shared = log.parts().0;
    shared.admit(level)?;
    if shared.may_be_full() {
        log.with(|log| log.parts().0.rotate_if_full()).await?;
    }
    let record = match record.has_timestamp() {
        true => EncodedRecord::from(record),
        false => EncodedRecord::from(&shared.stamped(record.clone())),
    };
    let bytes = record.len_bytes();
    let Some(append) = shared.engine.append_async(record, level) else {
        return Err(CommitError::NoFutures.into());
    };
    let lsn = Telling {
        shared,
        append,
        bytes,
        is_told: false,
    }
    .await?;
    flush_if_many(shared, Lsn(lsn.0.saturating_add(1))).await?;
    Ok(lsn)
}

pub(super) async fn batch(
    log: &AsyncLog,
    level: Level,
    payloads: &[&[u8]],
) -> Result<Range<Lsn>, AppendError> {
    log.parts().0.admit(level)?;
    let payloads: Vec<_> = payloads.iter().map(|payload| payload.to_vec()).collect();
    // It may have to wait for room in memory, and there is no future for that.
    let append = move |log: &Log| {
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        log.append_batch_to(Level::Published, &payloads)
    };
    let lsns = log.with(append).await?;
    commit(log.parts().0, lsns.end, level).await?;
    Ok(lsns)
}

/// Brings everything published to `level`.
pub(super) async fn flush_to(log: &AsyncLog, level: Level) -> Result<Lsn, CommitError> {
    let shared = log.parts().0;
    shared.admit(level)?;
    commit(shared, Lsn(u64::MAX), level).await?;
    shared.note_flush(level);
    Ok(shared.reached(level))
}

async fn flush_if_many(shared: &Shared, end: Lsn) -> Result<(), CommitError> {
    if let Some(level) = shared.due_flush(end) {
        commit(shared, end, level).await?;
        shared.note_flush(level);
    }
    Ok(())
}

async fn commit(shared: &Shared, end: Lsn, level: Level) -> Result<(), CommitError> {
    if level == Level::Published {
        return Ok(());
    }
    let Some(commit) = shared.engine.commit_async(end, level) else {
        return Err(CommitError::NoFutures);
    };
    let committed = commit.await;
    shared.tell_settled();
    Ok(committed?)
}

/// An append that gives word of its record as soon as it is visible.
struct Telling<'a> {
    shared: &'a Shared,
    append: engine::Append<EncodedRecord>,
    bytes: usize,
    is_told: bool,
}

impl Future for Telling<'_> {
    type Output = Result<Lsn, engine::AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.append).poll(context);
        if !this.is_told && this.append.lsn().is_some() {
            this.is_told = true;
            this.shared.note_appended(1, this.bytes);
        }
        if polled.is_ready() {
            this.shared.tell_settled();
            this.shared.notice_sealed();
        }
        polled
    }
}
