//! What a log does once more, on files that are the memory of its segments.
//!
//! Tests that open a directory are about plain files here, too; log-mmap has
//! all of these over real files that are mapped. Not here: `crash_steps` and
//! `spares`, for which the simulated disk stands in (`mapped_faults`,
//! `sim_histories`), and what is about bytes alone (`golden`,
//! `independent_reader`, `recovery_document`).

type TestStorage = common::mapped::MappedMemory;

/// Every byte is damaged.
const DAMAGE_STRIDE: usize = 1;

mod common;
#[path = "behaviour/support.rs"]
mod support;

#[path = "behaviour/compact.rs"]
mod compact;
#[path = "behaviour/crafted.rs"]
mod crafted;
#[path = "behaviour/damage.rs"]
mod damage;
#[path = "behaviour/payloads.rs"]
mod payloads;
#[path = "behaviour/read.rs"]
mod read;
#[path = "behaviour/tasks.rs"]
mod tasks;
#[path = "behaviour/truncate.rs"]
mod truncate;
#[path = "behaviour/verbs.rs"]
mod verbs;
#[path = "behaviour/verify.rs"]
mod verify;
