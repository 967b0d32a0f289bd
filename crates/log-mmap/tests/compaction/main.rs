//! Compaction beside other processes, and in processes that are killed.

mod support;

mod kills;
mod readers;
