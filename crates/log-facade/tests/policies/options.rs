//! Options that cannot be met are refused by type, before anything is touched.

use std::time::Duration;

use log_facade::{Level, Log, LogOptions, OpenError, OptionsError};

use crate::support::SECOND;

fn refusal(options: LogOptions) -> OptionsError {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("log");
    match options.open(&directory) {
        Err(OpenError::Options(error)) => {
            assert!(!directory.exists(), "nothing was made");
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bound_of_zero_is_refused_by_name() {
    let zeros = [
        (
            "flush_interval",
            Log::options().flush_interval(Duration::ZERO),
        ),
        ("flush_records", Log::options().flush_records(0)),
        ("retain_age", Log::options().retain_age(Duration::ZERO)),
        ("retain_bytes", Log::options().retain_bytes(0)),
        ("retain_records", Log::options().retain_records(0)),
        (
            "retention_interval",
            Log::options().retention_interval(Duration::ZERO),
        ),
        ("rotate_age", Log::options().rotate_age(Duration::ZERO)),
        ("rotate_records", Log::options().rotate_records(0)),
    ];
    for (option, options) in zeros {
        assert_eq!(refusal(options), OptionsError::Zero { option });
    }
}

#[test]
fn a_memory_log_refuses_options_that_promise_more() {
    let promising = [
        Log::options().acknowledge(Level::Written),
        Log::options().read_level(Level::Durable),
        Log::options().flush_interval(SECOND),
        Log::options().flush_records(7),
    ];
    for options in promising {
        let refused = options.open_in_memory();
        assert!(
            matches!(
                refused,
                Err(OpenError::Options(OptionsError::LevelNotKept {
                    kept: Level::Published,
                    ..
                }))
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_log_that_does_nothing_by_itself_has_no_thread() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    log.append(b"x").unwrap();
    assert!(!log.stats().housekeeping.is_running);
    assert_eq!(log.stats().housekeeping.rounds, 0);
}

#[test]
fn retention_by_age_needs_records_that_have_a_time() {
    let options = Log::options().stamp(false).retain_age(SECOND);
    let policy = "retention by age";
    assert_eq!(refusal(options), OptionsError::NoTimestamps { policy });
}
