//! Checking every frame of many segments, by several threads.
//!
//! The threads end with the call. Each takes the next segment that nobody has
//! taken, and reads it through a buffer of its own. What is found does not
//! depend on them: results come in the order of the segments.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use log_core::Lsn;

use super::scan::{Prefix, prefix};
use crate::format::{FIRST_POSITION, FrameKey, SegmentName};
use crate::segment::End;
use crate::storage::Storage;

/// A thread is worth its start if it has about this much to read.
const THREAD_BYTES: u64 = 4 << 20;

/// More of them wait for memory and not for the processor.
const THREADS_MAX: usize = 8;

/// A segment to check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub name: SegmentName,
    pub salt: u64,
    pub base: Lsn,
    /// As far as its successor lets it count.
    pub end: End,
}

/// The whole frames of each segment, in the order of `jobs`.
pub(crate) fn check_all(storage: &dyn Storage, jobs: &[Job]) -> Vec<io::Result<Prefix>> {
    share(jobs, threads_for(jobs), |job, buffer| {
        check(storage, job, buffer)
    })
}

/// Lets `threads` threads do `check` for all jobs. Results come in order.
fn share<T: Send>(
    jobs: &[Job],
    threads: usize,
    check: impl Fn(&Job, &mut Vec<u8>) -> io::Result<T> + Sync,
) -> Vec<io::Result<T>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::new();
        let mut done = Vec::new();
        // Relaxed: it hands out numbers; what is done with them is joined.
        while let Some((index, job)) = jobs
            .iter()
            .enumerate()
            .nth(next.fetch_add(1, Ordering::Relaxed))
        {
            done.push((index, check(job, &mut buffer)));
        }
        done
    };
    if threads < 2 {
        return work().into_iter().map(|(_, result)| result).collect();
    }
    let done: Vec<_> = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let spawned: Vec<_> = (0..threads).map_while(spawn).collect();
        let mut done = match spawned.is_empty() {
            true => work(),
            false => Vec::new(),
        };
        for thread in spawned {
            // What a thread had done that panicked is missing, and found below.
            done.extend(thread.join().unwrap_or_default());
        }
        done
    });
    let mut results: Vec<_> = jobs.iter().map(|_| Err(panicked())).collect();
    for (index, result) in done {
        if let Some(place) = results.get_mut(index) {
            *place = result;
        }
    }
    results
}

fn panicked() -> io::Error {
    io::Error::other("the thread that checked it panicked")
}

/// How many threads share the work; one is the caller's.
fn threads_for(jobs: &[Job]) -> usize {
    let frames_bytes = |job: &Job| job.end.position.saturating_sub(FIRST_POSITION);
    // A header may say any length.
    let bytes = jobs.iter().map(frames_bytes).fold(0, u64::saturating_add);
    let worthwhile = (bytes / THREAD_BYTES).min(THREADS_MAX as u64) as usize;
    if worthwhile < 2 {
        return 1;
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    worthwhile.min(processors).min(jobs.len())
}

/// The whole frames of one segment, read through `buffer`, whatever that held
/// before.
pub(super) fn check(storage: &dyn Storage, job: &Job, buffer: &mut Vec<u8>) -> io::Result<Prefix> {
    let file = storage.open(&job.name.to_string(), false)?;
    let key = FrameKey::new(job.salt);
    // Never more memory than the file has, whatever a header says (INV-W10).
    let end_position = job.end.position.min(file.len_bytes()?);
    prefix(file.as_ref(), &key, job.base, end_position, buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(count: u64) -> Vec<Job> {
        (0..count)
            .map(|id| Job {
                name: SegmentName { base: Lsn(id), id },
                salt: id,
                base: Lsn(id),
                end: End {
                    lsn: Lsn(id + 1),
                    position: FIRST_POSITION,
                },
            })
            .collect()
    }

    #[test]
    fn results_come_in_the_order_of_the_segments_whoever_checked_them() {
        for threads in [1, 2, 7] {
            let results = share(&jobs(50), threads, |job, _| Ok(job.name.id));
            let ids: Vec<_> = results.into_iter().map(Result::ok).collect();
            assert_eq!(ids, (0..50).map(Some).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_of_a_thread_is_an_error_of_what_it_had_to_do() {
        let results = share(&jobs(20), 3, |job, _| match job.name.id {
            7 => panic!("a test panics"),
            id => Ok(id),
        });
        assert_eq!(results.len(), 20);
        let error = results[7].as_ref().expect_err("it panicked");
        assert!(error.to_string().contains("panicked"), "{error}");
        for (id, result) in results.iter().enumerate() {
            assert!(result.as_ref().map_or(true, |found| *found == id as u64));
        }
    }

    #[test]
    fn a_small_log_is_checked_by_the_caller_alone() {
        assert_eq!(threads_for(&jobs(1000)), 1);
    }
}
