//! When a log allocates, and what happens when it cannot.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log_core::{AppendErrorCause, AtomicLog, Lsn};

/// Counts the allocations of each thread, and refuses segments on request.
struct Watched;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Segments of 1024 values ask for this alignment and at least so many bytes;
/// nothing else in this program does.
const SEGMENT_ALIGN: usize = 128;
const SEGMENT_BYTES: usize = 8192;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static SEGMENTS_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

// SAFETY: everything comes from `System`, or is refused with a null pointer.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        if layout.align() == SEGMENT_ALIGN && layout.size() >= SEGMENT_BYTES {
            let Some(left) = SEGMENTS_LEFT.get().checked_sub(1) else {
                return std::ptr::null_mut();
            };
            SEGMENTS_LEFT.set(left);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract; it came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn allocations(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

/// Lets as many segments be allocated, then no more.
fn with_memory_for<R>(segments: u64, act: impl FnOnce() -> R) -> R {
    SEGMENTS_LEFT.set(segments);
    let result = act();
    SEGMENTS_LEFT.set(u64::MAX);
    result
}

#[test]
fn a_log_that_has_grown_to_its_retention_never_allocates_again() {
    let (mut writer, log) = AtomicLog::new_claimed(64, 16);
    let grow = allocations(|| {
        writer.append_batch(0..200);
    });
    assert!(grow > 0, "it does allocate while it grows");
    let steady = allocations(|| {
        for value in 0..10_000 {
            writer.append(value);
        }
        writer.append_batch(0..10_000);
    });
    assert_eq!(steady, 0, "INV-C5");
    assert_eq!(log.allocated_segments(), 6, "a window and the next");
}

#[test]
fn readers_never_allocate() {
    let (mut writer, log) = AtomicLog::new_claimed(64, 16);
    // Once before, for what a held snapshot keeps.
    let mut round = |log: &AtomicLog<u64>| {
        let mut snapshot = log.snapshot();
        let mut follower = log.follow();
        writer.append_batch(0..50);
        snapshot.refresh();
        let clone = snapshot.clone();
        while let Ok(Some(_)) = follower.next_slice() {}
        clone.iter().rev().copied().sum::<u64>() + clone.chunks().len() as u64
    };
    for _ in 0..20 {
        round(&log);
    }
    let steady = allocations(|| {
        for _ in 0..1000 {
            round(&log);
        }
    });
    assert_eq!(steady, 0, "INV-C5");
}

#[test]
fn a_stalled_reader_costs_a_window_and_its_memory_is_used_again() {
    let (mut writer, log) = AtomicLog::new_claimed(64, 16);
    writer.append_batch(0..1000);
    let alone = log.allocated_segments();
    let stalled = log.snapshot();
    for step in 0..100_u64 {
        writer.append_batch(0..1000);
        let extra = log.allocated_segments() - alone;
        assert!(
            extra as u64 <= log.retained_segments(),
            "INV-C6, step {step}"
        );
    }
    let grown = log.allocated_segments();
    drop(stalled);
    let stalled_again = log.snapshot();
    let steady = allocations(|| {
        writer.append_batch(0..100_000);
    });
    assert_eq!((steady, log.allocated_segments()), (0, grown), "INV-C5");
    drop(stalled_again);
}

#[test]
fn an_allocation_that_fails_is_an_error_and_the_log_stays_usable() {
    // Four segments are retained, and one more is needed to go on rolling.
    for possible in 1..6 {
        let (writer, log) = with_memory_for(possible, || {
            let (mut writer, log) = AtomicLog::new_claimed(3 * 1024, 1024);
            let mut appended = 0_u64;
            let refused = loop {
                match writer.try_append(appended) {
                    Ok(lsn) => assert_eq!(lsn, Lsn(appended), "INV-C1"),
                    Err(error) => break Some(error),
                }
                appended += 1;
                if appended == 10 * 1024 {
                    break None;
                }
            };
            let refused = refused.map(|error| (error.cause, error.value));
            let full = possible * 1024;
            if possible < 5 {
                assert_eq!(refused, Some((AppendErrorCause::OutOfMemory, full)));
                let shown = full.saturating_sub(4 * 1024)..full;
                assert!(log.snapshot().iter().copied().eq(shown), "reads go on");
            } else {
                assert_eq!(refused, None, "INV-C5: five are enough for ever");
            }
            (writer, log)
        });
        let mut writer = writer;
        let next = writer.end().0;
        assert_eq!(writer.append(next), Lsn(next), "memory came back");
        assert_eq!(log.snapshot().get(Lsn(next)), Some(&next));
    }
}

#[test]
fn a_batch_that_finds_no_memory_keeps_what_fitted() {
    let (mut writer, log) = AtomicLog::new_claimed(100 * 1024, 1024);
    let out_of_memory = with_memory_for(2, || {
        catch_unwind(AssertUnwindSafe(|| writer.append_batch(0..10_000_u64))).is_err()
    });
    assert!(out_of_memory);
    assert!(log.snapshot().iter().copied().eq(0..3 * 1024));
    writer.append_batch(3 * 1024..10_000);
    assert!(log.snapshot().iter().copied().eq(0..10_000));
}

#[test]
fn a_writer_goes_on_without_memory_once_a_reader_lets_go() {
    let (mut writer, log) = AtomicLog::new_claimed(2 * 1024, 1024);
    writer.append_batch(0..3 * 1024_u64);
    let mut held = vec![log.snapshot()];
    with_memory_for(0, || {
        writer
            .try_append(0)
            .expect_err("there is no fourth segment");
    });
    writer.append_batch(0..5 * 1024);
    held.push(log.snapshot());
    with_memory_for(0, || {
        let mut appended = 0;
        while writer.try_append(0).is_ok() {
            appended += 1;
        }
        assert!(appended <= 4 * 1024, "the snapshots keep the rest");
        held.clear();
        for _ in 0..100 * 1024 {
            writer.try_append(0).expect("what was held is free");
        }
    });
}
