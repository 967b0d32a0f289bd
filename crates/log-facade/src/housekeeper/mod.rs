//! The one thread that a log may have.
//!
//! It sleeps until something is due or somebody rings, does what is due, and
//! sleeps again; no sleep is longer or shorter than that. It is started only if
//! an option needs it, and stopped, promptly, before the log is closed. What it
//! cannot do it takes down in `health`, where the next call of a user finds it.
//!
//! With `clock` the only place that knows of threads and time (`INV-F4`).

mod age;
mod calendar;
#[cfg(feature = "tokio")]
mod committer;
mod rounds;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::clock::Alarm;
use crate::error::HousekeepingCause;
use crate::shared::Shared;

#[cfg(feature = "tokio")]
pub(crate) use committer::CommitterThread;

use rounds::Rounds;

/// A log's background thread, for as long as this is held.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    stop: Arc<AtomicBool>,
    alarm: Arc<Alarm>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeper {
    /// Starts one, if the log's options need it.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        let Some(alarm) = shared.alarm.clone() else {
            return Ok(None);
        };
        let stop = Arc::new(AtomicBool::new(false));
        alarm.begin();
        // Here, so that a clock knows of it when this returns.
        shared.clock.attach(&alarm);
        shared.health.is_running.store(true, Ordering::Relaxed);
        let work = {
            let (shared, alarm, stop) = (Arc::clone(shared), Arc::clone(&alarm), Arc::clone(&stop));
            move || work(&shared, &alarm, &stop)
        };
        let thread = thread::Builder::new()
            .name("strata-housekeeper".to_owned())
            .spawn(work)
            .inspect_err(|_| alarm.end())?;
        Ok(Some(Self {
            stop,
            alarm,
            thread: Some(thread),
        }))
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `work`, though the alarm's lock
        // orders them too.
        self.stop.store(true, Ordering::Release);
        self.alarm.ring();
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            let _ended = thread.join();
        }
    }
}

fn work(shared: &Shared, alarm: &Alarm, stop: &AtomicBool) {
    let mut rounds = Rounds::new(shared);
    let worked = catch_unwind(AssertUnwindSafe(|| {
        while !stop.load(Ordering::Acquire) {
            let due = rounds.go();
            shared.clock.wait(alarm, due);
        }
    }));
    shared.health.is_running.store(false, Ordering::Relaxed);
    if let Err(panic) = worked {
        let cause = HousekeepingCause::Panicked(said(panic.as_ref()).into());
        rounds.fail(cause);
    }
    alarm.end();
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    words.unwrap_or("without a word")
}
