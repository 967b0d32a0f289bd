//! Appending and committing without blocking.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use log_mmap::Payload;

use super::AsyncLog;
use crate::engine::{self, EncodedRecord};
use crate::error::{AppendError, CommitError};
use crate::meters::Began;
use crate::shared::Shared;
use crate::{Level, Lsn, NewRecord};

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
        level,
        bytes,
        appended: None,
    }
    .await?;
    flush_if_many(shared, Lsn(lsn.0.saturating_add(1))).await?;
    Ok(lsn)
}

/// Appends a batch. Waits in front of it and behind it, as [`one`] does.
pub(super) async fn batch(
    log: &AsyncLog,
    level: Level,
    payloads: &[&[u8]],
) -> Result<Range<Lsn>, AppendError> {
    let shared = log.parts().0;
    shared.admit(level)?;
    if shared.may_be_full() {
        log.with(|log| log.parts().0.rotate_if_full()).await?;
    }
    let Some(room) = shared.engine.room_async() else {
        return Err(CommitError::NoFutures.into());
    };
    let waited = room.await;
    shared.tell_settled();
    waited.map_err(engine::AppendError::from)?;
    let lsns = append_all(shared, payloads)?;
    commit(shared, lsns.end, level).await?;
    flush_if_many(shared, lsns.end).await?;
    Ok(lsns)
}

/// Appends a batch that finds room, and gives word of it.
fn append_all(shared: &Shared, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
    let stamp = shared.stamp();
    let stamped = payloads
        .iter()
        .map(|payload| stamp.put_on(NewRecord::new(payload)));
    let records: Vec<_> = stamped.collect();
    let lsns = shared.appended(shared.engine.append_batch(&records))?;
    let bytes = records.iter().map(Payload::len_bytes).sum();
    shared.note_appended(records.len() as u64, bytes);
    shared.tell_settled();
    shared.notice_sealed();
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
    let began = Began::now();
    let committed = commit.await;
    shared.meters.committed(level, began);
    shared.tell_settled();
    Ok(committed?)
}

/// An append that gives word of its record as soon as it is visible.
struct Telling<'a> {
    shared: &'a Shared,
    append: engine::Append<EncodedRecord>,
    level: Level,
    bytes: usize,
    /// When it was, which was told.
    appended: Option<Began>,
}

impl Future for Telling<'_> {
    type Output = Result<Lsn, engine::AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.append).poll(context);
        if this.appended.is_none() && this.append.lsn().is_some() {
            this.appended = Some(Began::now());
            this.shared.note_appended(1, this.bytes);
        }
        if polled.is_ready() {
            if let Some(appended) = this.appended {
                this.shared.meters.committed(this.level, appended);
            }
            this.shared.tell_settled();
            this.shared.notice_sealed();
        }
        polled
    }
}
