//! The only file that knows whether we run on `std` or under loom.
//!
//! The rest of the crate writes `use crate::sync::…`, so that the code that is
//! explored is the code that ships.

#[cfg(not(log_loom))]
mod imp {
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

#[cfg(log_loom)]
mod imp {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

pub(crate) use imp::*;

/// Locks, and goes on after a panic of another holder: everything behind a lock
/// in this crate is whole whenever the lock is free.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
