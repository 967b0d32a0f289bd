//! Futures that wait for the disk, polled by hand: no runtime, no sleeping, and
//! mostly no thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::common::{count_of_prefix, payload};
use crate::support::{TestStorage, open};
use log_wal::storage::sim::{Failure, Fault, Operation, SimError, SimStorage};
use log_wal::{Append, AppendError, CommitError, Level, Lsn, Wal, WalOptions};

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn taken(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A future and who wakes it.
struct Task<F> {
    future: F,
    wakes: Arc<Wakes>,
}

impl<F: Future + Unpin> Task<F> {
    fn new(future: F) -> Self {
        let wakes = Arc::default();
        Self { future, wakes }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

/// Polls tasks on this thread, each only when it was woken, until all are done.
/// Returns what they resolved to, and fails if nobody wakes those that are left.
fn run_all<F: Future + Unpin>(mut tasks: Vec<Task<F>>) -> Vec<F::Output> {
    let mut done = Vec::new();
    tasks.retain_mut(|task| match task.poll() {
        Poll::Ready(output) => {
            done.push(output);
            false
        }
        Poll::Pending => true,
    });
    while !tasks.is_empty() {
        let mut is_stuck = true;
        tasks.retain_mut(|task| {
            if task.wakes.taken() == 0 {
                return true;
            }
            is_stuck = false;
            match task.poll() {
                Poll::Ready(output) => {
                    done.push(output);
                    false
                }
                Poll::Pending => true,
            }
        });
        assert!(!is_stuck, "{} tasks wait for nobody", tasks.len());
    }
    done
}

fn large(storage: &TestStorage) -> Wal {
    Wal::with_storage(Arc::new(storage.clone()), WalOptions::default()).expect("it opens")
}

fn appends(wal: &Wal, count: u64) -> Vec<Task<Append<Vec<u8>>>> {
    let append = |lsn| Task::new(wal.append_async(payload(lsn), Level::Durable));
    (0..count).map(append).collect()
}

#[test]
fn a_thousand_tasks_of_one_thread_share_a_sync() {
    let wal = large(&TestStorage::new());
    let before = wal.stats().syncs;
    let lsns = run_all(appends(&wal, 1000));
    assert_eq!(lsns.len(), 1000);
    for lsn in lsns {
        assert!(lsn.unwrap() < wal.watermarks().durable_end, "INV-F1");
    }
    assert_eq!(wal.stats().syncs - before, 1);
    assert_eq!(count_of_prefix(wal.iter()), 1000);
}

#[test]
fn who_waits_is_counted_once_and_shares_a_group() {
    let wal = large(&TestStorage::new());
    let counts = |wal: &Wal| {
        let stats = wal.stats();
        (stats.commits, stats.groups, stats.syncs)
    };
    let (_, _, opening) = counts(&wal);
    wal.append(b"alone").unwrap();
    assert_eq!(counts(&wal), (0, 0, opening), "nobody waits");
    wal.sync().unwrap();
    assert_eq!(counts(&wal), (1, 1, opening + 1));
    wal.sync().unwrap();
    assert_eq!(counts(&wal), (1, 1, opening + 1), "it is durable already");

    let append = |number| Task::new(wal.append_async(payload(number), Level::Durable));
    let appended = run_all((0..5).map(append).collect());
    assert!(appended.iter().all(Result::is_ok));
    assert_eq!(counts(&wal), (6, 2, opening + 2), "five more, in one group");

    let committer = wal.committer();
    let mut tasks: Vec<_> = (5..8).map(append).collect();
    for task in &mut tasks {
        assert!(task.poll().is_pending());
        assert!(task.poll().is_pending(), "and polled for no reason");
    }
    assert!(committer.run(Duration::ZERO).unwrap());
    assert_eq!(
        counts(&wal),
        (9, 3, opening + 3),
        "three more, in one group"
    );
    assert!(tasks.iter_mut().all(|task| task.poll().is_ready()));
    wal.checkpoint(Lsn(1)).unwrap();
    assert_eq!(
        counts(&wal),
        (9, 3, opening + 3),
        "nobody waited for a level"
    );
}

#[test]
fn while_there_is_a_committer_no_poll_touches_the_disk() {
    let wal = large(&TestStorage::new());
    let committer = wal.committer();
    assert!(!committer.run(Duration::ZERO).unwrap(), "nobody waits");
    let before = wal.stats();
    let mut tasks = appends(&wal, 1000);
    for _ in 0..3 {
        for task in &mut tasks {
            assert!(task.poll().is_pending());
        }
    }
    let polled = wal.stats();
    assert_eq!((polled.syncs, polled.writes), (before.syncs, before.writes));
    assert!(tasks.iter().all(|task| task.wakes.taken() == 0));

    assert!(committer.run(Duration::ZERO).unwrap());
    assert_eq!(wal.stats().syncs - before.syncs, 1, "for all of them");
    for (lsn, task) in tasks.iter_mut().enumerate() {
        assert_eq!(task.wakes.taken(), 1);
        let resolved = task.poll();
        assert!(matches!(resolved, Poll::Ready(Ok(found)) if found == Lsn(lsn as u64)));
    }
}

/// Unparks the thread that polls.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_committer_on_its_own_thread_serves_the_tasks_of_others() {
    const TASKS: u64 = 300;
    let wal = large(&TestStorage::new());
    let before = wal.stats().syncs;
    let committer = wal.committer();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                committer.run(Duration::from_millis(1)).unwrap();
            }
        });
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut tasks: Vec<_> = (0..TASKS)
            .map(|lsn| wal.append_async(payload(lsn), Level::Durable))
            .collect();
        loop {
            tasks.retain_mut(|task| match Pin::new(task).poll(&mut context) {
                Poll::Ready(lsn) => {
                    assert!(lsn.unwrap() < wal.watermarks().durable_end, "INV-F1");
                    false
                }
                Poll::Pending => true,
            });
            if tasks.is_empty() {
                break;
            }
            std::thread::park();
        }
        is_over.store(true, Ordering::SeqCst);
        serving.join().unwrap();
    });
    assert!(wal.stats().syncs - before <= TASKS);
    assert_eq!(count_of_prefix(wal.iter()), TASKS);
}

