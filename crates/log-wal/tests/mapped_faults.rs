//! The tests of what can go wrong once more, with records appended through a
//! mapping.
//!
//! Those of `backlog` and `full_disk` have other answers here: appends wait for
//! the disk themselves, and hear from it. `processes` and `system` are about
//! real files, which log-mmap maps.

const MAPPED_WRITING: bool = true;

mod common;

#[path = "faults/disk.rs"]
mod disk;

#[path = "faults/policies.rs"]
mod policies;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/syncs.rs"]
mod syncs;

#[path = "faults/failing.rs"]
mod failing;
#[path = "faults/mapped_full_disk.rs"]
mod full_disk;
#[path = "faults/spares.rs"]
mod spares;
#[path = "faults/waiting.rs"]
mod waiting;

#[path = "faults/damaged.rs"]
mod damaged;
#[path = "faults/hostile.rs"]
mod hostile;
