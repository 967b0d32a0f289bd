//! The only file that knows whether we run on `std`, under loom or under
//! shuttle.
//!
//! Everyone else writes `use crate::sync::…`, so the code that the checkers
//! explore is the code that ships, not a `cfg`-selected cousin of it. Where
//! they differ we take loom's shape: a cell is opened with `with` / `with_mut`,
//! so that a model sees when an access starts and ends.
//!
//! Also here: the *asymmetric fence*, a store-load barrier whose price is paid
//! by the side that comes by rarely.

#[cfg(not(any(log_loom, log_shuttle)))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;
}

#[cfg(log_loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;
}

#[cfg(log_shuttle)]
mod imp {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::yield_now;
}

pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering;

/// Locks, and goes on after a panic of another holder: every structure behind
/// a lock in this crate is whole whenever the lock is free.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(not(log_loom))]
mod cell {
    /// `std::cell::UnsafeCell` in loom's shape.
    #[repr(transparent)]
    #[derive(Debug, Default)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(log_loom)]
mod cell {
    pub(crate) use loom::cell::UnsafeCell;
}

pub(crate) use cell::UnsafeCell;

/// A barrier between a store and a later load, in two halves.
///
/// Two threads that each store to their own place and then load the other's
/// may both miss the other's store unless each has a sequentially consistent
/// fence in between (Dekker's pattern). When one side runs for every append
/// and the other hardly ever, the rare side can pay for both:
/// [`heavy`](asymmetric::heavy) makes every running thread of the process pass
/// a full barrier (`membarrier(2)`, private expedited), so that
/// [`light`](asymmetric::light) is no instruction at all. Where the kernel has
/// no such call both halves are ordinary fences.
///
/// The technique is old (Dice, Huang, Yang: "Asymmetric Dekker
/// Synchronization", 2001); folly's `asymmetricThreadFence*` and liburcu use
/// the same system call.
pub(crate) mod asymmetric {
    /// Which half-barriers this process uses; learned once, then carried by
    /// whoever needs it, so that the hot path reads no global.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Fences {
        process_wide: bool,
    }

    /// The frequent side, for who has made sure that it
    /// [is free](Fences::light_is_free).
    #[inline(always)]
    pub(crate) fn light_where_free() {
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }

    impl Fences {
        /// Asks the kernel whether it offers process-wide barriers.
        pub(crate) fn new() -> Self {
            Self {
                process_wide: membarrier::available(),
            }
        }

        /// Whether [`light_where_free`] is all that the frequent side needs.
        pub(crate) fn light_is_free(self) -> bool {
            self.process_wide
        }

        /// The frequent side: nothing but an order for the compiler, where
        /// [`heavy`](Self::heavy) does the work.
        #[inline(always)]
        pub(crate) fn light(self) {
            if self.process_wide {
                light_where_free();
            } else {
                super::fence(super::Ordering::SeqCst);
            }
        }

        /// The rare side: a full barrier here and in every running thread.
        pub(crate) fn heavy(self) {
            if self.process_wide {
                membarrier::everywhere();
            }
            super::fence(super::Ordering::SeqCst);
        }
    }

    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(any(log_loom, log_shuttle, miri))
    ))]
    mod membarrier {
        use std::ffi::{c_int, c_long, c_uint};
        use std::sync::OnceLock;

        #[cfg(target_arch = "x86_64")]
        const SYS_MEMBARRIER: c_long = 324;
        #[cfg(target_arch = "aarch64")]
        const SYS_MEMBARRIER: c_long = 283;
        const PRIVATE_EXPEDITED: c_int = 1 << 3;
        const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

        unsafe extern "C" {
            // The C library that `std` links anyway.
            fn syscall(number: c_long, ...) -> c_long;
        }

        fn call(command: c_int) -> bool {
            let (flags, cpu): (c_uint, c_int) = (0, 0);
            // SAFETY: membarrier takes three integers and touches no memory
            // of ours; an unknown command is answered with an error.
            unsafe { syscall(SYS_MEMBARRIER, command, flags, cpu) == 0 }
        }

        pub(super) fn available() -> bool {
            static REGISTERED: OnceLock<bool> = OnceLock::new();
            *REGISTERED.get_or_init(|| call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED))
        }

        pub(super) fn everywhere() {
            // It worked when `available` tried it, and the registration lasts
            // for the life of the process; there is no later way to fail.
            let _passed = call(PRIVATE_EXPEDITED);
            debug_assert!(_passed, "membarrier refused after registration");
        }
    }

    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(any(log_loom, log_shuttle, miri))
    )))]
    mod membarrier {
        pub(super) fn available() -> bool {
            false
        }

        pub(super) fn everywhere() {}
    }
}
