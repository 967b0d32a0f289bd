//! The tests of what a write-ahead log does, over real files that are mapped.

type TestStorage = files::MappedFiles;

/// Bytes from one that is damaged to the next: real files take their time.
const DAMAGE_STRIDE: usize = 23;

#[path = "../../../log-wal/tests/common/mod.rs"]
mod common;
mod files;
#[path = "../../../log-wal/tests/behaviour/support.rs"]
mod support;

#[path = "../../../log-wal/tests/behaviour/compact.rs"]
mod compact;
#[path = "../../../log-wal/tests/behaviour/crafted.rs"]
mod crafted;
#[path = "../../../log-wal/tests/behaviour/damage.rs"]
mod damage;
#[path = "../../../log-wal/tests/behaviour/payloads.rs"]
mod payloads;
#[path = "../../../log-wal/tests/behaviour/read.rs"]
mod read;
#[path = "../../../log-wal/tests/behaviour/tasks.rs"]
mod tasks;
#[path = "../../../log-wal/tests/behaviour/truncate.rs"]
mod truncate;
#[path = "../../../log-wal/tests/behaviour/verbs.rs"]
mod verbs;
#[path = "../../../log-wal/tests/behaviour/verify.rs"]
mod verify;
