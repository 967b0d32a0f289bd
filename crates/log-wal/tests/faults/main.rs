//! What can go wrong with a log, one test for each entry of the numbered list
//! of faults that the project keeps.

#[path = "../common/mod.rs"]
mod common;

mod disk;

mod policies;
mod power;
mod syncs;

mod failing;
mod spares;
mod torn;
mod waiting;

mod damaged;
mod hostile;

#[cfg(unix)]
mod processes;
#[cfg(target_os = "linux")]
mod system;
