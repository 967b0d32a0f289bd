//! What can go wrong with a log, one test for each entry of the numbered list
//! of faults that the project keeps.

const MAPPED_WRITING: bool = false;

#[path = "../common/mod.rs"]
mod common;

mod disk;

mod policies;
mod power;
mod syncs;

mod backlog;
mod failing;
mod full_disk;
mod spares;
mod torn;
mod waiting;

mod damaged;
mod hostile;

#[cfg(unix)]
mod processes;
#[cfg(target_os = "linux")]
mod system;
