//! What the types promise to the compiler.

use std::cell::Cell;

use log_core::{
    AppendError, AtomicLog, Bell, Chunks, Follower, Gap, Iter, Refresh, SegmentSlice, Snapshot,
    Writer,
};

fn shared<T: Send + Sync>() {}
fn copied<T: Copy>() {}
fn cloned<T: Clone>() {}
fn iterated<T: DoubleEndedIterator + ExactSizeIterator + std::iter::FusedIterator + Clone>() {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn everything_may_go_from_thread_to_thread() {
    shared::<AtomicLog<String>>();
    shared::<Writer<String>>();
    shared::<Snapshot<String>>();
    shared::<Follower<String>>();
    shared::<SegmentSlice<'_, String>>();
    shared::<Chunks<'_, String>>();
    shared::<Iter<'_, String>>();
    shared::<Bell>();
}

#[test]
fn handles_are_clonable_whatever_the_values_are() {
    struct Plain;
    cloned::<AtomicLog<Plain>>();
    cloned::<Snapshot<Plain>>();
    cloned::<Follower<Plain>>();
    copied::<SegmentSlice<'_, Plain>>();
    copied::<Refresh>();
    iterated::<Iter<'_, Plain>>();
    iterated::<Chunks<'_, Plain>>();
}

#[test]
fn errors_are_errors_whatever_the_values_are() {
    error::<Gap>();
    error::<AppendError<fn()>>();
}

#[test]
fn values_that_must_not_be_shared_still_make_a_log_for_one_thread() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(Cell::new(1));
    log.snapshot().get(log_core::Lsn(0)).unwrap().set(2);
    assert_eq!(log.snapshot().iter().next().unwrap().get(), 2);
}

#[cfg(not(any(log_loom, log_shuttle, miri)))]
#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/atomic_log_compile_fail/*.rs");
}
