//! The log for tasks of a tokio runtime.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;

use log_facade::engine::MemStorage;
use log_facade::{
    AsyncLog, Level, Log, LogOptions, Lsn, NewRecord, ReadError, StartAt, SubscribeOptions,
};
use log_wal::storage::sim::{Operation, SimStorage};
use tokio::runtime::{Builder, Runtime};

fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

fn in_memory_files() -> AsyncLog {
    AsyncLog::new(small().open_on(Arc::new(MemStorage::new())).unwrap()).unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

fn on_each_runtime<F: Future>(test: impl Fn() -> F) {
    current_thread().block_on(test());
    multi_thread().block_on(test());
}

async fn fill(log: &AsyncLog, end: u64) {
    for number in log.next_lsn().0..end {
        let lsn = log.append(&[number as u8; 100]).await.unwrap();
        assert_eq!(lsn, Lsn(number));
    }
}

/// The disk stands still until all of them wait, which they can only do if none
/// of them blocks the one thread that they have.
#[test]
fn a_thousand_tasks_of_one_thread_share_their_syncs() {
    let disk = SimStorage::new(1);
    let log = Log::options().open_on(Arc::new(disk.clone())).unwrap();
    let log = AsyncLog::new(log).unwrap();
    let before = log.stats().engine.syncs;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    disk.before_each_call({
        let gate = Arc::clone(&gate);
        move |call| {
            if call.operation == Operation::Sync {
                let (is_open, changed) = &*gate;
                let is_open = is_open.lock().unwrap();
                drop(changed.wait_while(is_open, |is_open| !*is_open).unwrap());
            }
        }
    });
    current_thread().block_on(async {
        let append = |number: u16| {
            let log = log.clone();
            tokio::spawn(async move {
                let payload = number.to_le_bytes();
                let lsn = log.append_to(Level::Durable, &payload).await.unwrap();
                assert!(log.watermarks().durable_end > lsn);
                lsn
            })
        };
        let tasks: Vec<_> = (0..1000).map(append).collect();
        while log.next_lsn() < Lsn(1000) {
            tokio::task::yield_now().await;
        }
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        let mut lsns = BTreeSet::new();
        for task in tasks {
            lsns.insert(task.await.unwrap());
        }
        assert_eq!(lsns.len(), 1000);
    });
    let syncs = log.stats().engine.syncs - before;
    assert!((1..=3).contains(&syncs), "{syncs}");
}

#[test]
fn what_was_awaited_has_reached_its_level() {
    on_each_runtime(|| async {
        let log = in_memory_files();
        let lsn = log.append(b"published").await.unwrap();
        assert_eq!(lsn, Lsn(0));
        let keyed = NewRecord::new(b"durable").key(b"k");
        let lsn = log.append_record_to(Level::Durable, &keyed).await.unwrap();
        assert!(log.watermarks().durable_end > lsn);
        let record = log.read(lsn).await.unwrap().unwrap();
        assert_eq!(record.key(), Some(&b"k"[..]));
        assert!(record.timestamp().is_some(), "by the log's clock");
        let lsns = log.append_batch_to(Level::Written, &[b"a", b"b"]).await;
        let lsns = lsns.unwrap();
        assert_eq!(lsns, Lsn(2)..Lsn(4));
        assert!(log.watermarks().written_end >= lsns.end);
        assert_eq!(log.sync().await.unwrap(), Lsn(4));
        log.close().await.unwrap();
    });
}

#[test]
fn a_level_that_is_not_kept_is_refused_and_others_are_not() {
    current_thread().block_on(async {
        let log = AsyncLog::new(small().open_in_memory().unwrap()).unwrap();
        assert!(log.append_to(Level::Durable, b"no").await.is_err());
        assert_eq!(log.append(b"yes").await.unwrap(), Lsn(0));
        assert!(log.sync().await.is_err());
        log.close().await.unwrap();
    });
}

/// More than may wait in memory, appended by a task that never waits for more
/// than published.
#[test]
fn an_append_waits_for_room_without_blocking_the_runtime() {
    current_thread().block_on(async {
        let log = in_memory_files();
        fill(&log, 2000).await;
        log.sync().await.unwrap();
        assert_eq!(log.iter().count(), 2000);
    });
}

/// The threads of a runtime like this may all be busy: it has one to block in,
/// and that one stands still.
#[test]
fn a_batch_waits_for_room_and_for_its_level_without_a_thread() {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).build().unwrap();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    runtime.spawn_blocking({
        let gate = Arc::clone(&gate);
        move || {
            drop(
                gate.1
                    .wait_while(gate.0.lock().unwrap(), |is_open| !*is_open),
            )
        }
    });
    runtime.block_on(async {
        let log = in_memory_files();
        let payload = [7; 1000];
        for round in 0..100 {
            let lsns = log.append_batch(&[&payload[..]; 5]).await.unwrap();
            assert_eq!(lsns, Lsn(round * 5)..Lsn(round * 5 + 5));
        }
        let lsns = log.append_batch_to(Level::Durable, &[b"a", b"b"]).await;
        assert!(log.watermarks().durable_end >= lsns.unwrap().end);
        let record = log.as_log().read(Lsn(501)).unwrap().unwrap();
        assert_eq!(record.payload(), b"b");
        assert!(record.timestamp().is_some(), "by the log's clock");
        assert_eq!(log.append_batch(&[]).await.unwrap(), Lsn(502)..Lsn(502));
    });
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

#[test]
fn a_batch_that_is_dropped_at_any_moment_is_in_the_log_whole_or_not_at_all() {
    on_each_runtime(|| async {
        let log = in_memory_files();
        let mut finished = 0;
        for round in 0..60_u8 {
            let before = log.next_lsn().0;
            let payload = vec![round; 1500];
            let batch = [payload.as_slice(); 2];
            let append = log.append_batch_to(Level::Durable, &batch);
            let done = poll_times(append, usize::from(round) % 6).await;
            let appended = log.next_lsn().0 - before;
            assert!(appended == 0 || appended == 2, "{appended}");
            if let Some(lsns) = done {
                assert_eq!(lsns.unwrap(), Lsn(before)..Lsn(before + 2));
                finished += 1;
            }
        }
        log.append_batch_to(Level::Durable, &[b"last"])
            .await
            .unwrap();
        assert!(finished < 60);
    });
}

#[test]
fn policies_that_belong_to_an_append_hold_for_batches_of_tasks_too() {
    current_thread().block_on(async {
        let options = small().rotate_records(10).flush_records(5);
        let log = options.open_on(Arc::new(MemStorage::new())).unwrap();
        let log = AsyncLog::new(log).unwrap();
        for end in 1..=20 {
            let lsns = log.append_batch(&[b"a", b"b"]).await.unwrap();
            assert_eq!(lsns.end, Lsn(end * 2));
            assert!(end * 2 - log.watermarks().durable_end.0 < 5);
        }
        assert!(log.segments().len() >= 4);
    });
}

#[test]
fn policies_that_belong_to_an_append_hold_for_tasks_too() {
    current_thread().block_on(async {
        let options = small().rotate_records(10).flush_records(5);
        let log = options.open_on(Arc::new(MemStorage::new())).unwrap();
        let log = AsyncLog::new(log).unwrap();
        for end in 1..=40 {
            fill(&log, end).await;
            assert!(end - log.watermarks().durable_end.0 < 5);
        }
        assert!(log.segments().len() >= 4);
    });
}

/// Polls a future so many times, or to its end, and drops it.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled =
            std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[test]
fn an_append_that_is_dropped_at_any_moment_is_in_the_log_once_or_not_at_all() {
    on_each_runtime(|| async {
        let log = in_memory_files();
        let mut finished = 0;
        for round in 0..60_u8 {
            let before = log.next_lsn().0;
            let payload = vec![round; 3000];
            let append = log.append_to(Level::Durable, &payload);
            let done = poll_times(append, usize::from(round) % 6).await;
            let after = log.next_lsn().0;
            assert!(after - before <= 1, "once at most");
            if let Some(lsn) = done {
                assert_eq!(lsn.unwrap(), Lsn(before));
                finished += 1;
            }
            if after > before {
                let record = log.read(Lsn(before)).await.unwrap().unwrap();
                assert_eq!(record.payload(), payload);
            }
        }
        // Nobody is held up by those that were dropped.
        log.append_to(Level::Durable, b"last").await.unwrap();
        assert!(finished < 60);
    });
}

#[test]
fn a_stream_crosses_from_files_to_memory_to_what_comes() {
    on_each_runtime(|| async {
        let directory = tempfile::tempdir().unwrap();
        let log = AsyncLog::open(small(), directory.path()).await.unwrap();
        fill(&log, 1000).await;
        log.sync().await.unwrap();
        let mut stream = log.subscribe(StartAt::Beginning).await.unwrap();
        let follower = tokio::spawn(async move {
            for expected in 0..2000 {
                let record = stream.next().await.unwrap().unwrap();
                assert_eq!(record.lsn(), Lsn(expected));
            }
            stream
        });
        fill(&log, 2000).await;
        let mut stream = follower.await.unwrap();
        log.close().await.unwrap();
        assert!(stream.next().await.is_none(), "the log is closed");
    });
}

#[test]
fn a_stream_that_is_dropped_while_it_waits_or_reads_loses_nothing() {
    on_each_runtime(|| async {
        let log = in_memory_files();
        fill(&log, 500).await;
        log.sync().await.unwrap();
        let mut stream = log.subscribe(StartAt::Beginning).await.unwrap();
        let mut expected = 0;
        let mut polls = 0;
        while expected < 500 {
            polls += 1;
            if let Some(record) = poll_times(stream.next(), polls % 3).await {
                assert_eq!(record.unwrap().unwrap().lsn(), Lsn(expected));
                expected += 1;
            }
        }
        assert!(poll_times(stream.next(), 2).await.is_none());
        fill(&log, 501).await;
        assert_eq!(stream.next().await.unwrap().unwrap().lsn(), Lsn(500));
    });
}

#[test]
fn a_stream_is_told_what_retention_took() {
    current_thread().block_on(async {
        let log = in_memory_files();
        let mut stream = log.subscribe(StartAt::Beginning).await.unwrap();
        fill(&log, 1000).await;
        log.sync().await.unwrap();
        log.rotate().await.unwrap();
        log.drop_before(Lsn(500)).await.unwrap();
        let first = log.first_lsn();
        let told = stream.next().await.unwrap();
        assert!(
            matches!(told, Err(ReadError::Truncated { first: said, .. }) if said == first),
            "{told:?}"
        );
        assert_eq!(stream.next().await.unwrap().unwrap().lsn(), first);
    });
}

#[test]
fn a_stream_wakes_at_its_level_and_only_for_what_is_wanted() {
    on_each_runtime(|| async {
        let log = in_memory_files();
        let options = SubscribeOptions::new()
            .level(Level::Durable)
            .key_prefix(b"user/");
        let mut stream = log.subscribe_with(StartAt::End, options).await.unwrap();
        let waiter = tokio::spawn(async move { stream.next().await.unwrap().unwrap().lsn() });
        for number in 0..300_u16 {
            let key = format!("order/{number}");
            let record = NewRecord::new(b"x").key(key.as_bytes());
            log.append_record(&record).await.unwrap();
        }
        let wanted = NewRecord::new(b"y").key(b"user/1");
        let lsn = log.append_record(&wanted).await.unwrap();
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished(), "it is not durable");
        log.sync().await.unwrap();
        assert_eq!(waiter.await.unwrap(), lsn);
    });
}

