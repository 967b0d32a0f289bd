//! The store and the reader, end to end, on real files.

mod support;

mod model;

mod hand_over;
mod held_records;
mod retention;

mod damage;
mod index_damage;

mod by_time;

mod reader;