#[test]
fn a_caller_that_blocks_works_for_tasks_too() {
    let wal = large(&TestStorage::new());
    let mut tasks = appends(&wal, 10);
    for task in &mut tasks {
        assert!(task.poll().is_pending());
        task.wakes.taken();
    }
    wal.sync().unwrap();
    let before = wal.stats().syncs;
    for task in &mut tasks {
        assert_eq!(task.wakes.taken(), 1);
        assert!(task.poll().is_ready());
    }
    assert_eq!(wal.stats().syncs, before);
}

#[test]
fn the_waker_of_the_latest_poll_is_the_one_that_is_used() {
    let wal = large(&TestStorage::new());
    let committer = wal.committer();
    let mut task = Task::new(wal.append_async(payload(0), Level::Durable));
    assert!(task.poll().is_pending());
    let earlier = std::mem::take(&mut task.wakes);
    assert!(task.poll().is_pending());
    committer.run(Duration::ZERO).unwrap();
    assert_eq!((earlier.taken(), task.wakes.taken()), (0, 1));
}

#[test]
fn fault_28_tasks_that_are_dropped_hold_nobody_up() {
    let wal = large(&TestStorage::new());
    let mut tasks = appends(&wal, 30);
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    // The first of them was to work for all, as far as anyone knew.
    let mut index = 0;
    tasks.retain(|_| {
        index += 1;
        index % 3 == 0
    });
    assert_eq!(run_all(tasks).len(), 10);
    assert_eq!(wal.watermarks().durable_end, Lsn(30), "dropped, and there");
}

#[test]
fn fault_28_tasks_look_after_themselves_when_the_last_committer_goes() {
    let wal = large(&TestStorage::new());
    let (one, other) = (wal.committer(), wal.committer());
    let mut tasks = appends(&wal, 10);
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    drop(one);
    assert!(tasks.iter().all(|task| task.wakes.taken() == 0));
    drop(other);
    let mut resolved = 0;
    for task in &mut tasks {
        assert_eq!(task.wakes.taken(), 1);
        resolved += usize::from(task.poll().is_ready());
    }
    assert_eq!(resolved, 10, "the first one worked for the others");
}

