//! The rules that every engine keeps, as tests that run against any.
//!
//! A rule is a function that takes a [`Subject`], which opens logs on the
//! engine in question, and panics where the rule is broken.
//! [`conformance_tests!`](crate::conformance_tests) makes a test of each, so an
//! engine of yours is checked by this much, in a test of your crate, with the
//! feature `conformance` in your `dev-dependencies`:
//!
//! ```
//! use log_facade::conformance::Subject;
//! use log_facade::{Log, LogOptions, OpenError};
//!
//! struct InMemory;
//!
//! impl Subject for InMemory {
//!     fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
//!         options.open_in_memory() // or `open_engine` with one of yours
//!     }
//!     fn survives_closing(&self) -> bool {
//!         false
//!     }
//! }
//!
//! log_facade::conformance_tests!(InMemory);
//! ```
//!
//! Each rule gets a subject of its own, with an empty log, and opens it in turn
//! with options of its choice. What they say of segments and records reaches
//! only our engines: make yours with segments of about [`SEGMENT_BYTES`], that
//! take records of up to [`RECORD_BYTES_MAX`]. What an engine may leave out
//! ([`Engine`](crate::engine::Engine) has a default for it) it is not asked
//! for, but it must refuse that always, and change nothing.
//!
//! The rules are about one process that nobody kills. What an engine keeps over
//! a crash it must show by other means.

pub mod append;
pub mod carry;
pub mod compact;
pub mod level;
pub mod read;
pub mod reopen;
pub mod retain;
pub mod truncate;

use crate::{Level, Log, LogOptions, Lsn, OpenError, ReadError, Record};

/// Opens logs on the engine that is to be checked.
pub trait Subject: Sync {
    /// Opens this subject's log with these options: an empty one the first
    /// time, and what was left every later time.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    fn open(&self, options: LogOptions) -> Result<Log, OpenError>;

    /// Whether a log that was closed is there when it is opened again.
    fn survives_closing(&self) -> bool {
        true
    }
}

/// Makes a test of each rule. `$subject` is evaluated for each, and must give a
/// [`Subject`](crate::conformance::Subject) with an empty log.
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        $crate::conformance_tests! { $subject;
            append: [
                numbers_are_dense_and_begin_at_zero,
                an_empty_batch_changes_nothing,
                a_batch_is_visible_all_or_none,
                a_record_written_in_place_reads_like_any_other,
                a_number_that_was_given_up_is_passed_over,
                a_record_that_is_too_long_is_refused_and_changes_nothing,
                many_writers_get_a_number_each_and_all_is_read,
            ],
            level: [
                an_acknowledgement_means_what_its_level_says,
                a_level_that_is_not_kept_is_refused_at_once,
                watermarks_never_cross,
            ],
            read: [
                what_was_appended_is_read_by_number_and_in_order,
                a_range_has_what_there_is_of_it,
                past_the_end_there_is_nothing,
                an_iterator_goes_on_with_what_is_appended_later,
                records_are_found_across_segments,
                a_slice_says_where_to_read_on,
                what_is_read_backwards_is_the_same_in_reverse,
                nothing_is_shown_below_the_read_level,
                a_snapshot_stays_as_it_is,
            ],
            carry: [
                a_record_comes_back_with_all_that_it_carries,
                a_record_written_in_place_carries_as_much,
                a_record_without_a_time_gets_the_clocks,
                a_log_may_leave_records_without_a_time,
                records_are_found_by_time,
                records_are_found_by_time_whatever_the_order_of_times,
            ],
            retain: [
                rotating_ends_a_segment_once,
                whole_segments_go_and_only_from_the_front,
                a_reader_in_front_is_told_where_the_log_begins,
                a_held_record_outlives_its_segment,
                a_snapshot_keeps_what_it_shows,
            ],
            truncate: [
                numbers_go_on_where_the_log_was_cut,
                what_was_cut_is_not_read_again,
                an_end_that_the_log_does_not_have_is_refused,
                what_was_cut_stays_gone,
                a_held_record_outlives_a_cut,
                a_snapshot_forbids_a_cut,
                a_subscription_is_told_what_of_it_was_cut,
                a_subscription_that_waits_goes_on_behind_a_cut,
                a_cursor_behind_a_cut_is_set_back_to_it,
            ],
            compact: [
                of_each_key_the_newest_stays,
                the_newest_of_a_key_goes_if_it_is_not_to_stay,
                compaction_goes_no_further_than_a_pin,
                a_subscription_passes_over_what_was_compacted,
                what_was_compacted_stays_so,
            ],
            reopen: [
                a_log_is_opened_again_as_it_was,
                a_dropped_log_keeps_what_was_appended,
            ],
        }
    };
    ($subject:expr; $($topic:ident: [$($rule:ident),* $(,)?]),* $(,)?) => {
        $($(
            #[test]
            fn $rule() {
                $crate::conformance::$topic::$rule(&$subject);
            }
        )*)*
    };
}

/// How long segments are, about: the smallest of ours, so that a few records
/// fill one.
pub const SEGMENT_BYTES: u64 = 16 << 10;

/// How long a record may be; one that is half as long again is refused.
pub const RECORD_BYTES_MAX: usize = 1000;

fn options() -> LogOptions {
    Log::options()
        .segment_bytes(SEGMENT_BYTES)
        .record_bytes_max(RECORD_BYTES_MAX)
}

fn open(subject: &dyn Subject) -> Log {
    open_with(subject, options())
}

fn open_with(subject: &dyn Subject, options: LogOptions) -> Log {
    subject.open(options).expect("the log opens")
}

/// What record `number` says: a different length for each, up to about 300
/// bytes.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = format!("record {number} ").into_bytes();
    payload.resize(payload.len() + (number as usize * 37) % 283, number as u8);
    payload
}

/// Appends records until the log has `end` of them.
fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        let lsn = log.append(&payload(number)).expect("appended");
        assert_eq!(lsn, Lsn(number));
    }
}

fn numbers(records: impl IntoIterator<Item = Result<Record, ReadError>>) -> Vec<u64> {
    records
        .into_iter()
        .map(|record| {
            let record = record.expect("readable");
            assert_eq!(
                record.payload(),
                payload(record.lsn().0),
                "{}",
                record.lsn()
            );
            record.lsn().0
        })
        .collect()
}

/// One past the last record that has reached `level`.
fn reached(log: &Log, level: Level) -> Lsn {
    let watermarks = log.watermarks();
    match level {
        Level::Published => watermarks.published_end,
        Level::Written => watermarks.written_end,
        Level::Durable => watermarks.durable_end,
    }
}

/// The levels that the log keeps.
fn kept(log: &Log) -> impl Iterator<Item = Level> + use<> {
    let keeps = log.keeps();
    [Level::Published, Level::Written, Level::Durable]
        .into_iter()
        .filter(move |level| *level <= keeps)
}
