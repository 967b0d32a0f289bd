//! What subscriptions wait by, from the standard library or from loom.
//!
//! The only file of this crate that knows about loom, and `news` and `cuts` are
//! its only users: with `--cfg log_loom` the waiting of subscriptions runs under
//! a schedule checker, and the bells beneath it do as well. Nobody else here
//! shares memory with a subscription.

#[cfg(not(log_loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{Mutex, RwLock, RwLockReadGuard};
}

#[cfg(log_loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use loom::sync::{Mutex, RwLock, RwLockReadGuard};
}

pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering;