#[test]
fn what_dropping_an_append_means_can_be_told_by_its_number() {
    let wal = large(&TestStorage::new());
    let _committer = wal.committer();
    let append = wal.append_async(payload(0), Level::Durable);
    assert_eq!(append.lsn(), None);
    drop(append);
    assert_eq!(wal.next_lsn(), Lsn(0), "never polled, never appended");

    let mut task = Task::new(wal.append_async(payload(0), Level::Durable));
    assert!(task.poll().is_pending());
    assert_eq!(task.future.lsn(), Some(Lsn(0)));
    drop(task);
    assert_eq!(count_of_prefix(wal.iter()), 1, "appended, and stays");
}

#[test]
fn an_append_that_finds_no_room_waits_without_blocking() {
    let options = WalOptions::default()
        .segment_bytes(16 << 10)
        .backlog_segments_max(1);
    let wal = Wal::with_storage(Arc::new(TestStorage::new()), options).unwrap();
    let committer = wal.committer();
    let append = || Task::new(wal.append_async(vec![7; 7000], Level::Published));
    let mut appended = 0;
    let mut waiting = loop {
        let mut task = append();
        match task.poll() {
            Poll::Ready(lsn) => assert_eq!(lsn.unwrap(), Lsn(appended)),
            Poll::Pending => break task,
        }
        appended += 1;
        assert!(appended < 20, "memory is bounded");
    };
    assert_eq!(waiting.future.lsn(), None);
    let mut dropped = append();
    assert!(dropped.poll().is_pending());
    drop(dropped);
    assert_eq!(wal.next_lsn(), Lsn(appended), "waiting is not appended");

    assert!(committer.run(Duration::ZERO).unwrap());
    assert_eq!(waiting.wakes.taken(), 1);
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(Lsn(lsn))) if lsn == appended));
}

#[test]
fn who_waits_for_room_is_woken_when_there_is_some() {
    let options = WalOptions::default()
        .segment_bytes(16 << 10)
        .backlog_segments_max(1);
    let wal = Wal::with_storage(Arc::new(TestStorage::new()), options).unwrap();
    let committer = wal.committer();
    let mut appended = 0;
    let mut waiting = loop {
        let mut room = Task::new(wal.room_async());
        match room.poll() {
            Poll::Ready(found) => found.unwrap(),
            Poll::Pending => break room,
        }
        let batch = [&[7; 3000][..], &[7; 4000]];
        assert_eq!(wal.append_batch(&batch).unwrap().start, Lsn(appended));
        appended += 2;
        assert!(appended < 40, "memory is bounded");
    };
    assert!(waiting.poll().is_pending());
    assert!(committer.run(Duration::ZERO).unwrap());
    assert_eq!(waiting.wakes.taken(), 1);
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(()))));
    assert_eq!(wal.next_lsn(), Lsn(appended), "nothing is appended by it");
}

#[test]
fn a_commit_covers_what_was_published_when_it_was_made() {
    let wal = large(&TestStorage::new());
    wal.append(&payload(0)).unwrap();
    let commit = wal.commit_async(Lsn(u64::MAX), Level::Durable);
    let seen = wal.commit_async(Lsn(1), Level::Published);
    assert!(Task::new(seen).poll().is_ready(), "it is published");
    let done = run_all(vec![Task::new(commit)]);
    assert!(matches!(done[..], [Ok(())]));
    assert_eq!(wal.watermarks().durable_end, Lsn(1));
}

#[test]
fn a_failed_sync_is_told_to_every_task_and_nothing_is_acknowledged_again() {
    let disk = SimStorage::new(28);
    let wal = Wal::with_storage(Arc::new(disk.clone()), WalOptions::default()).unwrap();
    disk.inject(Fault::on(Operation::Sync, Failure::Refused(SimError::Io)));
    let results = run_all(appends(&wal, 10));
    assert_eq!(results.len(), 10);
    for result in results {
        let poisoned = matches!(
            result,
            Err(AppendError::Commit(CommitError::Poisoned { .. }))
        );
        assert!(poisoned, "INV-W6");
    }
    let late = run_all(vec![Task::new(wal.append_async(b"late", Level::Published))]);
    assert!(late[0].is_err(), "INV-W6");
    assert_eq!(wal.watermarks().durable_end, Lsn(0), "INV-W6");
}

