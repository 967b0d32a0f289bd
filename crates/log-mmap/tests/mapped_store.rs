//! The tests of the store and the reader once more, with records appended
//! through a mapping.

const MAPPED_WRITING: bool = true;

#[path = "store/backward.rs"]
mod backward;
#[path = "store/by_time.rs"]
mod by_time;
#[path = "store/checks.rs"]
mod checks;
#[path = "store/compaction.rs"]
mod compaction;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/hand_over.rs"]
mod hand_over;
#[path = "store/held_records.rs"]
mod held_records;
#[path = "store/index_damage.rs"]
mod index_damage;
#[path = "store/kills.rs"]
mod kills;
#[path = "store/lent.rs"]
mod lent;
#[path = "store/model.rs"]
mod model;
#[path = "store/reader.rs"]
mod reader;
#[path = "store/retention.rs"]
mod retention;
#[path = "store/support.rs"]
mod support;
