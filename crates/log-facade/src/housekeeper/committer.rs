//! The thread that brings records to the disk for tasks.
//!
//! A thread of its own beside the housekeeper, although both sleep nearly all
//! the time. A task that waits for a sync must not wait as well until a segment
//! is indexed or a file is made ahead of need, which take longer than a sync.
//! And they sleep at different things: this one at the engine, for tasks; the
//! other at a clock, which may be one that stands still.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::engine;
use crate::shared::Shared;

/// How long it sleeps at most. Whoever waits or stops it wakes it.
const NAP: Duration = Duration::from_secs(60);

/// A thread that works for tasks, for as long as this is held.
#[derive(Debug)]
pub(crate) struct CommitterThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CommitterThread {
    /// Starts one, if the engine can make use of it.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        let Some(committer) = shared.engine.committer() else {
            return Ok(None);
        };
        let stop = Arc::new(AtomicBool::new(false));
        let work = {
            let (shared, stop) = (Arc::clone(shared), Arc::clone(&stop));
            move || work(&shared, &committer, &stop)
        };
        let thread = thread::Builder::new()
            .name("strata-committer".to_owned())
            .spawn(work)?;
        Ok(Some(Self {
            stop,
            thread: Some(thread),
        }))
    }
}

impl Drop for CommitterThread {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `work`.
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // If it panicked, the tasks look after themselves, and are told
            // by the engine.
            let _ended = thread.join();
        }
    }
}

fn work(shared: &Shared, committer: &engine::Committer, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let worked = committer.run(NAP);
        shared.tell_settled();
        match worked {
            Ok(_) => {}
            // Those who waited were told. There may be room the next time.
            Err(engine::CommitError::StorageFull { .. } | engine::CommitError::Refused { .. }) => {}
            // Nothing will ever be committed again.
            Err(_) => return,
        }
    }
}
