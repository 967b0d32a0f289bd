//! Values that tell when they are dropped.

use std::sync::{Arc, Mutex};

/// Takes note of the drops of the values that it made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker(Arc<Mutex<Vec<usize>>>);

impl Tracker {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn value(&self, id: usize) -> Tracked {
        Tracked {
            id,
            boxed: Box::new(id),
            explodes: false,
            tracker: self.clone(),
        }
    }

    /// A value that panics as it is dropped.
    pub(crate) fn bomb(&self, id: usize) -> Tracked {
        let mut bomb = self.value(id);
        bomb.explodes = true;
        bomb
    }

    /// The values that were dropped, sorted; one that was dropped twice is
    /// there twice.
    pub(crate) fn dropped(&self) -> Vec<usize> {
        let mut dropped = self.0.lock().expect("no panic while it is held").clone();
        dropped.sort_unstable();
        dropped
    }
}

#[derive(Debug)]
pub(crate) struct Tracked {
    id: usize,
    /// So that tools which watch memory see a second drop.
    boxed: Box<usize>,
    explodes: bool,
    tracker: Tracker,
}

impl Tracked {
    pub(crate) fn id(&self) -> usize {
        assert_eq!(*self.boxed, self.id, "INV-C2: it never changes");
        self.id
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let id = self.id();
        self.tracker.0.lock().expect("as above").push(id);
        assert!(!self.explodes, "on purpose");
    }
}
