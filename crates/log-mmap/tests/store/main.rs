//! The store and the reader, end to end, on real files.

/// The same tests run with it, see `tests/mapped_store.rs`.
const MAPPED_WRITING: bool = false;

mod support;

mod model;

mod hand_over;
mod held_records;
mod kills;
mod retention;

mod compaction;

mod checks;
mod damage;
mod index_damage;

mod backward;
mod by_time;
mod lent;

mod reader;
