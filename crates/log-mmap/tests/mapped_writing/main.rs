//! Appending through a mapping: what survives, what others see, and what a full
//! disk does.

mod deaths;
mod disks;
mod support;
#[cfg(target_os = "linux")]
mod system;