#[test]
fn closing_the_log_ends_the_streams_that_wait_for_it() {
    on_each_runtime(|| async {
        let directory = tempfile::tempdir().unwrap();
        let log = AsyncLog::open(small(), directory.path()).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..10 {
            let mut stream = log.subscribe(StartAt::End).await.unwrap();
            tasks.push(tokio::spawn(async move { stream.next().await.is_none() }));
        }
        tokio::task::yield_now().await;
        log.close().await.unwrap();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        let log = AsyncLog::open(small(), directory.path()).await.unwrap();
        log.close().await.unwrap();
    });
}

/// The tasks are dropped where they wait, and with them the last of the log.
#[test]
fn a_runtime_that_goes_down_with_waiting_tasks_leaves_a_log_that_can_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let log = AsyncLog::open(small(), directory.path()).await.unwrap();
            for number in 0..100_u8 {
                let log = log.clone();
                tokio::spawn(async move {
                    loop {
                        log.append_to(Level::Durable, &[number]).await.unwrap();
                    }
                });
            }
            log.append_to(Level::Durable, b"one").await.unwrap();
        });
        drop(runtime);
        let log = Log::open(directory.path()).unwrap();
        assert!(log.iter().count() > 0);
        log.close().unwrap();
    }
}

#[test]
fn a_cursor_is_confirmed_without_blocking() {
    current_thread().block_on(async {
        let log = in_memory_files();
        fill(&log, 3).await;
        let cursor = log.cursor("a").unwrap();
        log.confirm(&cursor, Lsn(1)).await.unwrap();
        assert_eq!(cursor.position(), Lsn(2));
    });
}