#[test]
fn fault_18_a_full_disk_is_told_to_the_tasks_that_a_committer_works_for() {
    let disk = SimStorage::new(18);
    let options = WalOptions::default().segment_bytes(16 << 10);
    let wal = Wal::with_storage(Arc::new(disk.clone()), options).unwrap();
    let used = disk.files().values().map(Vec::len).sum::<usize>() as u64;
    disk.set_capacity(Some(used));
    let committer = wal.committer();
    let mut tasks: Vec<_> = (0..3)
        .map(|_| Task::new(wal.append_async(vec![1; 7000], Level::Durable)))
        .collect();
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    assert!(committer.run(Duration::ZERO).is_err());
    let mut full = 0;
    for task in &mut tasks {
        assert_eq!(task.wakes.taken(), 1, "none is left waiting");
        match task.poll() {
            Poll::Ready(Err(AppendError::Commit(CommitError::StorageFull { .. }))) => full += 1,
            Poll::Ready(Ok(_)) | Poll::Pending => {}
            Poll::Ready(Err(other)) => panic!("{other}"),
        }
    }
    assert!(full >= 1);
    disk.set_capacity(None);
    wal.sync().unwrap();
    assert_eq!(wal.watermarks().durable_end, Lsn(3), "nothing is lost");
}

#[test]
fn fault_30_closing_gives_every_task_a_result() {
    for drops in [false, true] {
        let storage = TestStorage::new();
        let wal = open(&storage);
        let committer = wal.committer();
        let mut waiting = appends(&wal, 10);
        for task in &mut waiting {
            assert!(task.poll().is_pending());
        }
        let mut late = Task::new(wal.append_async(b"late", Level::Published));
        if drops {
            drop(wal);
        } else {
            wal.close().unwrap();
        }
        for task in &mut waiting {
            assert_eq!(task.wakes.taken(), 1);
            assert!(matches!(task.poll(), Poll::Ready(Ok(_))), "it is durable");
        }
        let refused = late.poll();
        assert!(matches!(
            refused,
            Poll::Ready(Err(AppendError::Commit(CommitError::Closed { .. })))
        ));
        let ended = committer.run(Duration::ZERO);
        assert!(matches!(ended, Err(CommitError::Closed { .. })));
        // Somebody else's by now.
        let next = open(&storage);
        let files = storage.files();
        assert_eq!(count_of_prefix(next.iter()), 10);
        drop((waiting, late, committer));
        assert!(storage.files() == files);
    }
}

#[test]
fn fault_30_what_waits_when_the_log_is_truncated_gets_a_result() {
    let mut wal = open(&TestStorage::new());
    let committer = wal.committer();
    let mut tasks = appends(&wal, 10);
    for task in &mut tasks[..5] {
        assert!(task.poll().is_pending());
    }
    wal.truncate_after(Lsn(3)).unwrap();
    for task in &mut tasks[..5] {
        assert!(task.wakes.taken() >= 1);
        assert!(task.poll().is_ready());
    }
    for task in &mut tasks[5..] {
        let refused = task.poll();
        assert!(matches!(
            refused,
            Poll::Ready(Err(AppendError::Commit(CommitError::Closed { .. })))
        ));
    }
    assert!(committer.run(Duration::ZERO).is_err());
    let lsns = run_all(vec![Task::new(
        wal.append_async(payload(3), Level::Durable),
    )]);
    assert!(matches!(lsns[..], [Ok(Lsn(3))]), "the log goes on");
    assert_eq!(count_of_prefix(wal.iter()), 4);
}

#[test]
fn a_truncation_that_is_refused_leaves_the_futures_alone() {
    let mut wal = open(&TestStorage::new());
    let mut task = Task::new(wal.append_async(payload(0), Level::Durable));
    assert!(task.poll().is_pending());
    assert!(wal.truncate_after(Lsn(9)).is_err());
    assert!(matches!(run_all(vec![task])[..], [Ok(Lsn(0))]));
}
